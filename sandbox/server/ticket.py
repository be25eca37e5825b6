"""A job's place in the queue, and then its room among the running ones."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from types import TracebackType

import trio

from sandbox.server.demand import Amount
from sandbox.server.shares import Account
from sandbox.spec.errors import RefusedError

__all__ = ["State", "Ticket"]


class State(enum.Enum):
    """What a ticket holds: a place in its queue, its room, or nothing."""

    QUEUED = enum.auto()
    ADMITTED = enum.auto()
    OVER = enum.auto()  # refused, or released


class Ticket:
    """What Admission hands out for a job; as a context manager it releases itself.

    Whatever becomes of the job, `release` must be called: a ticket holds its place, or its room
    and cores, until then.
    """

    __slots__ = (
        *("_decided", "_expire", "_leave", "_refusal"),
        *("account", "admitted_at", "amount", "blocked_at", "cores", "expires_at", "priority"),
        "state",
    )

    def __init__(
        self,
        account: Account[Ticket],
        amount: Amount,
        priority: int,
        expires_at: float,
        leave: Callable[[Ticket], None],
        expire: Callable[[Ticket], None],
    ) -> None:
        self.state = State.QUEUED
        self.account, self.amount, self.priority = account, amount, priority
        self.expires_at = expires_at
        self.blocked_at = math.inf  # since when it was its turn, and there was too little room
        self.admitted_at = math.inf
        self.cores: tuple[int, ...] = ()
        self._leave, self._expire = leave, expire
        self._decided = trio.Event()
        self._refusal: tuple[str, float | None] = ("it was released before it was admitted", None)

    @property
    def position(self) -> int:
        """Its place in the queue of its tenant: 1 is next; 0: it is not queued."""
        return self.account.waiting.place(self) if self.state is State.QUEUED else 0

    async def admitted(self) -> None:
        """Return when the job may start.

        Raises RefusedError: with a time to retry, it was queued for too long, or the server
        drains; without, it was released meanwhile, or fits its tenant's cap no more.
        """
        if self.state is State.QUEUED:
            with trio.move_on_at(self.expires_at):
                await self._decided.wait()
            if self.state is State.QUEUED:
                self._expire(self)
        else:
            await trio.lowlevel.checkpoint()
        if self.state is not State.ADMITTED:
            raise RefusedError(*self._refusal)

    def release(self) -> None:
        """Give back all that it holds, be it a place in the queue. At any time, any number."""
        if self.state is not State.OVER:
            self._leave(self)

    def admit(self, cores: tuple[int, ...], now: float) -> None:
        """It has its room: wake who waits for it."""
        self.state, self.cores, self.admitted_at = State.ADMITTED, cores, now
        self._decided.set()

    def close(self, refusal: tuple[str, float | None] | None = None) -> None:
        """It holds nothing any more; who waits for it gets `refusal`: a problem, when to retry."""
        self.state, self.cores = State.OVER, ()
        self._refusal = refusal or self._refusal
        self._decided.set()

    def __enter__(self) -> Ticket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
