"""A job's output as it comes: pushed by the server, as much of it as is asked for."""

from __future__ import annotations

import contextlib
import weakref
from types import TracebackType
from typing import TYPE_CHECKING

import trio

from sandbox.client.aio_link import AsyncLink
from sandbox.client.errors import DisconnectedError
from sandbox.client.subscription import Subscription
from sandbox.spec.errors import SandboxError

if TYPE_CHECKING:
    from sandbox.client.aio import AsyncClient

__all__ = ["Stream"]


class Stream:
    """The bytes of one output stream, in pieces, for one task to iterate over.

    At most a mebibyte is on its way or unread; then the server waits. A connection that is lost is
    made again, and the stream goes on at the next byte. It ends by itself, by `close`, or when
    nobody has it any more.
    """

    def __init__(
        self, client: AsyncClient, job: str, stream: str, offset: int, *, is_lasting: bool
    ) -> None:
        """Made by a job's handle. `is_lasting`: the job outlives its connection."""
        self.offset = offset  # of the byte that comes next
        self._client = client
        self._job, self._stream = job, stream
        self._is_lasting = is_lasting
        self._link: AsyncLink | None = None
        self._subscription: Subscription | None = None
        self._news = trio.Event()
        self._is_closed = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes. Raises NotFoundError, DisconnectedError."""
        while not self._is_closed:
            try:
                piece = await self._next()
            except DisconnectedError:
                if not self._is_lasting:
                    raise
                self._subscription = None
                continue
            if not piece:
                self.close()
                break
            self.offset += len(piece)
            return piece
        raise StopAsyncIteration

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A loop that was left by `break` has nobody who would close this.
        with contextlib.suppress(SandboxError, RuntimeError):
            self.close()

    def close(self) -> None:
        """Have the server send no more of it."""
        self._is_closed = True
        subscription, self._subscription = self._subscription, None
        if subscription is not None and not subscription.is_over and self._link is not None:
            self._link.unsubscribe(subscription)

    async def _next(self) -> bytes:
        if self._subscription is None:
            await self._client.connected(self._open, is_repeatable=self._is_lasting)
        subscription, link = self._subscription, self._link
        assert subscription is not None and link is not None
        await trio.lowlevel.checkpoint()
        while not subscription.is_ready:
            self._news = trio.Event()
            await self._news.wait()
        piece = subscription.take()
        link.grant(subscription)
        return piece

    async def _open(self, link: AsyncLink) -> None:
        reader = weakref.ref(self)  # whom the connection must not keep alive

        def wake() -> None:
            if (stream := reader()) is not None:
                stream._news.set()

        subscription = Subscription(self.offset, wake)
        await link.subscribe(self._job, self._stream, subscription, self._client.answer_seconds)
        self._link, self._subscription = link, subscription
