"""Rounds: every figure and its peers in turn, so that what else the machine does meets all."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["Figure", "Measure", "Ratio", "run_rounds"]

Measure = Callable[[], Awaitable[float]]  # the seconds of one try


class Figure(NamedTuple):
    """One measurement, and what it is held against."""

    name: str
    ours: Measure
    peers: Mapping[str, Measure]
    goal: float | None = None  # the ratio to the first peer that we want to stay under


class Ratio(NamedTuple):
    """Median of ours ÷ median of the peer's, and the spread of the rounds' own ratios."""

    figure: str
    peer: str
    rounds: int
    median: float
    low: float  # a tenth of the rounds was below
    high: float  # a tenth was above
    goal: float | None


async def run_rounds(figures: Sequence[Figure], rounds: int) -> list[Ratio]:
    """Measure each figure and its peers once a round, in an order that turns around."""
    tries = [
        (measure, list[float]())
        for figure in figures
        for measure in (figure.ours, *figure.peers.values())
    ]
    for number in range(-1, rounds):
        for measure, found in tries if number % 2 else reversed(tries):
            seconds = await measure()
            if number >= 0:  # the first round warms caches
                found.append(seconds)
    samples = iter(found for _, found in tries)
    ratios = []
    for figure in figures:
        ours = next(samples)
        for number, peer in enumerate(figure.peers):
            goal = None if number else figure.goal
            ratios.append(_ratio(figure.name, peer, ours, next(samples), goal))
    return ratios


def _ratio(
    figure: str, peer: str, ours: list[float], theirs: list[float], goal: float | None
) -> Ratio:
    each = sorted(mine / its for mine, its in zip(ours, theirs, strict=True))
    median = statistics.median(ours) / statistics.median(theirs)
    tenth = len(each) // 10
    return Ratio(figure, peer, len(each), median, each[tenth], each[-1 - tenth], goal)
