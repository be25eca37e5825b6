"""Problem: what a package says, whatever its format, as the judge needs it. All of it is data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "Expectation", "Grading", "Group", "Problem", "ProblemLimits", "Program", "Submission", "Test",
    "ValidationCase",
]  # fmt: skip


class ProblemLimits(NamedTuple):
    """Times in seconds, sizes in bytes; the formats' defaults where the package is silent."""

    time_seconds: float | None  # None: to be found from the accepted submissions (time_limit.py)
    time_multiplier: float  # slowest accepted submission -> limit
    safety_margin: float  # limit -> what an expected TLE must take at least
    time_resolution: float  # the limit found is a multiple of it
    memory_bytes: int
    output_bytes: int
    code_bytes: int
    compilation_seconds: float
    compilation_memory_bytes: int
    validation_seconds: float
    validation_memory_bytes: int
    validation_output_bytes: int
    passes: int  # the most; 1: not multi-pass


class Program(NamedTuple):
    """A validator or grader: source files, or one executable script."""

    name: str  # below the package, as "output_validators/check"
    files: tuple[tuple[str, Path], ...]  # (path below the program's directory, file)
    is_static: bool = False  # no build: it is run by its shebang or as it stands
    build: str | None = None  # name of a build script among the files; it makes "run"
    run: str | None = None  # name of a run script among the files


class Test(NamedTuple):
    """One test case."""

    name: str  # "secret/group1/03": below data/, no suffix
    input: Path | None  # None: submit-answer problems may have none
    answer: Path | None  # None: missing; an accepted submission's output, or empty if interactive
    arguments: tuple[str, ...] = ()  # of the submission's command line
    files: tuple[tuple[str, Path], ...] = ()  # for its working directory
    output_validator_flags: tuple[str, ...] = ()
    input_validator_flags: tuple[str, ...] = ()
    accept_score: float = 1.0
    reject_score: float = 0.0
    hint: str | None = None
    description: str | None = None
    must_score: bool = False  # no most score is known: an accepting validator writes score.txt
    # Where they differ: name of an input validator -> its flags; one that is not named has none.
    input_validator_flags_by_name: Mapping[str, tuple[str, ...]] | None = None
    may_score: bool = True  # False: its group is all or nothing, and no validator scores in it
    # Of a static validation test: what the static validator is told beside the submission. It has
    # no input, and the submission is not run. None: an ordinary test.
    static_arguments: tuple[str, ...] | None = None


class ValidationCase(NamedTuple):
    """What only validators are shown, and what they must say of it; no submission is run on it."""

    test: Test
    accepts_input: bool = True  # all input validators do; False: one at least refuses it
    output: Path | None = None  # what the output validator is shown; None: nothing
    accepts_output: bool = True


class Grading(NamedTuple):
    """How the outcomes in a group become its own."""

    verdict: str = "first_error"  # worst_error, always_accept, accept_if_any_accepted
    score: str = "sum"  # avg, min, max, and "all": the whole max_score or nothing
    ignores_sample: bool = False
    score_range: tuple[float, float] = (float("-inf"), float("inf"))
    max_score: float | None = None  # None: unbounded, or as the format has it
    require_pass: tuple[str, ...] = ()  # groups that must be accepted, or nothing here is run
    flags: tuple[str, ...] = ()  # of a custom grader
    is_custom: bool = False
    otherwise: str = "worst_error"  # accept_if_any_accepted, and none was: this verdict
    of_scores: str = ""  # of "all", where a validator has scored tests: this of their scores


class Group(NamedTuple):
    """A directory of tests. The outermost is data/ itself, named ""."""

    name: str
    members: tuple[Test | Group, ...]  # in the order in which they are judged
    breaks_on_reject: bool = True
    grading: Grading = Grading()

    def tests(self) -> Iterator[Test]:
        """Every test below, in order."""
        for member in self.members:
            if isinstance(member, Group):
                yield from member.tests()
            else:
                yield member

    def groups(self) -> Iterator[Group]:
        """It, and every group below."""
        yield self
        for member in self.members:
            if isinstance(member, Group):
                yield from member.groups()


class Expectation(NamedTuple):
    """What the tests whose names match must come to."""

    tests: str = "*"  # a glob over names of tests and groups; "*": all, and the sum
    permitted: frozenset[str] | None = None  # verdicts; None: any
    required: frozenset[str] = frozenset()  # one of these at least once
    score: tuple[float, float] | None = None  # of the sum, from-to
    message: str | None = None  # some judge message must hold it
    verdicts: frozenset[str] | None = None  # of the sum, one of these; None: any
    time_bound: str | None = None  # these tests' slowest bounds the time limit: "lower", "upper"


class Submission(NamedTuple):
    """One submission: source files, and what it says of itself."""

    name: str  # "accepted/ab.cpp" below submissions/, or a path as the caller gave it
    files: tuple[tuple[str, Path], ...]  # (path below its directory, file)
    language: str | None = None  # None: to be detected
    entry_point: str | None = None
    expectations: tuple[Expectation, ...] = ()
    is_model: bool = False  # "accepted": counts for the time limit


class Problem(NamedTuple):
    """One package, read and checked."""

    directory: Path
    name: str
    format: str  # "legacy", "2023-07-draft", "2025-09"
    is_scoring: bool
    is_interactive: bool
    is_submit_answer: bool
    limits: ProblemLimits
    data: Group
    output_validator: Program | None  # None: the default one (compare.py)
    output_validator_flags: tuple[str, ...]  # of the package; a test's own come behind them
    input_validators: tuple[Program, ...]
    grader: Program | None
    includes: Mapping[str, tuple[tuple[str, Path], ...]]  # language ("default" too) -> files
    submissions: tuple[Submission, ...]
    languages: frozenset[str] | None = None  # allowed ones; None: all
    is_lazy: bool = True  # the first test that fails decides, and what comes later need not run
    validator_sees_score: bool = False  # score.txt of a custom validator counts
    scores_rejected: bool = False  # and for what it rejects too
    notes: tuple[str, ...] = ()  # of what was read and has no meaning here
    # What {{name}} and {{name.variant}} stand for in validators, included files and submissions.
    constants: Mapping[str, str] = MappingProxyType({})
    may_write_files: bool = True  # submissions, in their working directory
    static_validator: Program | None = None  # judges the sources, in tests of their own
    validation_cases: tuple[ValidationCase, ...] = ()
