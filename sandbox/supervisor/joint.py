"""One pipe between two jobs: what comes out of one goes into the other, piece by piece."""

import contextlib
import fcntl
import os
import select
import struct
import termios
from collections.abc import Awaitable, Callable

import trio

from sandbox.supervisor.lifecycle import Run
from sandbox.supervisor.streams import PIECE_BYTES

__all__ = ["Joint"]

_COUNT = struct.Struct("i")


class Joint:
    """Carries a stream between two running jobs, and behaves as one pipe of the kernel's would.

    Where the reader waits, the writer comes to wait: no more than a piece is in hand. The reader's
    EOF comes behind all that was written. Where the reader is gone, the writer's next write fails.
    """

    def __init__(self, source: Run, stream: str, target: Run, *, is_recorded: bool) -> None:
        """Takes the supervisor's ends of both streams over."""
        self.moved_bytes = 0  # into our hands, and out of them
        self._output, self._stream = source.output, stream
        self._count_stdin = target.count_stdin
        self._is_recorded = is_recorded
        self._source_fd, self._target_fd = source.take_output(stream), target.take_stdin()
        self._held = b""  # in our hands
        self._is_recording = self._is_source_dead = self._is_reader_gone = False
        self._drained = trio.Event()
        self._waiting = trio.CancelScope()
        source.drains.append(self._drain)

    async def carry(self) -> None:
        """Until everything is carried that will be."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_reader)
                with contextlib.suppress(BrokenPipeError):
                    await self._carry()
                nursery.cancel_scope.cancel()
        finally:
            self._close_source()
            os.close(self._target_fd)
            self._target_fd = -1

    def is_starved(self) -> bool:
        """Whether the reader has read all that was written, and the writer can still write."""
        return (
            self._is_between_two()
            and not self._held
            and not _happened(self._source_fd, select.POLLIN)
            and not _unread_bytes(self._target_fd)
        )

    def is_stuck(self) -> bool:
        """Whether there is no room for what was written, and the reader can still read."""
        return (
            self._is_between_two()
            and bool(self._held)
            and not _happened(self._target_fd, select.POLLOUT)
        )

    def _is_between_two(self) -> bool:
        is_open = self._source_fd >= 0 and self._target_fd >= 0
        return is_open and not (self._is_recording or self._is_source_dead or self._is_reader_gone)

    async def _carry(self) -> None:
        while not self._is_reader_gone:
            if self._source_fd >= 0 and self._is_source_dead:
                await self._take()
            elif self._held:
                await self._give()
            elif self._source_fd >= 0:
                # Waited for, without a read that would mostly fail; and so a fast pair of jobs
                # leaves the supervisor its turn.
                await self._wait(trio.lowlevel.wait_readable, self._source_fd)
                await self._take()
            else:
                return

    async def _take(self) -> None:
        try:
            piece = os.read(self._source_fd, PIECE_BYTES)
        except BlockingIOError:
            return
        if not piece:
            self._close_source()
            return
        allowed = self._output.count(self._stream, piece)
        if self._is_recorded:
            self._is_recording = True
            await self._output.hand_on(self._stream, allowed)
            self._is_recording = False
        self._held += allowed
        self.moved_bytes += len(allowed)
        if len(allowed) < len(piece):
            self._output.exceed()

    async def _give(self) -> None:
        try:
            written = os.write(self._target_fd, self._held)
        except BlockingIOError:
            await self._wait(trio.lowlevel.wait_writable, self._target_fd)
            return
        self._count_stdin(written)
        self.moved_bytes += written
        self._held = self._held[written:]

    async def _wait(self, wait: Callable[[int], Awaitable[None]], fd: int) -> None:
        with trio.CancelScope() as self._waiting:
            await wait(fd)

    async def _watch_reader(self) -> None:
        await trio.lowlevel.wait_readable(self._target_fd)  # POLLERR, once nobody reads, poll(2)
        self._is_reader_gone = True
        self._waiting.cancel()

    async def _drain(self) -> None:
        """The writer is dead: take what it left in its pipe, however slow the reader is, so that
        its Result need not wait for that one. No more than a pipe may hold: fcntl(2), F_SETPIPE_SZ.
        """
        self._is_source_dead = True
        self._waiting.cancel()
        await self._drained.wait()

    def _close_source(self) -> None:
        if self._source_fd >= 0:
            os.close(self._source_fd)
            self._source_fd = -1
            self._drained.set()


def _happened(fd: int, events: int) -> bool:
    looking = select.poll()
    looking.register(fd, events)
    return bool(looking.poll(0))


def _unread_bytes(fd: int) -> int:
    count: int = _COUNT.unpack(fcntl.ioctl(fd, termios.FIONREAD, bytes(_COUNT.size)))[0]
    return count
