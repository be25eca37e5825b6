"""A package's own grader: what it reads and what it writes. It is run by somebody else.

"Graders" of the legacy format: a line a result on stdin, one on stdout, and exit code 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from sandbox.judge.scores import read_number
from sandbox.judge.verdict import GroupOutcome
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown

__all__ = ["GraderRun", "read_grade", "write_results"]

# The format knows four verdicts; a grader need not know more.
_TOLD = {"OLE": "RTE", "MLE": "RTE"}
# What the reference takes from one. CE is no result of a group.
_GRADE = re.compile(rb"\s*+(AC|WA|TLE|RTE|MLE|OLE|JE)[ \t]++([^\s]++)\s*+")
_MOST_BYTES = 1000


class GraderRun(NamedTuple):
    """A run of the grader that is needed: for which group, and what it is to be given."""

    group: str
    flags: tuple[str, ...]
    stdin: bytes


def write_results(results: Iterable[tuple[str, float | None]]) -> bytes:
    """The grader's stdin: verdict and score of each member that counts, in order."""
    lines = (f"{_TOLD.get(verdict, verdict)} {score or 0:.12g}\n" for verdict, score in results)
    return "".join(lines).encode()


def read_grade(group: str, exit_code: int | None, stdout: bytes) -> GroupOutcome:
    """What the grader made of it; JE, with the reason, if that is no grade.

    `exit_code` None: it did not end by itself.
    """
    if exit_code != 0:
        how = "did not end by itself" if exit_code is None else f"exited with {exit_code}"
        return GroupOutcome(group, "JE", None, f"the grader {how}")
    found = _GRADE.fullmatch(stdout) if len(stdout) <= _MOST_BYTES else None
    if found is None:
        why = f"the grader wrote {shown(stdout)}; a verdict and a score were due"
        return GroupOutcome(group, "JE", None, why)
    verdict = found[1].decode()
    if verdict == "JE":
        return GroupOutcome(group, "JE", None, "the grader said JE")
    try:
        return GroupOutcome(group, verdict, read_number(found[2], "score"), "by the grader")
    except SpecError as error:
        return GroupOutcome(group, "JE", None, f"the grader's {error}")
