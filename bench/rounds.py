"""Rounds: every figure and its peers in turn, so that what else the machine does meets all."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

import trio

from bench.ratios import Goal, Ratio, ratio_of

__all__ = ["Figure", "Measure", "run_rounds"]

_SETTLE_SECONDS = 0.02  # for what a job leaves behind to be gone before the next is measured

# One try: a number of seconds, jobs a second, …, or many of them where a try is many jobs.
Measure = Callable[[], Awaitable[Sequence[float]]]


class Figure(NamedTuple):
    """One measurement, and what it is held against."""

    name: str
    ours: Measure
    peers: Mapping[str, Measure | None]  # None: ours, whose median is the peer of its own tail
    goal: Goal | None = None  # for the first peer
    quantile: float = 0.5  # of ours; a peer's is its median


async def run_rounds(figures: Sequence[Figure], rounds: int) -> list[Ratio]:
    """Measure each figure and its peers once a round, in an order that turns around."""
    samples: dict[Measure, list[Sequence[float]]] = {}
    for figure in figures:  # a measure that two figures share is made once a round
        for measure in (figure.ours, *figure.peers.values()):
            if measure is not None:
                samples[measure] = []
    for number in range(-1, rounds):
        for measure in samples if number % 2 else reversed(samples):
            found = await measure()
            await trio.sleep(_SETTLE_SECONDS)
            if number >= 0:  # the first round warms caches
                samples[measure].append(found)
    return [
        ratio_of(
            figure.name,
            peer,
            samples[figure.ours],
            samples[measure or figure.ours],
            goal=None if number else figure.goal,
            quantile=figure.quantile,
        )
        for figure in figures
        for number, (peer, measure) in enumerate(figure.peers.items())
    ]
