"""The lookout as the supervisor sees it: a process that may see what the threads of jobs wait for.

Its own side is sandbox/supervisor/waits.py. It is started for the first pipeline that stands still.
"""

import fcntl
import os
import re
import signal
import socket
import struct
import sys
from typing import NamedTuple

import trio

from sandbox.boundary.channel import LENGTH
from sandbox.supervisor.waits import BASE_FD, CHANNEL_FD

__all__ = ["Lookout", "NotSeenError", "Thread"]

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
    "from sandbox.supervisor.waits import main; main()"
)
_ANSWER_SECONDS = 10  # its interpreter starts meanwhile
_MOST_BYTES = 1 << 20
_LINE = re.compile(rb"(\d{1,20}) (\d{1,20}) (\d{1,20}) ([\w: ]+)")
_TOLD_BY = ("/proc/self/syscall", "/proc/self/timers")  # which a kernel may be built without


class NotSeenError(Exception):
    """This host does not tell what a thread waits for; says why."""


class Thread(NamedTuple):
    """One thread, at one moment. What it waits for: as sandbox/supervisor/waits.py names it."""

    pid: int
    number: int
    switches: int  # how often it gave its CPU up: it has not run between two equal ones
    waits: tuple[bytes, ...]


class Lookout:
    """Answers one question at a time."""

    def __init__(self, base_fd: int) -> None:
        """`base_fd`: the base user namespace, which stays the caller's."""
        self._base_fd = base_fd
        self._asking = trio.Lock()
        self._socket: trio.socket.SocketType | None = None
        self._pid = -1

    async def look(self, pids: list[int]) -> list[Thread]:
        """Every thread of these processes. Raises NotSeenError."""
        async with self._asking:
            try:
                with trio.fail_after(_ANSWER_SECONDS):
                    return await self._ask(pids)
            except (OSError, trio.TooSlowError) as error:
                self.close()
                raise NotSeenError(f"the lookout does not answer: {error}") from error
            except BaseException:
                self.close()  # else the next one would get this answer
                raise

    def close(self) -> None:
        """End the process. Idempotent; another `look` starts another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    async def _ask(self, pids: list[int]) -> list[Thread]:
        if self._socket is None:
            self._socket = self._start()
        request = struct.pack(f"<{len(pids)}i", *pids)
        await _send(self._socket, LENGTH.pack(len(request)) + request)
        (size,) = LENGTH.unpack(await _receive(self._socket, LENGTH.size))
        if size > _MOST_BYTES:
            raise OSError(f"an answer of {size} bytes")
        answer = await _receive(self._socket, size)
        found = [_LINE.fullmatch(line) for line in answer.splitlines()]
        return [
            Thread(int(line[1]), int(line[2]), int(line[3]), tuple(line[4].split()))
            for line in found
            if line is not None
        ]

    def _start(self) -> trio.socket.SocketType:
        for path in _TOLD_BY:
            if not os.path.exists(path):
                raise NotSeenError(f"this kernel has no {path}")
        ours, theirs = socket.socketpair()
        fds = [
            fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, BASE_FD + 1)
            for fd in (theirs.fileno(), self._base_fd)
        ]
        theirs.close()
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGES],
                {"LC_ALL": "C.UTF-8"},
                setsigmask=(),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, fds[0], CHANNEL_FD),
                    (os.POSIX_SPAWN_DUP2, fds[1], BASE_FD),
                ],
            )
            ours.setblocking(False)
            return trio.socket.from_stdlib_socket(ours)
        except BaseException:
            ours.close()
            raise
        finally:
            for fd in fds:
                os.close(fd)


async def _send(to: trio.socket.SocketType, data: bytes) -> None:
    while data:
        data = data[await to.send(data) :]


async def _receive(source: trio.socket.SocketType, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await source.recv(size - len(data))
        if not piece:
            raise ConnectionError("it has ended; its last words are above")
        data += piece
    return data
