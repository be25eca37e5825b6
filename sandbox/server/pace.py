"""How fast jobs make place for others, and so when it is worth to come back."""

from collections import deque

__all__ = ["Pace"]

_RECENT = 32
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 60.0
_UNKNOWN_SECONDS = 1.0


class Pace:
    """The rate at which jobs ended lately."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=_RECENT)

    def note(self, now: float) -> None:
        """A job has ended."""
        self._ends.append(now)

    def is_known(self) -> bool:
        """Whether any job has ended yet."""
        return bool(self._ends)

    def retry_after_seconds(self, queued: int, now: float) -> float:
        """When half of `queued` jobs will have had their turn, from 0.1 to 60 s.

        Half: whoever comes back for the first place that is free finds it taken again.
        """
        if not self._ends:
            return _UNKNOWN_SECONDS
        # Up to now, not to the last end: where nothing ends any more, the rate goes down.
        seconds_each = (now - self._ends[0]) / len(self._ends)
        return min(max(queued / 2 * seconds_each, _LEAST_SECONDS), _MOST_SECONDS)
