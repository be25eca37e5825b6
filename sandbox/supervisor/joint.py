"""Pipes between jobs: what comes out of one goes into the other, piece by piece."""

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Callable

import trio

from sandbox.kernel.waiting import poll_briefly
from sandbox.supervisor.lifecycle import Run
from sandbox.supervisor.streams import PIECE_BYTES
from sandbox.supervisor.waits import READ, WRITE

__all__ = ["Joint", "carry"]

_COUNT = struct.Struct("i")
# A turn of trio's scheduler costs four times what a piece does, and two jobs that talk to each
# other answer within microseconds: so a short while of each turn is spent here.
_TURN_SECONDS = 0.0005
_ANSWER_SECONDS = 0.00005


class Joint:
    """A stream between two running jobs, which behaves as one pipe of the kernel's would.

    Where the reader waits, the writer comes to wait: no more than a piece is in hand. The reader's
    EOF comes behind all that was written. Where the reader is gone, the writer's next write fails.
    """

    def __init__(
        self,
        source: Run,
        stream: str,
        target: Run,
        events: select.epoll,
        *,
        is_recorded: bool,
        closed: Callable[[str], None],
    ) -> None:
        """Takes the supervisor's ends of both streams over. `events`: is told what to wait for.

        `closed`: is told whether the "source" or the "target" closed its end, before the other can
        see that. Raises OSError: they cannot be waited for, and are closed.
        """
        self.moved_bytes = 0  # into our hands, and out of them
        self._output, self._stream = source.output, stream
        self._count_stdin = target.count_stdin
        self._is_recorded = is_recorded
        self._closed = closed
        self._held = b""  # in our hands
        self._is_source_dead = False
        self._drained = trio.Event()
        self._events = events
        self._watched: dict[int, int] = {}
        self._source_fd, self._target_fd = source.take_output(stream), target.take_stdin()
        try:
            # As the lookout names them: what a thread of the one or the other may wait for.
            self.read_wait = _wait(READ, self._target_fd)
            self.write_wait = _wait(WRITE, self._source_fd)
            self._watch()
        except OSError:
            self.close()
            raise
        source.drains.append(self._drain)

    async def step(self, fd: int, happened: int) -> None:
        """Something happened, at one of our ends or at another's."""
        if fd not in (self._source_fd, self._target_fd):
            return
        try:
            if fd == self._source_fd:
                await self._take()
            elif happened & select.EPOLLERR:  # nobody reads, poll(2)
                self._lose_target()
            if self._held and self.is_open:
                self._give()
        except BrokenPipeError:
            self._lose_target()
        if self._source_fd < 0 and not self._held:
            self.close()
        self._watch()

    def close(self) -> None:
        """Close both ends: EOF for the reader, EPIPE for the writer. Idempotent."""
        self._close_source()
        if self._target_fd >= 0:
            self._forget(self._target_fd)
            self._target_fd, self._held = -1, b""

    @property
    def is_open(self) -> bool:
        """Whether anything is left to be carried."""
        return self._target_fd >= 0

    def is_starved(self) -> bool:
        """Whether the reader has read all that was written, and the writer can still write."""
        return (
            self._is_whole()
            and not self._held
            and not _happened(self._source_fd, select.POLLIN)
            and not _happened(self._target_fd, 0)
            and not _unread_bytes(self._target_fd)
        )

    def is_stuck(self) -> bool:
        """Whether there is no room for what was written, and the reader can still read."""
        is_held = self._is_whole() and bool(self._held)
        return is_held and not _happened(self._target_fd, select.POLLOUT)

    def _lose_target(self) -> None:
        if self._source_fd >= 0:
            self._closed("target")
        self.close()

    def _is_whole(self) -> bool:
        return self._source_fd >= 0 and self._target_fd >= 0

    async def _take(self) -> None:
        try:
            piece = os.read(self._source_fd, PIECE_BYTES)
        except BlockingIOError:  # a job can read its own output, by /dev/stdout
            return
        if not piece:
            self._closed("source")
            self._close_source()
            return
        allowed = self._output.count(self._stream, piece)
        self.moved_bytes += len(allowed)
        self._held += allowed
        if self._is_recorded:
            await self._output.hand_on(self._stream, allowed)
        if len(allowed) < len(piece):
            self._output.exceed()

    def _give(self) -> None:
        try:
            written = os.write(self._target_fd, self._held)
        except BlockingIOError:
            return
        self._count_stdin(written)
        self.moved_bytes += written
        self._held = self._held[written:]

    async def _drain(self) -> None:
        """The writer is dead: take what it left in its pipe, however slow the reader is, so that
        its Result need not wait for that one. No more than a pipe may hold: fcntl(2), F_SETPIPE_SZ.
        """
        self._is_source_dead = True
        self._watch()
        await self._drained.wait()

    def _watch(self) -> None:
        """Wait at the writer's end while there is nothing in hand, else for room at the other."""
        if self._source_fd >= 0:
            # Not asked for anything, it would still tell of its hang-up: epoll_ctl(2).
            wanted = select.EPOLLIN if self._is_source_dead or not self._held else None
            self._ask(self._source_fd, wanted)
        if self._target_fd >= 0:
            self._ask(self._target_fd, select.EPOLLOUT if self._held else 0)

    def _ask(self, fd: int, wanted: int | None) -> None:
        if wanted == self._watched.get(fd):
            return
        if wanted is None:
            self._events.unregister(fd)
            del self._watched[fd]
            return
        if fd in self._watched:
            self._events.modify(fd, wanted)
        else:
            self._events.register(fd, wanted)
        self._watched[fd] = wanted

    def _close_source(self) -> None:
        if self._source_fd >= 0:
            self._forget(self._source_fd)
            self._source_fd = -1
            self._drained.set()

    def _forget(self, fd: int) -> None:
        self._ask(fd, None)
        os.close(fd)


async def carry(joints: list[Joint], events: select.epoll) -> None:
    """Carry all bytes of one pipeline, whose joints share `events`, until none can come any more.

    A recorder that is slow slows its pipeline. Whatever happens, all is closed at the end.
    """
    try:
        while any(joint.is_open for joint in joints):
            await trio.lowlevel.wait_readable(events.fileno())
            ends_at = time.monotonic() + _TURN_SECONDS
            while True:
                for fd, happened in events.poll(0):
                    for joint in joints:
                        await joint.step(fd, happened)
                is_late = time.monotonic() >= ends_at
                if is_late or not poll_briefly(events.fileno(), _ANSWER_SECONDS):
                    break
    finally:
        for joint in joints:
            joint.close()
        events.close()


def _happened(fd: int, events: int) -> bool:
    looking = select.poll()
    looking.register(fd, events)
    return bool(looking.poll(0))


def _wait(kind: bytes, fd: int) -> bytes:
    found = os.fstat(fd)
    return b"%b:%d:%d" % (kind, found.st_dev, found.st_ino)


def _unread_bytes(fd: int) -> int:
    count: int = _COUNT.unpack(fcntl.ioctl(fd, termios.FIONREAD, bytes(_COUNT.size)))[0]
    return count
