"""The most of something that a job had at a time, whether or not this kernel counts it."""

from sandbox.supervisor.cgroup.files import Counters

__all__ = ["Peak"]


class Peak:
    """As the kernel counts it in `counted`; or, without that file, the most that looks found.

    Where the limit was met, all of it was in use, however seldom somebody looked.
    """

    def __init__(self, counters: Counters, counted: str, current: str) -> None:
        self._counters, self._counted, self._current = counters, counted, current
        self._most: int | None = None

    def open(self, directory: str, dir_fd: int) -> None:
        """Open the one of the two files that is needed."""
        self._counters.open(directory, (self._counted,), dir_fd)
        if not self._counters.has(self._counted):
            self._counters.open(directory, (self._current,), dir_fd)

    def look(self) -> None:
        """See how much there is now, if nobody counts."""
        now = self._counters.number(self._current)
        if now is not None:
            self._most = max(now, self._most or 0)

    def value(self, met_limit: int | None) -> int | None:
        """The most so far. `met_limit`: the limit, where it is known to have been met."""
        if self._counters.has(self._counted):
            return self._counters.number(self._counted)
        self.look()
        return self._most if met_limit is None else met_limit
