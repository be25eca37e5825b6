"""The time limit of a problem: what its package says, or what its accepted submissions take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from sandbox.judge.engine import Judge
from sandbox.judge.problem import ProblemLimits
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import SpecError

__all__ = ["MOST_SECONDS", "Measured", "limit_from", "measure", "slowest"]

MOST_SECONDS = 60.0  # that an accepted submission may take on one test while it is measured
_LEAST_RESOLUTION_SECONDS = 0.001


class Measured(NamedTuple):
    """A limit that was measured."""

    seconds: float
    slowest: str  # the submission, and its test
    judgements: tuple[Judgement, ...]


async def measure(judge: Judge, *, takes_rejected: bool = False) -> Measured:
    """Run the package's accepted submissions, and take the limit from the slowest of them.

    Those that are not accepted, or in a language that is not here, leave it to the others; where
    none is accepted, `takes_rejected` takes it from those that ended by themselves, for a package
    that is being checked. Raises SpecError: there are none.
    """
    models = [one for one in judge.problem.submissions if one.is_model]
    if not models:
        raise SpecError(
            judge.problem.name, "has no time limit, and no accepted submission to take one from"
        )
    judgements = [await judge.judge(model, MOST_SECONDS) for model in models]
    accepted = [judgement for judgement in judgements if judgement.verdict == "AC"]
    if not accepted and takes_rejected:
        accepted = [judgement for judgement in judgements if _has_ended(judgement)]
    if not accepted:
        first = judgements[0]
        raise SpecError(
            first.submission,
            f"is to be accepted, and comes to {first.verdict} ({first.why}), as all do: no "
            "time limit can be taken from them; fix: the package, or --time-limit",
        )
    seconds, name = slowest(accepted)
    return Measured(limit_from(seconds, judge.problem.limits), name, tuple(judgements))


def _has_ended(judgement: Judgement) -> bool:
    """Whether it was judged, and for nothing that it took too much of."""
    runs = [outcome for outcome in judgement.tests if outcome.runs]
    return bool(runs) and judgement.verdict in ("WA", "RTE")


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
