"""How fast a job's output comes to its caller, and how fast a plain pipe is read."""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import trio

from bench.rounds import Measure

__all__ = ["STREAM_MIB", "Clock", "framed", "plain"]

STREAM_MIB = 256
_PIECE_BYTES = 65536
_BIN32 = struct.Struct(">BI")  # msgpack: 0xc6, then the length of the bytes that follow

Sink = Callable[[str, bytes], Awaitable[None]]


class Clock:
    """MiB a second from the first piece to the last: neither a start nor an end is in it."""

    def __init__(self) -> None:
        self._bytes = self._started_at = self._seen_at = 0.0

    def count(self, size: int) -> None:
        self._seen_at = time.perf_counter()
        if not self._started_at:
            self._started_at = self._seen_at
        else:
            self._bytes += size

    def rate(self) -> float:
        return self._bytes / (self._seen_at - self._started_at) / (1 << 20)


def framed(run: Callable[[Sink], Awaitable[object]]) -> Measure:
    """Run a job whose sink passes each piece on, framed, to another process; MiB a second."""

    async def measure() -> Sequence[float]:
        clock = Clock()
        with _reader() as peer:

            async def sink(_stream: str, data: bytes) -> None:
                clock.count(len(data))
                await _send_all(peer, _BIN32.pack(0xC6, len(data)), data)

            await run(sink)
        return [clock.rate()]

    return measure


def plain(program: str, *arguments: str) -> Measure:
    """Read what a program writes to a pipe, and drop it; MiB a second."""

    async def measure() -> Sequence[float]:
        clock = Clock()
        with subprocess.Popen((program, *arguments), stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdout is not None
            async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as stream:
                while piece := await stream.receive_some(_PIECE_BYTES):
                    clock.count(len(piece))
        return [clock.rate()]

    return measure


@contextmanager
def _reader() -> Iterator[trio.socket.SocketType]:
    """A unix socket whose other end a process reads and drops."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen(("cat",), stdin=theirs.fileno(), stdout=subprocess.DEVNULL):
        theirs.close()
        with trio.socket.from_stdlib_socket(ours) as peer:
            yield peer


async def _send_all(peer: trio.socket.SocketType, header: bytes, data: bytes) -> None:
    # Two buffers in one call: to join them would copy every byte once more.
    sent = await peer.sendmsg([header, data])
    while sent < len(header) + len(data):
        sent += await peer.send(memoryview(data)[sent - len(header) :])
