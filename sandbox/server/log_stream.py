"""A stream that lines are written to without ever waiting for whoever reads it."""

import fcntl
import os
import select
import socket
import stat

__all__ = ["LogStream"]


class LogStream:
    """The open file behind an fd; each line is taken now, or refused."""

    def __init__(self, fd: int) -> None:
        """`fd` stays the caller's. Where it is closed, it becomes /dev/null."""
        self.name: str | None = None  # as JOURNAL_STREAM names it, systemd.exec(5)
        self._fd = -1
        self._socket: socket.socket | None = None
        self._poll: select.poll | None = None
        self._rest = b""  # of a line that was taken in part
        try:
            status = os.fstat(fd)
        except OSError:
            # Plugged, or the next file that is opened would have this number, and get tracebacks.
            null_fd = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
            if null_fd != fd:
                os.dup2(null_fd, fd)
                os.close(null_fd)
            return
        self.name = f"{status.st_dev}:{status.st_ino}"
        if stat.S_ISSOCK(status.st_mode):
            self._socket = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3))
        elif stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode):
            self._open_anew(fd)
        else:
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)

    def write(self, line: bytes) -> bool:
        """Write a line if there is room for it now."""
        if not self._flush():
            return False
        self._rest = line
        if not self._flush() and self._rest == line:
            self._rest = b""
            return False
        return True  # what is left of it goes before the next one

    def close(self) -> None:
        """Write no more. Idempotent."""
        self._rest = b""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_anew(self, fd: int) -> None:
        # O_NONBLOCK is a property of the open file, which our parent and children share: so one of
        # our own. Not every terminal may be opened again: it can be another user's, after su(1).
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            self._fd = os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            self._fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
            self._poll = select.poll()
            self._poll.register(self._fd, select.POLLOUT)

    def _flush(self) -> bool:
        while self._rest:
            try:
                written = self._take(self._rest)
            except OSError:  # full, or gone for good: to the server it is the same
                return False
            self._rest = self._rest[written:]
        return True

    def _take(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if self._fd < 0:
            raise BrokenPipeError
        if self._poll is not None and not self._poll.poll(0):
            raise BlockingIOError
        return os.write(self._fd, data)
