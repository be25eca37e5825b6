"""Numbered bytes that come: how many there are, and who waits for more."""

import trio

__all__ = ["Growing"]


class Growing:
    """What a Source is made of, whatever keeps its bytes."""

    def __init__(self, size_bytes: int = 0) -> None:
        self.size_bytes = size_bytes
        self.is_complete = False
        self._readers = trio.lowlevel.ParkingLot()

    def is_end(self, offset: int) -> bool:
        """Whether nothing is and nothing will be there from `offset` on."""
        return self.is_complete and offset >= self.size_bytes

    async def readable(self, offset: int) -> None:
        """Wait until there is a byte at `offset`, or it is the end."""
        while offset >= self.size_bytes and not self.is_complete:
            await self._readers.park()

    def finish(self) -> None:
        """Nothing more comes."""
        self.is_complete = True
        self._readers.unpark_all()

    def _grow(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        self._readers.unpark_all()
