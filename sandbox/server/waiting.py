"""One tenant's queue: the highest priority first, then the oldest."""

from __future__ import annotations

import bisect
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Waiting"]

T = TypeVar("T")


class Waiting(Generic[T]):
    """Adding, removing and looking at the head cost the same however many wait."""

    def __init__(self) -> None:
        # Ordered: the first key of a plain dict is found past all the places of removed ones.
        self._levels: dict[int, OrderedDict[T, None]] = {}
        self._order: list[int] = []  # of priorities negated: the highest first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return itertools.chain.from_iterable(self._levels[level] for level in self._order)

    def head(self) -> T:
        """Whoever is next. There must be one."""
        return next(iter(self._levels[self._order[0]]))

    def add(self, item: T, priority: int) -> None:
        """Put `item` behind all of its priority and higher ones."""
        level = -priority
        if level not in self._levels:
            self._levels[level] = OrderedDict()
            bisect.insort(self._order, level)
        self._levels[level][item] = None
        self._count += 1

    def remove(self, item: T, priority: int) -> None:
        """Take out `item`, wherever it is; it must be there, of that priority."""
        level = -priority
        del self._levels[level][item]
        if not self._levels[level]:
            del self._levels[level]
            self._order.remove(level)
        self._count -= 1

    def place(self, item: T) -> int:
        """1 for the head. Counts its way there."""
        return next(place for place, other in enumerate(self, 1) if other is item)
