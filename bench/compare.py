"""What a change did: the ratios of one run ÷ those of an earlier one."""

import math
from collections.abc import Sequence

from bench.ratios import Ratio

__all__ = ["comparison_rows"]

_HEAD = ("figure", "÷ peer", "before", "after", "after ÷ before", "bounds", "")


def comparison_rows(before: Sequence[Ratio], after: Sequence[Ratio]) -> list[tuple[str, ...]]:
    """A head, and a row for each ratio that both runs have.

    Two are told apart only where the bounds of their medians do not meet. What disturbs a peer as
    much as us is in neither; a machine that is slower at one of the two only is in both.
    """
    earlier = {(ratio.figure, ratio.peer): ratio for ratio in before}
    pairs = ((earlier.get((later.figure, later.peer)), later) for later in after)
    return [_HEAD, *(_row(ratio, later) for ratio, later in pairs if ratio is not None)]


def _row(before: Ratio, after: Ratio) -> tuple[str, ...]:
    least, most = _quotient(after.least, before.most), _quotient(after.most, before.least)
    return (
        after.figure,
        after.peer,
        f"{before.median:.3f}",
        f"{after.median:.3f}",
        f"{_quotient(after.median, before.median):.3f}",
        f"{least:.2f} to {most:.2f}",
        _verdict(before, after),
    )


def _verdict(before: Ratio, after: Ratio) -> str:
    if before.rounds < 2 or after.rounds < 2:
        return "measured once"
    if before.least <= after.most and after.least <= before.most:
        return "not told apart"
    is_more = after.median > before.median
    is_better = is_more if after.goal is not None and after.goal.at_least else not is_more
    return "better" if is_better else "worse"


def _quotient(after: float, before: float) -> float:
    return after / before if before else math.inf  # memory may not have grown at all
