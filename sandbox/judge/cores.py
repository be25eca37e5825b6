"""One core a run: who has which, and who has the machine to himself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import NamedTuple

import trio

from sandbox.spec.errors import SpecError

__all__ = ["Cores", "Watched"]


class Watched(NamedTuple):
    """How many runs there were at a moment, to be compared with a later one."""

    runs: int
    begun: int  # of all times


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
        self._runs = self._begun = 0
        self._changed = trio.Condition()

    @property
    def count(self) -> int:
        """How many runs there can be at once."""
        return len(self._all)

    def watch(self) -> Watched:
        """Begin to count a run's neighbours; it has its core already."""
        return Watched(self._runs, self._begun)

    def neighbours_since(self, watched: Watched) -> int:
        """How many other runs there were at once; at least, where some came and went."""
        came = self._begun > watched.begun
        return max(watched.runs - 1, self._runs - 1, int(came))

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[int]:
        """A core, while others may have others."""
        async with self._changed:
            # Who waits for quiet comes first, or would wait for ever.
            while not self._free or self._waiting_for_all:
                await self._changed.wait()
            core = self._free.pop(0)
        async with self._run((core,)):
            yield core

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
        async with self._run(self._all):
            yield self._all[-1]  # not the first one, where interrupts are

    @contextlib.asynccontextmanager
    async def _run(self, cores: tuple[int, ...]) -> AsyncIterator[None]:
        self._runs += 1
        self._begun += 1
        try:
            yield
        finally:
            self._runs -= 1
            with trio.CancelScope(shield=True):
                async with self._changed:
                    self._free = sorted((*self._free, *cores))
                    self._changed.notify_all()
