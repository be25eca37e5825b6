"""Rounds: every figure and its peer in turn, so that what else the machine does meets both."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

__all__ = ["Figure", "Ratio", "run_rounds"]


class Figure(NamedTuple):
    """One measurement against its peer; each returns seconds (or bytes) of one try."""

    name: str
    ours: Callable[[], Awaitable[float]]
    peer: Callable[[], Awaitable[float]]
    peer_name: str
    goal: float | None = None  # the ratio that we want to stay under


class Ratio(NamedTuple):
    """Median of ours ÷ median of the peer's, and the spread of the rounds' own ratios."""

    figure: Figure
    rounds: int
    median: float
    low: float  # a tenth of the rounds was below
    high: float  # a tenth was above


async def run_rounds(figures: Sequence[Figure], rounds: int) -> list[Ratio]:
    """Measure each figure and its peer once a round, in an order that turns around."""
    ours: list[list[float]] = [[] for _ in figures]
    peers: list[list[float]] = [[] for _ in figures]
    for number in range(-1, rounds):
        for position, figure in enumerate(figures):
            pair = [(figure.ours, ours[position]), (figure.peer, peers[position])]
            for measure, found in pair if number % 2 else reversed(pair):
                value = await measure()
                if number >= 0:  # the first round warms caches
                    found.append(value)
    return [_ratio(*measured, rounds) for measured in zip(figures, ours, peers, strict=True)]


def _ratio(figure: Figure, ours: list[float], peers: list[float], rounds: int) -> Ratio:
    each = sorted(mine / theirs for mine, theirs in zip(ours, peers, strict=True))
    median = statistics.median(ours) / statistics.median(peers)
    tenth = len(each) // 10
    return Ratio(figure, rounds, median, each[tenth], each[-1 - tenth])
