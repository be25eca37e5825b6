"""How long runs may have every core for themselves, so that those who want one core get on.

A run that a neighbour disturbed near its limit is done again while nothing else runs. For that all
others are waited for, and all others wait; and who wants that can write a program that is always
near its limit.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["Quiet"]

_PART = 0.25  # of the time, of all tenants together
_MOST_SECONDS = 60.0  # of one tenant, at once: what was not used is saved up to there


class Quiet:
    """Seconds that tenants have left. Those who ask have equal parts of what comes."""

    def __init__(self, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._left: dict[str, float] = {}  # of those that have less than all of it
        self._counted_to = clock()

    def take(self, tenant: str, seconds: float) -> bool:
        """Take so many, if there are; else a run is to have one core, as it had before."""
        self._count()
        left = self._left.get(tenant, _MOST_SECONDS)
        if seconds > left:
            return False
        self._left[tenant] = left - seconds
        return True

    def give_back(self, tenant: str, seconds: float) -> None:
        """So many of them were not used; below zero, so many more were."""
        self._count()
        self._left[tenant] = self._left.get(tenant, _MOST_SECONDS) + seconds

    def _count(self) -> None:
        now = self._clock()
        if self._left:
            part = _PART * (now - self._counted_to) / len(self._left)
            more = {tenant: left + part for tenant, left in self._left.items()}
            self._left = {one: left for one, left in more.items() if left < _MOST_SECONDS}
        self._counted_to = now
