"""One output that is pushed to a client, as far as its credit goes."""

import trio

from sandbox.server.spool import Spool
from sandbox.wire.credits import Credits
from sandbox.wire.messages import Notification

__all__ = ["Subscription"]

_PIECE_BYTES = 64 << 10


class Subscription:
    """What has been pushed of a stream, and what may be."""

    def __init__(self, number: int, spool: Spool, offset: int, credit_bytes: int) -> None:
        """`offset`: of the first byte to be pushed."""
        self.number = number
        self.scope = trio.CancelScope()
        self._spool, self._offset = spool, offset
        self._credits = Credits()
        self._credits.grant(credit_bytes)
        self._granted = trio.lowlevel.ParkingLot()
        self._is_ended = False

    def grant(self, credit_bytes: int) -> None:
        """Let so many bytes more be pushed. Raises ProtocolError: too many in sum."""
        self._credits.grant(credit_bytes)
        self._granted.unpark_all()

    def close(self) -> None:
        """Push no more."""
        self.scope.cancel()

    async def ready(self) -> bool:
        """Wait until there is something to push. False: the end was told."""
        if self._is_ended:
            return False
        await self._spool.readable(self._offset)
        while self._credits.left_bytes == 0 and not self._spool.is_end(self._offset):
            await self._granted.park()
        return True

    def next_message(self) -> Notification:
        """What comes next, to be sent at once."""
        data = self._spool.read(self._offset, min(_PIECE_BYTES, self._credits.left_bytes))
        place = {"subscription": self.number, "offset": self._offset}
        if not data and self._spool.is_end(self._offset):
            self._is_ended = True
            return Notification("stream.end", (place,))
        self._credits.spend(len(data))
        self._offset += len(data)
        return Notification("stream.data", ({**place, "data": data},))
