"""Scores: of a test, from what its validator wrote; of a group, from those of its members."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from sandbox.judge.problem import Grading, Problem, Test
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown

__all__ = ["checked", "combine", "default_score", "read_number", "read_score"]

_MOST_BYTES = 1000  # of a file that holds one number
# "General requirements" of the format: decimal, with an exponent or without.
_NUMBER = re.compile(rb"\s*+([+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)\s*+")
_ROUNDING = 1e-9  # three thirds of a hundred are a hundred
_FILE, _SHARE_FILE = "score.txt", "score_multiplier.txt"


def read_score(
    problem: Problem,
    test: Test,
    *,
    is_accepted: bool,
    score: bytes | None = None,
    multiplier: bytes | None = None,
) -> float | None:
    """A test's score by what its validator left of the two files (None: not written).

    None: the test has its default. Raises SpecError that names the file: a judge error.
    "Scoring test cases" of 2025-09, "Graders" of legacy, which has no multiplier.
    """
    is_legacy = problem.format == "legacy"
    multiplier = None if is_legacy else multiplier
    is_scored = problem.is_scoring and (is_legacy or not test.name.startswith("sample/"))
    if not is_scored or (score is None and multiplier is None):
        return None
    name = _FILE if score is not None else _SHARE_FILE
    if not problem.validator_sees_score:
        raise SpecError(name, "was written, and the package does not say that its validator scores")
    if not is_accepted and not problem.scores_rejected:
        raise SpecError(name, "was written for an output that was rejected")
    if not test.may_score:
        raise SpecError(name, f"was written for {test.name}, whose group is all or nothing")
    if score is None:
        if test.must_score:
            raise SpecError(name, f"{test.name} has no most score that it could be a share of")
        share = read_number(multiplier or b"", name)
        if not 0 <= share <= 1:
            raise SpecError(name, f"{share:g} is not between 0 and 1")
        return share * test.accept_score
    if multiplier is not None:
        raise SpecError(name, f"was written beside {_SHARE_FILE}")
    value = read_number(score, name)
    if is_legacy:
        return value
    if value < 0:
        raise SpecError(name, f"{value:g} is negative")
    if not test.must_score and value > test.accept_score * (1 + _ROUNDING):
        raise SpecError(name, f"{value:g} is over {test.accept_score:g}, the most of {test.name}")
    return value


def default_score(test: Test, *, is_accepted: bool) -> float:
    """A test's score where its validator gave none. Raises SpecError: it had to give one."""
    if is_accepted and test.must_score:
        raise SpecError(_FILE, f"is missing; {test.name} has no score of its own")
    return test.accept_score if is_accepted else test.reject_score


def read_number(text: bytes, field: str) -> float:
    """The finite number that `text` is. Raises SpecError that names `field`."""
    found = _NUMBER.fullmatch(text) if len(text) <= _MOST_BYTES else None
    value = float(found[1]) if found else math.nan
    if not math.isfinite(value):
        raise SpecError(field, f"{shown(text)} is no number such as 0.5")
    return value


def combine(grading: Grading, group: str, scores: Sequence[float], *, is_accepted: bool) -> float:
    """The score of a group. Raises SpecError: it cannot be one. "Scoring test data groups" of
    2025-09, "Default grader specification" of legacy.
    """
    if grading.score == "all":
        if grading.max_score is None:
            raise SpecError(_place(group), "all or nothing of no max_score")
        return grading.max_score if is_accepted else 0.0
    try:
        score = _MODES[grading.score](scores)
    except OverflowError:
        score = math.inf
    return checked(grading, group, score, is_accepted=is_accepted)


def checked(grading: Grading, group: str, score: float, *, is_accepted: bool) -> float:
    """`score`, if it is in the group's range. Raises SpecError: that is a judge error.

    One of a group that was not accepted may be below: no range need hold what a reject scores.
    """
    low, high = grading.score_range
    high = high if grading.max_score is None else min(high, grading.max_score)
    if math.isfinite(score) and math.isclose(score, high, rel_tol=_ROUNDING):
        return high
    if not math.isfinite(score) or score > high or (is_accepted and score < low):
        raise SpecError(_place(group), f"score {score:g} is not in {low:g} to {high:g}")
    return score


def _place(group: str) -> str:
    return f"data/{group}".rstrip("/")


_MODES = {
    "sum": math.fsum,
    "avg": lambda scores: math.fsum(scores) / len(scores),
    "min": min,
    "max": max,
}
