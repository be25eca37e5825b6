"""One output that is pushed to a client, as far as its credit goes."""

import trio

from sandbox.server.spool import Spool
from sandbox.spec.errors import HostError
from sandbox.wire.credits import Credits
from sandbox.wire.errors import error_to_map
from sandbox.wire.messages import Notification, encode

__all__ = ["Subscription"]

_PIECE_BYTES = 64 << 10


class Subscription:
    """What has been pushed of a stream, and what may be."""

    def __init__(self, number: int, spool: Spool, offset: int, credit_bytes: int) -> None:
        """`offset`: of the first byte to be pushed."""
        self.number = number
        self._spool, self._offset = spool, offset
        self._credits = Credits()
        self._credits.grant(credit_bytes)
        self._granted = trio.lowlevel.ParkingLot()
        self._waiting = trio.CancelScope()
        self._is_closed = self._is_ended = False

    def grant(self, credit_bytes: int) -> None:
        """Let so many bytes more be pushed. Raises ProtocolError: too many in sum."""
        self._credits.grant(credit_bytes)
        self._granted.unpark_all()

    def close(self) -> None:
        """Push no more."""
        self._is_closed = True
        self._waiting.cancel()

    async def ready(self) -> bool:
        """Wait until there is something to push. False: nothing will be."""
        if self._is_ended or self._is_closed:
            return False
        with trio.CancelScope() as self._waiting:
            await self._spool.readable(self._offset)
            while self._credits.left_bytes == 0 and not self._spool.is_end(self._offset):
                await self._granted.park()
        return not self._is_closed

    def next_bytes(self) -> bytes:
        """The message that comes next, to be sent at once."""
        place = {"subscription": self.number, "offset": self._offset}
        try:
            data = self._spool.read(self._offset, min(_PIECE_BYTES, self._credits.left_bytes))
        except (HostError, OSError) as error:  # its file is gone, with an old job or by a fault
            self._is_ended = True
            return encode(Notification("stream.end", ({**place, "error": error_to_map(error)},)))
        if not data and self._spool.is_end(self._offset):
            self._is_ended = True
            return encode(Notification("stream.end", (place,)))
        self._credits.spend(len(data))
        self._offset += len(data)
        return encode(Notification("stream.data", ({**place, "data": data},)))
