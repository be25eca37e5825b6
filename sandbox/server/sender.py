"""What goes out on one connection: one message after the other, as fast as the client takes them.

A message is made when its turn has come. So a client that does not read holds one of them in our
memory, and waits for itself.
"""

from collections.abc import Callable

import trio

from sandbox.server.metrics import Metrics

__all__ = ["Sender"]

_PIECE_BYTES = 16 << 10  # each must get through within _PIECE_SECONDS: a slow reader makes progress
_PIECE_SECONDS = 60.0
_LAST_SECONDS = 1.0


class Sender:
    """Sends on a stream that others may read, but not write."""

    def __init__(self, stream: trio.abc.SendStream, metrics: Metrics, gone: Callable[[], None]):
        """`gone` is called when the client has not read for too long."""
        self._stream, self._metrics, self._gone = stream, metrics, gone
        self._turns = trio.StrictFIFOLock()

    async def send(self, make: Callable[[], bytes]) -> None:
        """Send what `make` gives when the turn has come.

        Raises BrokenResourceError: the client has gone, or does not read.
        """
        async with self._turns:
            data = make()
            self._metrics.bytes.add("sent", count=len(data))
            left = memoryview(data)
            while left:
                later = left[_PIECE_BYTES:]
                with trio.move_on_after(_PIECE_SECONDS) as patience:
                    while len(left) > len(later):
                        left = left[await self._send_some(left) :]
                if patience.cancelled_caught:
                    self._gone()
                    raise trio.BrokenResourceError

    async def send_last(self, data: bytes) -> None:
        """Send that if it gets through soon; the connection is to be closed after it."""
        with trio.move_on_after(_LAST_SECONDS, shield=True):
            await self.send(lambda: data)

    async def _send_some(self, data: memoryview) -> int:
        """As much as the kernel takes now, or some of it later: so many bytes."""
        if isinstance(self._stream, trio.SocketStream):
            try:
                # All of it at once, where there is room: each call is a turn of the loop.
                return await self._stream.socket.send(data)
            except OSError as error:
                raise trio.BrokenResourceError from error
        await self._stream.send_all(data[:_PIECE_BYTES])
        return min(len(data), _PIECE_BYTES)
