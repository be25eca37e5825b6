"""The time limit of a problem: what its package says, or what its accepted submissions take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sandbox.judge.engine import Judge
from sandbox.judge.problem import ProblemLimits
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import SpecError

__all__ = ["Measured", "limit_from", "measure", "slowest"]

_MOST_SECONDS = 60.0  # that an accepted submission may take on one test while it is measured
_LEAST_RESOLUTION_SECONDS = 0.001


class Measured(NamedTuple):
    """A limit that was measured."""

    seconds: float
    slowest: str  # the submission, and its test
    judgements: tuple[Judgement, ...]


async def measure(judge: Judge) -> Measured:
    """Run the package's accepted submissions, and take the limit from the slowest of them.

    Raises SpecError: there are none, or one is not accepted.
    """
    models = [one for one in judge.problem.submissions if one.is_model]
    if not models:
        raise SpecError(
            judge.problem.name, "has no time limit, and no accepted submission to take one from"
        )
    judgements = [await judge.judge(model, _MOST_SECONDS) for model in models]
    # A language that is not known, or not here, leaves the limit to the others.
    judged = [judgement for judgement in judgements if judgement.verdict != "JE"] or judgements
    for judgement in judged:
        if judgement.verdict != "AC":
            raise SpecError(
                judgement.submission,
                f"is to be accepted, and comes to {judgement.verdict} ({judgement.why}): no time "
                "limit can be taken from it; fix: the submission, or --time-limit",
            )
    seconds, name = slowest(judged)
    return Measured(limit_from(seconds, judge.problem.limits), name, tuple(judged))


def slowest(judgements: Sequence[Judgement]) -> tuple[float, str]:
    """CPU seconds at the speed of a language without a multiplier, and of what."""
    found = [
        (run.cpu_seconds / judgement.time_multiplier, f"{judgement.submission} on {outcome.test}")
        for judgement in judgements
        for outcome in judgement.tests
        for run in outcome.runs[-1:]
    ]
    return max(found, default=(0.0, ""))


def limit_from(slowest_seconds: float, limits: ProblemLimits) -> float:
    """Up to the next multiple of the resolution, and at least one of them."""
    resolution = max(limits.time_resolution, _LEAST_RESOLUTION_SECONDS)
    steps = math.ceil(round(slowest_seconds * limits.time_multiplier / resolution, 9))
    return max(1, steps) * resolution
