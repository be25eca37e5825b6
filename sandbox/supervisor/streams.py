"""A job's streams: what comes out is counted to the byte, what goes in waits for the reader."""

import contextlib
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from sandbox.spec.limits import Limits
from sandbox.supervisor.ending import Ending
from sandbox.supervisor.failures import OutputError

__all__ = ["PIECE_BYTES", "Output", "feed", "read", "write"]

PIECE_BYTES = 65536
_GATHER_SECONDS = 0.002
_BURST_FRAMES, _FRAMES_A_SECOND = 16.0, 3000.0

Sink = Callable[[str, bytes], Awaitable[None]]


class Output:
    """Reads stdout and stderr, and hands on what the limit allows: exactly up to its last byte."""

    def __init__(self, limits: Limits, sink: Sink, ending: Ending) -> None:
        self._limit_bytes = self._left = limits.output_bytes
        self._sink = sink
        self._ending = ending
        self.bytes = {"stdout": 0, "stderr": 0}
        self.is_over = False  # also where the payload ended before anybody could end it

    async def pump(self, stream: str, fd: int) -> None:
        """Forward one stream until its end. A slow sink slows the job; nothing is buffered here.

        A job that goes on writing little at a time is read again only after some milliseconds: its
        pipe gathers what it writes meanwhile, so that a million small writes are not a million
        frames. A dialogue is never held up.
        """
        frames = _BURST_FRAMES  # small ones that may go on at once
        read_at = trio.current_time()
        while piece := await read(fd):
            allowed = self.count(stream, piece)
            await self.hand_on(stream, allowed)
            if len(allowed) < len(piece):
                self.exceed()  # and read on, so that the writer can be seen to end
            if len(piece) < PIECE_BYTES // 2:
                now = trio.current_time()
                frames = min(_BURST_FRAMES, frames + (now - read_at) * _FRAMES_A_SECOND) - 1
                read_at = now
                if frames < 1:
                    with trio.move_on_after(_GATHER_SECONDS):
                        await self._ending.over.wait()

    def count(self, stream: str, piece: bytes) -> bytes:
        """As much of a piece as the limit allows, which is then used up by it."""
        allowed = piece[: self._left]
        self._left -= len(allowed)
        self.bytes[stream] += len(allowed)
        return allowed

    async def hand_on(self, stream: str, allowed: bytes) -> None:
        """Give the caller what was counted. A caller that has hung up has enough of the job."""
        try:
            if allowed:
                await self._sink(stream, allowed)
        except BrokenPipeError:
            self._ending.limit("cancelled", f"nobody reads {stream} any more")
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from error

    def exceed(self) -> None:
        """More was written than is allowed."""
        self.is_over = True
        self._ending.limit("output")

    @property
    def total_bytes(self) -> int:
        """What was forwarded so far, of both streams."""
        return self._limit_bytes - self._left


async def feed(source: AsyncIterator[bytes], fd: int, counter: Callable[[int], None]) -> None:
    """Write `source` to the job until it ends or the job reads no more. The caller closes `fd`."""
    with contextlib.suppress(BrokenPipeError):
        async for piece in source:
            await write(fd, piece, counter)


async def write(fd: int, data: bytes, counter: Callable[[int], None] | None = None) -> None:
    """Write all of `data` to an fd that does not block; `counter` hears of each part at once."""
    view = memoryview(data)
    while view:
        try:
            written = os.write(fd, view)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(fd)
            continue
        if counter is not None:
            counter(written)
        view = view[written:]


async def read(fd: int, most: int = PIECE_BYTES) -> bytes:
    """The next bytes of an fd that does not block, at most so many; none at its end."""
    while True:
        try:
            return os.read(fd, most)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(fd)
        except OSError as error:
            if error.errno == errno.EIO:  # a terminal whose last slave is closed, pty(7)
                return b""
            raise
