"""How a job came to end: the first reason that somebody gave, and the payload's own status."""

from collections.abc import Callable

import trio

__all__ = ["Ending"]


class Ending:
    """Keeps the first reason to end a job, and has the payload killed for it."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self.over = trio.Event()  # the payload's own process is dead, or never was
        self.verdict: str | None = None  # None: it ended by itself
        self.evidence: list[str] = []
        self.note = ""  # what a reason of ours is to be read with, if one comes
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.ended_at = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether the job has ended, or soon will."""
        return self.verdict is not None or self.over.is_set()

    def limit(self, verdict: str, *evidence: str) -> None:
        """End the job for this reason, unless another came first or it has ended by itself."""
        if self.verdict is None and not self.over.is_set():
            self.verdict = verdict
            self.evidence += [*evidence, self.note] if self.note else evidence
            self._kill()

    def exited(self, *, signaled: bool, status: int) -> None:
        """The payload's own process is dead."""
        self.exit_code, self.signal = (None, status) if signaled else (status, None)
        self.ended_at = trio.current_time()
        self.over.set()
