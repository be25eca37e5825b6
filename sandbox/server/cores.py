"""Whole cores, leased to one job each: nothing else that is admitted is counted on them."""

import heapq
from collections.abc import Sequence

__all__ = ["Cores"]


class Cores:
    """The cores that may be leased, by their numbers; the first of them are leased first."""

    def __init__(self, numbers: Sequence[int]) -> None:
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"a core is named twice: {list(numbers)}")
        self._places = {number: place for place, number in enumerate(numbers)}
        self._numbers = tuple(numbers)
        self._free = list(range(len(numbers)))  # a heap of places

    @property
    def free(self) -> tuple[int, ...]:
        """Those that nobody has leased."""
        return tuple(self._numbers[place] for place in sorted(self._free))

    def lease(self, count: int) -> tuple[int, ...]:
        """Take `count`, which must be free."""
        return tuple(self._numbers[heapq.heappop(self._free)] for _ in range(count))

    def give_back(self, numbers: tuple[int, ...]) -> None:
        """Make leased ones free again."""
        for number in numbers:
            heapq.heappush(self._free, self._places[number])
