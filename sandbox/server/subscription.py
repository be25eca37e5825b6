"""One stream that is pushed to a client, as far as its credit goes."""

from typing import Protocol

import trio

from sandbox.spec.errors import HostError
from sandbox.wire.credits import Credits
from sandbox.wire.errors import error_to_map
from sandbox.wire.messages import Notification, encode

__all__ = ["Source", "Subscription"]

_PIECE_BYTES = 64 << 10


class Source(Protocol):
    """Numbered bytes that come: an output of a job, or what a layer above has to tell."""

    def read(self, offset: int, most_bytes: int) -> bytes:
        """What is there from `offset` on. Raises HostError, OSError: it is lost."""
        ...

    def is_end(self, offset: int) -> bool:
        """Whether nothing is and nothing will be there from `offset` on."""
        ...

    async def readable(self, offset: int) -> None:
        """Wait until there is a byte at `offset`, or it is the end."""
        ...


class Subscription:
    """What has been pushed of a stream, and what may be."""

    def __init__(self, number: int, source: Source, offset: int, credit_bytes: int) -> None:
        """`offset`: of the first byte to be pushed."""
        self.number = number
        self._source, self._offset = source, offset
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
            await self._source.readable(self._offset)
            while self._credits.left_bytes == 0 and not self._source.is_end(self._offset):
                await self._granted.park()
        return not self._is_closed

    def next_bytes(self) -> bytes:
        """The message that comes next, to be sent at once."""
        place = {"subscription": self.number, "offset": self._offset}
        try:
            data = self._source.read(self._offset, min(_PIECE_BYTES, self._credits.left_bytes))
        except (HostError, OSError) as error:  # its file is gone, with an old job or by a fault
            self._is_ended = True
            return encode(Notification("stream.end", ({**place, "error": error_to_map(error)},)))
        if not data and self._source.is_end(self._offset):
            self._is_ended = True
            return encode(Notification("stream.end", (place,)))
        self._credits.spend(len(data))
        self._offset += len(data)
        return encode(Notification("stream.data", ({**place, "data": data},)))
