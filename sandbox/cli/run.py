"""`sandbox run`: options and a spec file to a job, a Result to an exit code and one line."""

import argparse
import contextlib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

from sandbox.spec.errors import ExecError, SpecError
from sandbox.spec.job import job_from_mapping
from sandbox.spec.policy import load_policy
from sandbox.spec.result import Result

__all__ = ["add_parser", "close_options", "exit_code"]

_ENOENT = 2
_TO_STDOUT = "-"

# option -> (metavar, help); those of limits stand in a table of their own.
_LIMITS = {
    "memory": ("SIZE", "most memory, its files included: 256MiB"),
    "cpu-time": ("TIME", "most CPU time of all its processes: 2s"),
    "wall": ("TIME", "most time: 10s"),
    "idle": ("TIME", "end it after so long without CPU time and I/O"),
    "extra-time": ("TIME", "let it run so much longer before the kill; the verdict stays"),
    "processes": ("N", "most processes and threads"),
    "cpus": ("N", "CPU rate: 1, 0.5"),
    "core": ("N", "pin it to this core"),
    "disk": ("SIZE[:INODES]", "most that it may write to files: 64MiB, 64MiB:1000"),
    "output": ("SIZE", "most bytes of stdout and stderr together"),
    "fds": ("N", "most open file descriptors of a process"),
    "stack": ("SIZE", "stack of its first thread"),
}
_LISTS = {
    "ro": ("SRC[:DST]", "show a host file or directory, read-only"),
    "copy": ("SRC[:DST]", "give it a copy of a host file or directory"),
    "collect": ("PATH=DEST", "write the file that it leaves at PATH to DEST"),
}
_TEXTS = {
    "policy": ("NAME|FILE", "what it may do (default: default); see: sandbox policy list"),
    "cwd": ("DIR", "its working directory, writable (default: /work)"),
    "stdin": ("FILE|-", "what it reads (default: -, our own stdin)"),
    "root": ("host|DIR", "its read-only root: the host's /usr, or an unpacked root"),
    "disk-counts": ("memory|apart", "whether its files count into the memory limit"),
}
_FLAGS = {
    "tty": "a pseudo-terminal of its own",
    "allow-degraded": "run it even where the kernel does not enforce memory or processes",
}
_VERDICT_CODES = {
    "cpu_time": 124, "wall_time": 124, "idle": 124, "memory": 137, "output": 153, "disk": 153,
    "violation": 159, "cancelled": 130,
}  # fmt: skip


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `run` and its options."""
    parser = commands.add_parser(
        "run",
        help="run one command in a sandbox",
        usage="sandbox run [OPTIONS] [--] COMMAND [ARGUMENT…]",
        allow_abbrev=False,
    )
    limits = parser.add_argument_group("limits (the policy has defaults)")
    for name, (metavar, text) in _LIMITS.items():
        limits.add_argument(f"--{name}", metavar=metavar, help=text)
    for name, (metavar, text) in _TEXTS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    for name, (metavar, text) in _LISTS.items():
        parser.add_argument(f"--{name}", metavar=metavar, help=text, action="append")
    parser.add_argument("--env", metavar="K=V", action="append", help="set a variable")
    for name, text in _FLAGS.items():
        parser.add_argument(f"--{name}", help=text, action="store_true", default=None)
    parser.add_argument(
        "--require-grade",
        metavar="LIMIT=GRADE",
        action="append",
        help="refuse it where LIMIT is enforced by less than GRADE: kernel, rlimit, polled",
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        nargs="?",
        const=_TO_STDOUT,
        help="write the Result there; without FILE to stdout, and the job's streams to stderr",
    )
    parser.add_argument("--spec", metavar="FILE", help="all of the above from a TOML file")
    parser.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
    parser.set_defaults(run=_run)


def close_options(words: list[str]) -> list[str]:
    """`words`, with a bare --json that takes nothing away from the command after it."""
    if words[:1] != ["run"]:
        return words
    end = words.index("--") if "--" in words else len(words)
    return [
        f"--json={_TO_STDOUT}" if word == "--json" and _is_bare(words, at) else word
        for at, word in enumerate(words[:end])
    ] + words[end:]


def exit_code(result: Result) -> int:
    """What shells expect: the payload's own code, 128 + n for a signal, or the limit's."""
    if result.verdict in _VERDICT_CODES:
        return _VERDICT_CODES[result.verdict]
    if result.signal is not None:
        return 128 + result.signal
    return result.exit_code or (1 if result.verdict == "processes" else 0)


def _is_bare(words: list[str], at: int) -> bool:
    # --json FILE only where an option or -- follows: else FILE would be the command.
    after = words[at + 1 : at + 3]
    return not after or after[0].startswith("-") or len(after) < 2 or not after[1].startswith("-")


def _run(options: argparse.Namespace) -> int:
    job = _read_job(options)
    policy = load_policy(job.policy)
    from sandbox.cli.inprocess import run_job

    to_stdout = options.json == _TO_STDOUT
    with contextlib.ExitStack() as opened:
        report = None
        if options.json is not None and not to_stdout:
            report = opened.enter_context(_create(Path(options.json)))
        stdin_fd: int | None = 0
        if job.stdin is not None:
            try:
                stdin_fd = opened.enter_context(job.stdin.open("rb", buffering=0)).fileno()
            except OSError as error:
                raise SpecError("--stdin", f"{job.stdin}: {error.strerror}") from error
        try:
            result = run_job(
                job, policy, stdin_fd=stdin_fd, stdout_fd=2 if to_stdout else 1, stderr_fd=2
            )
        except ExecError as error:
            print(f"sandbox: {error}", file=sys.stderr)
            return 127 if error.errno == _ENOENT else 126
        if options.json is not None:
            print(_as_json(result), file=report)
    if result.verdict != "exited":
        why = "; ".join(result.evidence)
        print(f"sandbox: {result.verdict}: {why}", file=sys.stderr)
    return exit_code(result)


def _read_job(options: argparse.Namespace) -> Any:
    spec, base = {}, Path.cwd()
    if options.spec is not None:
        path = Path(options.spec)
        try:
            with path.open("rb") as file:
                spec = tomllib.load(file)
        except OSError as error:
            raise SpecError("--spec", f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError("--spec", f"{path}: {error}") from error
        base = path.resolve().parent
        # Each half is read alone, so that a complaint names the file's field or the option.
        job_from_mapping({"command": ["-"], **spec}, base)
        spec = _absolute(spec, base)
    given = _given(options)
    merged = {**spec, **given}
    for key in ("limits", "env", "require_grade"):
        merged[key] = {**spec.get(key, {}), **given.get(key, {})}
    for key in _LISTS:
        merged[key] = [*spec.get(key, []), *given.get(key, [])]
    if not merged.get("command"):
        raise SpecError("COMMAND", "is missing; write: sandbox run [OPTIONS] -- COMMAND")
    try:
        return job_from_mapping(merged, Path.cwd())
    except SpecError as error:
        raise _as_option(error) from error


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, in the shape of a spec file."""
    values = vars(options)
    given: dict[str, Any] = {
        name: values[key]
        for name in (*_TEXTS, *_LISTS, *_FLAGS)
        if values[key := name.replace("-", "_")] is not None
    }
    given = {name.replace("-", "_"): value for name, value in given.items()}
    limits = {n.replace("-", "_"): values[n.replace("-", "_")] for n in _LIMITS}
    given["limits"] = {name: value for name, value in limits.items() if value is not None}
    given["env"] = dict(_pair(word, "--env", "K=V") for word in options.env or ())
    given["require_grade"] = dict(
        _pair(word, "--require-grade", "LIMIT=GRADE") for word in options.require_grade or ()
    )
    command = options.command
    if command[:1] == ["--"]:
        command = command[1:]
    if command:
        given["command"] = command
    return given


def _pair(word: str, option: str, shape: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise SpecError(option, f'"{word}" has no =; write {shape}')
    return name, value


def _absolute(spec: dict[str, Any], base: Path) -> dict[str, Any]:
    """The spec with host paths that no longer depend on where the file lies."""
    job = job_from_mapping({"command": ["-"], **spec}, base)
    pairs = {
        key: [
            {"source": os.fspath(item.source), "destination": item.destination}
            for item in job.inputs
            if item.copied == (key == "copy")
        ]
        for key in ("ro", "copy")
    }
    collect = [
        {"path": item.path, "destination": os.fspath(item.destination)} for item in job.artifacts
    ]
    absolute = {**spec, **pairs, "collect": collect}
    if job.root is not None:
        absolute["root"] = os.fspath(job.root)
    if job.stdin is not None:
        absolute["stdin"] = os.fspath(job.stdin)
    if job.policy.endswith(".toml"):
        absolute["policy"] = os.fspath(base / job.policy)
    return absolute


def _as_option(error: SpecError) -> SpecError:
    """The same complaint, with the option as the user wrote it."""
    field = error.field.removeprefix("limits.").split("[")[0].split(".")[0]
    known = {name.replace("-", "_"): name for name in (*_LIMITS, *_TEXTS, *_LISTS, *_FLAGS)}
    known |= {"env": "env", "require_grade": "require-grade"}
    if field not in known:
        return error
    return SpecError(f"--{known[field]}", str(error).removeprefix(f"{error.field}: "))


def _create(path: Path) -> Any:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise SpecError("--json", f"{path}: {error.strerror}") from error


def _as_json(result: Result) -> str:
    import json

    return json.dumps(result.to_mapping(), indent=2)
