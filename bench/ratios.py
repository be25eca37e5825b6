"""The arithmetic of a figure: a ratio of medians, how far its rounds spread, how sure it is."""

import random
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Goal", "Ratio", "ratio_of"]

_DRAWS = 200
_Rounds = Sequence[Sequence[float]]


class Goal(NamedTuple):
    """The ratio that must be reached, and the one that we aim at."""

    must: float
    aim: float
    at_least: bool = False  # more is better


class Ratio(NamedTuple):
    """Ours ÷ the peer's. The spread is of the rounds' own ratios, of a tail: of its redraws."""

    figure: str
    peer: str
    rounds: int
    median: float  # of all rounds of ours ÷ of all rounds of theirs
    low: float  # a tenth was below
    high: float  # a tenth was above
    least: float  # the bounds that hold `median` in 95 of 100 redraws of the same rounds
    most: float
    goal: Goal | None

    @property
    def share_of_goal(self) -> float | None:
        """`median` ÷ what it must be, turned so that less than 1 is reached."""
        return None if self.goal is None else self.turned(self.median)

    def turned(self, value: float) -> float:
        """A value of this ratio as a share of its goal; less than 1 is better than that."""
        assert self.goal is not None
        return self.goal.must / value if self.goal.at_least else value / self.goal.must


def ratio_of(
    figure: str,
    peer: str,
    ours: _Rounds,
    theirs: _Rounds,
    *,
    goal: Goal | None = None,
    quantile: float = 0.5,
) -> Ratio:
    """The ratio of one figure to one peer, measured in the same rounds."""
    redraws = _redraws(ours, theirs, quantile)
    each = sorted(_ratio([mine], [its], quantile) for mine, its in zip(ours, theirs, strict=True))
    # One round is too few jobs to have a tail.
    spread = each if quantile == 0.5 else redraws
    return Ratio(
        figure,
        peer,
        rounds=len(each),
        median=_ratio(ours, theirs, quantile),
        low=spread[len(spread) // 10],
        high=spread[-1 - len(spread) // 10],
        least=redraws[_DRAWS // 40],
        most=redraws[-1 - _DRAWS // 40],
        goal=goal,
    )


def _ratio(ours: _Rounds, theirs: _Rounds, quantile: float) -> float:
    mine = sorted(sample for samples in ours for sample in samples)
    its = [sample for samples in theirs for sample in samples]
    # The median of an even number lies between two; any other quantile is one of the samples.
    at = min(int(len(mine) * quantile), len(mine) - 1)
    chosen = statistics.median(mine) if quantile == 0.5 else mine[at]
    return chosen / statistics.median(its)


def _redraws(ours: _Rounds, theirs: _Rounds, quantile: float) -> list[float]:
    # Whole rounds are drawn, with both sides of each: what disturbed one disturbed the other.
    draw = random.Random(0)
    rounds = list(zip(ours, theirs, strict=True))
    redraws = (draw.choices(rounds, k=len(rounds)) for _ in range(_DRAWS))
    return sorted(
        _ratio([mine for mine, _ in redraw], [its for _, its in redraw], quantile)
        for redraw in redraws
    )
