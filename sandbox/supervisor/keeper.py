"""The keeper as the supervisor sees it: the one process that it starts; all others it orders.

The process's own side is the room sandbox/keeper.
"""

import errno
import fcntl
import os
import signal
import socket
import sys

from sandbox.boundary.channel import CHANNEL_FD, LENGTH
from sandbox.spec.errors import HostError, ZygoteError
from sandbox.supervisor.remedies import PROCESSES
from sandbox.supervisor.zygote import ZygoteProcess

__all__ = ["Keeper"]

_PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
    "from sandbox.keeper.keeper import main; main()"
)
_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Keeper:
    """A bare interpreter, without site-packages, in a session of its own."""

    def __init__(self, owner: int | None = None) -> None:
        """Start it and return at once. From the main thread: it dies with the one it came from.

        `owner`: the uid and gid to become, where we are root. Raises HostError: no process could be
        started.
        """
        self._is_reaped = False
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)  # an order is far smaller than its buffer
        argv = [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGES]
        argv += [] if owner is None else [str(owner)]
        with theirs:
            # Above the number that it gets, so that nothing is overwritten before it is used.
            fd = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, CHANNEL_FD + 1)
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                argv,
                {"LC_ALL": "C.UTF-8"},  # nothing of the caller's environment is inherited
                setsigmask=(),
                setsigdef=_SIGNALS,  # nor what it ignores: execve(2) would keep that, up to a job
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
                    (os.POSIX_SPAWN_DUP2, 0, 1),
                    (os.POSIX_SPAWN_DUP2, fd, CHANNEL_FD),
                ],
            )
        except OSError as error:
            self._socket.close()
            fix = PROCESSES
            if error.errno == errno.ENOENT:
                fix = f"let /dev/null and {sys.executable} be there"
            raise HostError(
                f"the keeper cannot be started: {error.strerror}; fix: {fix}"
            ) from error
        finally:
            os.close(fd)
        try:
            self.first = self.zygote()  # makes the base user namespace
        except BaseException:
            self.close()
            raise

    def zygote(self, base_fd: int | None = None) -> ZygoteProcess:
        """Order a zygote. `base_fd`: the base user namespace, where an earlier one has made it.

        Raises ZygoteError: the keeper is dead; OSError.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.fork(b"z", theirs.fileno(), *([] if base_fd is None else [base_fd]))
        except BaseException:
            ours.close()
            raise
        return ZygoteProcess(ours)

    def fork(self, order: bytes, *fds: int) -> None:
        """Order a process; it is a child of ours and tells its pid on the first of its fds.

        Raises ZygoteError: the keeper is dead; OSError: it cannot be told.
        """
        try:
            socket.send_fds(self._socket, [LENGTH.pack(len(order)) + order], [*fds])
        except ConnectionError as error:
            raise ZygoteError(
                "the keeper died, so there is no new zygote or lookout; fix: start sandbox anew"
            ) from error

    def close_all(self) -> None:
        """End its first zygote, too; what else it forked is its owner's. Idempotent."""
        self.first.close()
        self.close()

    def close(self) -> None:
        """End it and reap it; what it forked lives on. Idempotent."""
        if not self._is_reaped:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._is_reaped = True
        self._socket.close()
