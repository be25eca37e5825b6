"""Tasks of DOMjudge's: what they say, in our units and names."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "Comparing", "Compiling", "DebugTask", "Executable", "JudgingTask", "PrefetchTask", "Running",
    "TestCase", "Work",
]  # fmt: skip


class Executable(NamedTuple):
    """A script of the jury's."""

    kind: str  # compile, run, compare, debug
    id: str
    hash: str


class TestCase(NamedTuple):
    """One test; the files of an id never change."""

    id: str
    hash: str


class Compiling(NamedTuple):
    """compile_config."""

    seconds: float
    memory_bytes: int
    file_bytes: int
    extensions: tuple[str, ...]
    filters_files: bool  # only files of those extensions go to the compiler


class Running(NamedTuple):
    """run_config."""

    seconds: float  # the language's factor is in it
    more_overshoot_seconds: float
    memory_bytes: int
    output_bytes: int
    entry_point: str | None
    passes: int
    script: Executable


class Comparing(NamedTuple):
    """compare_config."""

    seconds: float
    memory_bytes: int
    file_bytes: int
    flags: tuple[str, ...]
    is_interactive: bool
    is_scoring: bool
    script: Executable


class JudgingTask(NamedTuple):
    """One submission, on one test."""

    id: int
    job: str  # a name for the judging that no other database has had
    submission: str
    contest: str | None  # from DOMjudge 10 on, a part of where the sources are
    test: TestCase
    compiling: Compiling
    running: Running
    comparing: Comparing


class PrefetchTask(NamedTuple):
    """What will be needed soon."""

    executables: tuple[Executable, ...]
    test: TestCase | None


class DebugTask(NamedTuple):
    """Somebody of the jury wants all that we know of a judging, or the whole output of a test."""

    id: int
    job: str
    test: str | None  # None: the whole package


class Work(NamedTuple):
    """One packet. All its tasks are of one kind, those to judge also of one judging."""

    judging: tuple[JudgingTask, ...] = ()
    prefetch: tuple[PrefetchTask, ...] = ()
    debug: tuple[DebugTask, ...] = ()
    try_again: bool = False  # there was something, and another judgehost has it
