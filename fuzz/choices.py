"""Decisions read off an input, for targets whose inputs are no format but a way to build values.

Whatever the bytes are, each decision has an answer, and at their end the first of its answers: so
every input means something, and a change of a byte is a change of a decision.
"""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["Choices"]

_T = TypeVar("_T")


class Choices:
    """One input, read from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Whether all of it is read."""
        return self._at >= len(self._data)

    def below(self, count: int) -> int:
        """A number from 0 up to but not including `count`."""
        return int.from_bytes(self.take((count - 1).bit_length() + 7 >> 3), "little") % count

    def flag(self) -> bool:
        """Yes or no."""
        return bool(self.below(2))

    def one_of(self, items: Sequence[_T]) -> _T:
        """One of them."""
        return items[self.below(len(items))]

    def integer(self, bits: int = 64) -> int:
        """A number of so many bits: a small one, one beside a power of two, or any."""
        kind = self.below(4)
        if kind < 2:
            number = self.below(256)
        elif kind == 2:
            number = (1 << self.below(bits + 1)) + self.below(3) - 1
        else:
            number = int.from_bytes(self.take(bits // 8), "little")
        return number & ((1 << bits) - 1)

    def data(self, most_bytes: int = 255) -> bytes:
        """Some bytes, at most so many."""
        return self.take(self.below(most_bytes + 1))

    def take(self, count: int) -> bytes:
        """The next bytes as they are: `count`, or what is left."""
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """All that was not read."""
        return self.take(len(self._data))
