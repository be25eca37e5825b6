"""What both examples do with a submission: build it once, run it on each test, compare tokens."""

from typing import NamedTuple

from sandbox import Client, Completed

__all__ = ["LANGUAGES", "Program", "Run", "build", "run"]

_TEXT_BYTES = 16384


class Language(NamedTuple):
    """How to build and run it; the program is the artifact that building leaves, or the source."""

    source: str
    build: tuple[str, ...]  # nothing: it needs none
    run: tuple[str, ...]
    policy: str


LANGUAGES = {
    "c": Language(
        "main.c", ("gcc", "-O2", "-static", "-o", "main", "main.c", "-lm"), ("./main",), "strict"
    ),
    "cpp": Language(
        "main.cpp", ("g++", "-O2", "-static", "-o", "main", "main.cpp"), ("./main",), "native"
    ),
    "python": Language("main.py", (), ("python3", "main.py"), "python"),
}


class Program(NamedTuple):
    """What can be run: the server holds it, as a blob."""

    language: Language
    blob: str


class Run(NamedTuple):
    """One run, and what is to be said of it. Of a JE, the submission is not to blame."""

    verdict: str  # AC, WA, RTE, TLE, MLE, OLE
    cpu_seconds: float
    memory_bytes: int
    why: str
    stdout: bytes


def build(client: Client, name: str, source: bytes) -> Program | str:
    """A program, or the compiler's complaint. Raises KeyError: no such language; SandboxError: a
    failure that is not the submission's.
    """
    language = LANGUAGES[name]
    blob = client.blob(source)
    if not language.build:
        return Program(language, blob)
    done = client.run(
        list(language.build), policy="compile", collect=["main"],
        copy=[{"blob": blob, "destination": language.source}],
    )  # fmt: skip
    if done.result.verdict != "exited" or done.result.exit_code != 0:
        text = "; ".join(done.result.evidence) or f"exit code {done.result.exit_code}"
        return f"{text}\n{done.stderr[:_TEXT_BYTES].decode(errors='replace')}"
    return Program(language, client.blob(done.artifacts["/work/main"]))


def run(client: Client, program: Program, test: bytes, answer: bytes, limits: dict) -> Run:
    """One run on one test. Raises SandboxError: a failure that is not the submission's."""
    language = program.language
    destination = "main" if language.build else language.source
    done = client.run(
        list(language.run), policy=language.policy, limits=limits, stdin=test,
        ro=[{"blob": program.blob, "destination": destination}],
    )  # fmt: skip
    result = done.result
    evidence = "; ".join(result.evidence)
    return Run(
        _verdict(done, answer), result.cpu_seconds or result.wall_seconds,
        result.memory_peak_bytes or 0, evidence, done.stdout,
    )  # fmt: skip


def _verdict(done: Completed, answer: bytes) -> str:
    # What ended the run by our limits comes first: such a program had no chance to be right.
    ended = {"cpu_time": "TLE", "wall_time": "TLE", "idle": "TLE", "memory": "MLE",
             "output": "OLE", "disk": "RTE"}  # fmt: skip
    if done.result.verdict != "exited":
        return ended.get(done.result.verdict, "RTE")
    if done.result.exit_code != 0:
        return "RTE"
    return "AC" if done.stdout.split() == answer.split() else "WA"
