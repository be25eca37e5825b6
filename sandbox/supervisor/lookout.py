"""The lookout as the supervisor sees it: a process that may look into sandboxes.

Its own side is sandbox/keeper/lookout.py. A supervisor that has locked itself may not look.
"""

import array
import contextlib
import errno
import os
import re
import resource
import signal
import socket
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from sandbox.boundary.look import ERRNO, LISTEN, OPEN, SEE, WAITS
from sandbox.boundary.report import REPORT_BYTES, Report
from sandbox.spec.errors import SandboxError, ZygoteError
from sandbox.supervisor.keeper import Keeper

if TYPE_CHECKING:
    import trio

__all__ = ["Lookout", "NotSeenError", "Thread"]

_ANSWER_SECONDS = 30  # it is forked meanwhile
_TRIES = 2  # of a question whose lookout dies meanwhile
_MOST_BYTES = 1 << 18
_MOST_FDS = 2
# Of its process, far above what it needs. Not RLIMIT_NOFILE: the kernel counts all fds that this
# user has in flight against that of whoever sends one (ETOOMANYREFS, unix(7)).
_LIMITS = {resource.RLIMIT_AS: 512 << 20, resource.RLIMIT_FSIZE: 0}
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
    """Answers one question at a time. It is started early, and anew where it dies."""

    def __init__(self, keeper: Keeper, base_fd: int, program: bytes) -> None:
        """`base_fd`: the base user namespace, the caller's. `program`: the filter to look under.

        Raises ZygoteError: the keeper is dead.
        """
        self._keeper, self._base_fd, self._program = keeper, base_fd, program
        self._asking: trio.Lock | None = None
        self._socket: socket.socket | None = None
        self.pid = -1  # not told yet
        self._start()

    async def see(
        self, pids: tuple[int, ...], meanwhile: Callable[[], None]
    ) -> list[dict[str, str]]:
        """The namespaces of each process, by name. namespaces(7). `meanwhile`: what there is to do
        while it looks. Raises OSError: what it met; ZygoteError: nobody answers."""
        text, _ = await self._ask(SEE, pids, (), meanwhile)
        return _namespaces(text)

    async def see_and_listen(
        self, pids: tuple[int, ...], pidfd: int, meanwhile: Callable[[], None]
    ) -> tuple[list[dict[str, str]], int]:
        """The same, and the listener's fd of the last of them, which is behind `pidfd`."""
        text, fds = await self._ask(LISTEN, pids, (pidfd,), meanwhile)
        return _namespaces(text), fds[0]

    async def namespaces_around(self, zygote: int) -> frozenset[str]:
        """Every namespace that no sandbox of this zygote may be in: its own and ours."""
        found: dict[str, str] = {}
        with contextlib.suppress(OSError):  # it is dead, which whoever asks it is told
            (found,) = await self.see((zygote,), _nothing)
        own = (os.readlink(entry) for entry in _own_namespaces())
        return frozenset(own) | frozenset(found.values())

    async def open_namespaces(self, pid: int) -> tuple[int, int]:
        """Fds of its user and mount namespaces. Raises as `see`."""
        _, (user_fd, mount_fd) = await self._ask(OPEN, (pid,))
        return user_fd, mount_fd

    async def look(self, pids: list[int]) -> list[Thread]:
        """Every thread of these processes. Raises NotSeenError."""
        for path in _TOLD_BY:
            if not os.path.exists(path):
                raise NotSeenError(f"this kernel has no {path}")
        try:
            text, _ = await self._ask(WAITS, pids)
        except (OSError, SandboxError) as error:
            raise NotSeenError(f"the lookout does not answer: {error}") from error
        found = [_LINE.fullmatch(line) for line in text.splitlines()]
        return [
            Thread(int(line[1]), int(line[2]), int(line[3]), tuple(line[4].split()))
            for line in found
            if line is not None
        ]

    def close(self) -> None:
        """End the process. Idempotent."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.settimeout(_ANSWER_SECONDS)
                self._meet()
            self._socket.close()
            self._socket = None
        if self.pid > 0:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = -1

    def _start(self) -> None:
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._keeper.fork(b"l" + self._program, theirs.fileno(), self._base_fd)
            except BaseException:
                ours.close()
                raise
        self._socket = ours

    async def _ask(
        self,
        kind: bytes,
        pids: Iterable[int],
        fds: tuple[int, ...] = (),
        meanwhile: Callable[[], None] | None = None,
    ) -> tuple[bytes, list[int]]:
        import trio

        if self._asking is None:
            self._asking = trio.Lock()
        if self._asking.locked():
            await self._asking.acquire()
        else:
            self._asking.acquire_nowait()  # spares a turn of the scheduler
        failure: Exception | None = None
        try:
            for left in reversed(range(_TRIES)):
                # Not to be cancelled half way: the answer would be taken for that of the next one.
                with trio.CancelScope(
                    shield=True, deadline=trio.current_time() + _ANSWER_SECONDS
                ) as patience:
                    try:
                        self._send(kind + array.array("i", pids).tobytes(), fds)
                        if meanwhile is not None:
                            try:
                                meanwhile()
                            except Exception as error:
                                failure = error
                            meanwhile = None
                        answer, found = await self._receive()
                        break
                    except OSError as error:
                        # Its answer may come yet, and would be taken for that of the next question.
                        self.close()
                        if not isinstance(error, ConnectionError):
                            raise
                        if not left:
                            raise ZygoteError("the lookout died, twice") from error
                if patience.cancelled_caught:
                    self.close()
                    raise ZygoteError(f"the lookout did not answer for {_ANSWER_SECONDS} s")
        finally:
            self._asking.release()
        code = ERRNO.unpack_from(answer)[0]
        if code:
            failure = OSError(code, os.strerror(code))
        if failure is not None:
            for fd in found:
                os.close(fd)
            raise failure
        return answer[ERRNO.size :], found

    def _send(self, question: bytes, fds: tuple[int, ...]) -> None:
        if self._socket is None:
            self._start()
        assert self._socket is not None
        self._socket.setblocking(False)
        socket.send_fds(self._socket, [question], fds)

    async def _receive(self) -> tuple[bytes, list[int]]:
        if self.pid < 0:
            await self._readable()
            self._meet()
            for number, most in _LIMITS.items():
                resource.prlimit(self.pid, number, (most, most))
        while True:
            try:
                answer, fds, flags, _ = socket.recv_fds(
                    self._opened(), _MOST_BYTES, _MOST_FDS, socket.MSG_CMSG_CLOEXEC
                )
                break
            except BlockingIOError:
                await self._readable()
        if not answer:
            raise ConnectionResetError(errno.ECONNRESET, "it has ended; its last words are above")
        if flags & socket.MSG_CTRUNC:  # unix(7): no fd was free for the rest
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return answer, fds

    async def _readable(self) -> None:
        import trio

        await trio.lowlevel.wait_readable(self._opened())

    def _meet(self) -> None:
        if self.pid < 0:
            first = self._opened().recv(REPORT_BYTES)
            if len(first) < REPORT_BYTES:
                raise ConnectionResetError(errno.ECONNRESET, "it was not forked")
            self.pid = Report.unpack(first).first

    def _opened(self) -> socket.socket:
        assert self._socket is not None
        return self._socket


def _nothing() -> None:
    pass


def _own_namespaces() -> list[str]:
    with os.scandir("/proc/self/ns") as entries:
        return [entry.path for entry in entries if not entry.name.endswith("_for_children")]


def _namespaces(text: bytes) -> list[dict[str, str]]:
    # user:[4026531837] mnt:[…] …, a process a line
    return [
        {link.partition(":")[0]: link for link in line.split()}
        for line in text.decode().splitlines()
    ]
