"""The end of the service: nothing is accepted any more, and what runs has until a deadline."""

import trio

__all__ = ["Drain"]


class Drain:
    """Whether it has begun, and how long it may take."""

    def __init__(self) -> None:
        self._begun = trio.Event()
        self._patience = trio.CancelScope()

    @property
    def has_begun(self) -> bool:
        """Whether nothing is accepted any more."""
        return self._begun.is_set()

    @property
    def is_overdue(self) -> bool:
        """Whether what has not ended by itself is to be ended."""
        return self._patience.cancel_called

    @property
    def patience(self) -> trio.CancelScope:
        """Is cancelled at the deadline; to be entered once."""
        return self._patience

    def begin_by(self, deadline: float) -> None:
        """Begin. Of several deadlines, in trio's time, the earliest counts."""
        self._patience.deadline = min(self._patience.deadline, deadline)
        self._begun.set()

    async def begun(self) -> None:
        """Wait until it begins."""
        await self._begun.wait()
