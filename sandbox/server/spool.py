"""The numbered bytes of one stream: of what a job writes, and of what it is to read.

An output is kept whole, in memory while it is small and then in a file, so that nobody who reads
it slowly, late or twice slows the job or us. An input is a window: it waits for the job.
"""

import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from sandbox.server.growing import Growing
from sandbox.spec.errors import HostError
from sandbox.wire.errors import InvalidParamsError

__all__ = ["MEMORY_BYTES", "Input", "Spool"]

MEMORY_BYTES = 16 << 10  # of an output; more goes to its file
_WINDOW_BYTES = 256 << 10
_PIECE_BYTES = 64 << 10


class Spool(Growing):
    """One output stream of one job."""

    def __init__(self, path: Path, data: bytes = b"") -> None:
        """`path`: its file, made when it is needed. `data`: all of it, if that has none."""
        super().__init__(len(data))
        self._path = path
        self._memory = bytearray(data)
        self._fd = -1
        self._is_in_file = False

    @classmethod
    def kept(cls, path: Path, data: bytes | None) -> "Spool":
        """The complete stream of a job that has ended; None: it is in the file."""
        spool = cls(path, data or b"")
        if data is None:
            spool._is_in_file = True
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile, with its job
                spool.size_bytes = path.stat().st_size
        spool.is_complete = True
        return spool

    @property
    def data(self) -> bytes | None:
        """All of it, or None where it is in the file."""
        return None if self._is_in_file else bytes(self._memory)

    def append(self, data: bytes) -> None:
        """Keep what the job has written. Raises HostError: there is no room for it."""
        if not self._is_in_file and self.size_bytes + len(data) <= MEMORY_BYTES:
            self._memory += data
        else:
            try:
                self.spill()
                _write(self._fd, data)
            except OSError as error:
                self._cut()
                raise HostError(
                    f"output cannot be spooled to {self._path.parent}: {error.strerror};"
                    " fix: free some of that disk"
                ) from error
        self._grow(len(data))

    def spill(self) -> None:
        """Have it in the file, which outlives us, from here on. Raises OSError."""
        if self._is_in_file:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            _write(fd, self._memory)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        self._memory = bytearray()
        self._is_in_file = True

    def finish(self) -> None:
        """Nothing more comes."""
        self.close()
        super().finish()

    def close(self) -> None:
        """Close its file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def sync(self) -> None:
        """Have it on the disk, fsync(2). Raises OSError."""
        if self._is_in_file:
            with self._opened() as fd:
                os.fsync(fd)

    def read(self, offset: int, most_bytes: int) -> bytes:
        """What is there from `offset` on; nothing beyond the end. Raises HostError."""
        if not self._is_in_file:
            return bytes(memoryview(self._memory)[offset : offset + most_bytes])
        try:
            with self._opened() as fd:
                return os.pread(fd, most_bytes, offset)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise HostError(f"{self._path} was removed; the output is lost") from error
        except OSError as error:
            raise HostError(f"{self._path} cannot be read: {error.strerror}; fix that") from error

    def _cut(self) -> None:
        # What was written of a piece that did not fit was never counted, nor told to anybody.
        if self._is_in_file:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size_bytes)

    @contextlib.contextmanager
    def _opened(self):  # type: ignore[no-untyped-def]
        if self._fd >= 0:
            yield self._fd
            return
        fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)


def _write(fd: int, data: bytes | bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


class Input:
    """What clients write to the stdin of one job; each byte has its number."""

    def __init__(self) -> None:
        self.offset = 0  # of the byte that is expected next
        self._waiting = bytearray()
        self._is_ended = False
        self._is_unread = False
        self._moved = trio.lowlevel.ParkingLot()
        self._line: deque[object] = deque()

    def write(self, offset: int, data: bytes, *, end: bool) -> None:
        """Take of `data`, which begins at `offset`, what is new and what there is room for.

        `self.offset` tells what was taken; `end` counts only if that is all. Raises
        InvalidParamsError: a gap, or something beyond the end.
        """
        if self._is_unread:  # as /dev/null: the job has closed it, or is over
            self.offset = max(self.offset, offset + len(data))
            return
        if offset > self.offset:
            raise InvalidParamsError(
                "offset", f"{offset} leaves a gap; the next byte of stdin is {self.offset}"
            )
        fresh = memoryview(data)[self.offset - offset :]
        if self._is_ended:
            if fresh:
                raise InvalidParamsError("offset", f"stdin has ended at byte {self.offset}")
            return
        taken = min(len(fresh), _WINDOW_BYTES - len(self._waiting))
        self._waiting += fresh[:taken]
        self.offset += taken
        if end and taken == len(fresh):
            self._is_ended = True
        self._moved.unpark_all()

    @property
    def writers(self) -> int:
        """How many writes wait, each for its turn or, the first one, for room."""
        return len(self._line)

    def line_up(self) -> object:
        """A place behind the writes that wait; it must be left."""
        place = object()
        self._line.append(place)
        return place

    async def turn(self, place: object) -> None:
        """Wait until that place is the first."""
        while self._line[0] is not place:
            await self._moved.park()

    def leave(self, place: object) -> None:
        """Let the next one write."""
        self._line.remove(place)
        self._moved.unpark_all()

    async def writable(self) -> None:
        """Wait until there is room for something, or no need of it."""
        while len(self._waiting) >= _WINDOW_BYTES and not self._is_unread:
            await self._moved.park()

    def close(self) -> None:
        """The job reads no more: whatever comes is taken, and dropped."""
        self._is_unread = True
        self._waiting.clear()
        self._moved.unpark_all()

    async def pieces(self) -> AsyncIterator[bytes]:
        """What the job is to read."""
        while True:
            while not self._waiting and not self._is_ended:
                await self._moved.park()
            if not self._waiting:
                return
            piece = bytes(self._waiting[:_PIECE_BYTES])
            del self._waiting[:_PIECE_BYTES]
            self._moved.unpark_all()
            yield piece
