"""What comes in on one connection: messages, in bounded time and within its tenant's memory."""

import math
from collections.abc import Awaitable, Callable

import trio

from sandbox.server.intake import TenantIntake
from sandbox.server.metrics import Metrics
from sandbox.spec.errors import ProtocolError
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES, Decoder
from sandbox.wire.messages import Message

__all__ = ["Receiver"]

_RECEIVE_BYTES = 64 << 10
_SMALL_BYTES = STRANGER_FRAME_BYTES  # of a frame; who sends more of it must have room for it
_FRAME_SECONDS = 60.0  # from a frame's first byte to its last


class Receiver:
    """Receives from a stream that others may write, but not read."""

    def __init__(
        self, stream: trio.abc.ReceiveStream, metrics: Metrics, intake: TenantIntake
    ) -> None:
        """`intake`: a stranger's, until `accept`."""
        self._stream, self._metrics = stream, metrics
        self._decoder = Decoder()
        self._intake = intake
        self._has_room = False

    def accept(self, intake: TenantIntake) -> None:
        """Take large frames from here on: the peer has said who it is."""
        self._intake = intake
        self._decoder.accept(FRAME_BYTES)

    async def receive(self, take: Callable[[Message], Awaitable[None]]) -> None:
        """Have every message taken, one after the other, until the stream ends.

        Raises ProtocolError: what comes is no message, or too large, or too slow.
        """
        frame_ends_at = math.inf
        while True:
            with trio.CancelScope(deadline=frame_ends_at) as patience:
                if self._decoder.held_bytes >= _SMALL_BYTES and not self._has_room:
                    await self._intake.take_frame()
                    self._has_room = True
                data = await self._stream.receive_some(
                    _RECEIVE_BYTES if self._has_room else _SMALL_BYTES
                )
            if patience.cancelled_caught:
                raise ProtocolError("a frame was not sent in time; the connection is closed")
            if not data:
                self._decoder.end()
                return
            self._metrics.bytes.add("received", count=len(data))
            self._decoder.feed(data)
            if await self._pass_on(take):
                frame_ends_at = math.inf
            if not self._decoder.held_bytes:
                self.give_back_room()
            else:
                frame_ends_at = min(frame_ends_at, trio.current_time() + _FRAME_SECONDS)

    def give_back_room(self) -> None:
        """Let another connection have what this one has for a frame. Idempotent."""
        if self._has_room:
            self._has_room = False
            self._intake.give_back_frame()

    async def _pass_on(self, take: Callable[[Message], Awaitable[None]]) -> bool:
        """Whether a message was whole."""
        count = 0
        while True:
            if self._intake.is_owing:
                await self._intake.turn()
            message = self._intake.metered(self._decoder.next_message)
            if message is None:
                return count > 0
            count += 1
            await take(message)
