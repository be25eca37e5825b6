"""One core a run: who has which, and who has the machine to himself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import trio

from sandbox.spec.errors import SpecError

__all__ = ["Cores"]


class Cores:
    """The cores that the judge may use, each for one run at a time."""

    def __init__(self, count: int | None = None) -> None:
        """`count`: how many of them; None: all. Raises SpecError: there are not so many."""
        here = sorted(os.sched_getaffinity(0))
        if count is not None and not 1 <= count <= len(here):
            raise SpecError(
                "--jobs", f"is {count}, and there are 1 to {len(here)} cores: times need one each"
            )
        self._all = tuple(here[:count])
        self._free = list(self._all)
        self._waiting_for_all = 0
        self._changed = trio.Condition()

    @property
    def count(self) -> int:
        """How many runs there can be at once."""
        return len(self._all)

    @property
    def in_use(self) -> int:
        """How many there are now."""
        return len(self._all) - len(self._free)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[int]:
        """A core, while others may have others."""
        async with self._changed:
            # Who waits for quiet comes first, or would wait for ever.
            while not self._free or self._waiting_for_all:
                await self._changed.wait()
            core = self._free.pop(0)
        try:
            yield core
        finally:
            await self._give_back((core,))

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[int]:
        """A core, while nobody has another."""
        async with self._changed:
            self._waiting_for_all += 1
            try:
                while len(self._free) < len(self._all):
                    await self._changed.wait()
                self._free.clear()
            finally:
                self._waiting_for_all -= 1
                self._changed.notify_all()
        try:
            yield self._all[-1]  # not the first one, where interrupts are
        finally:
            await self._give_back(self._all)

    async def _give_back(self, cores: tuple[int, ...]) -> None:
        with trio.CancelScope(shield=True):
            async with self._changed:
                self._free = sorted((*self._free, *cores))
                self._changed.notify_all()
