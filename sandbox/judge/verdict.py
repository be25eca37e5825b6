"""What judging comes to: of one test, of a group, of one submission."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["VERDICTS", "GroupOutcome", "Judgement", "Outcome", "TestRun"]

# AC accepted, WA wrong answer, OLE output, TLE time, MLE memory, RTE run-time error, CE compile
# error, JE judge error: ours or the package's, never the submission's. From best to worst: "worst
# error" takes the last, which is the order of the problem package format (legacy, "Default grader
# specification": JE, IF, RTE, MLE, TLE, OLE, WA). CE comes alone: nothing was run.
VERDICTS = ("AC", "WA", "OLE", "TLE", "MLE", "RTE", "CE", "JE")


class TestRun(NamedTuple):
    """One execution of a submission on one test: what the runner measured."""

    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int | None
    core: int | None
    noise: tuple[str, ...] = ()  # what disturbed it: steal, throttling, neighbours


class Outcome(NamedTuple):
    """Of one test."""

    test: str  # its name
    verdict: str  # of VERDICTS, or "" for a test that was not run (lazy judging)
    why: str  # for people, in a line
    evidence: tuple[str, ...] = ()  # the runner's own words
    score: float | None = None  # of scoring problems
    runs: tuple[TestRun, ...] = ()  # the last one counts; more where the first was disturbed
    judge_message: str = ""  # bounded
    team_message: str = ""  # bounded
    exit_code: int | None = None
    signal: int | None = None
    transcript: tuple[tuple[float, str, bytes], ...] | None = None  # (seconds, "<" or ">", bytes)
    stdout: bytes = b""  # the first of it, as much as was to be kept
    stderr: bytes = b""  # and of this

    @property
    def cpu_seconds(self) -> float | None:
        """Of the run that counts."""
        return self.runs[-1].cpu_seconds if self.runs else None


class GroupOutcome(NamedTuple):
    """Of one group."""

    group: str
    verdict: str
    score: float | None
    why: str = ""  # for people, in a line


class Judgement(NamedTuple):
    """Of one submission."""

    submission: str
    language: str
    verdict: str  # of VERDICTS
    score: float | None
    why: str
    tests: tuple[Outcome, ...]
    groups: tuple[GroupOutcome, ...]
    compiler_output: str = ""  # bounded
    compile_seconds: float | None = None
    time_limit_seconds: float | None = None  # with the language's multiplier
    time_multiplier: float = 1.0
