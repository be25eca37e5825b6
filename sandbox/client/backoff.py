"""When to try again to reach a server that was lost."""

from __future__ import annotations

import os

__all__ = ["Backoff"]

_FIRST_SECONDS = 0.05
_MOST_SECONDS = 2.0


class Backoff:
    """Ever longer delays, until `most_seconds` after `now` are over. The clock is the caller's."""

    def __init__(self, most_seconds: float, now: float) -> None:
        self._end = now + most_seconds
        self._seconds = _FIRST_SECONDS

    def delay_seconds(self, now: float) -> float | None:
        """How long to wait before the next attempt; None: no more of them."""
        if now >= self._end:
            return None
        # Half of it by chance: a thousand clients of a server that comes back do not knock at once.
        seconds = self._seconds * (0.5 + os.urandom(1)[0] / 510)
        self._seconds = min(self._seconds * 2, _MOST_SECONDS)
        return min(seconds, self._end - now)
