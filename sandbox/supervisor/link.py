"""The supervisor's side of a Channel: the same messages and reports, without blocking."""

import array
import errno
import os
import socket

import trio

from sandbox.boundary.channel import LENGTH, MAX_FDS
from sandbox.boundary.report import REPORT_BYTES, Report

__all__ = ["Link"]

_MOST_BYTES = 4096
_ANCILLARY_BYTES = socket.CMSG_SPACE(MAX_FDS * 4)


class Link:
    """One end of a socket pair whose other end a zygote, init or stub holds.

    Not a trio socket: one of those takes a turn of the scheduler for each call, and a job makes
    several that never wait.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._partial, self._fds = b"", array.array("i")
        self._is_cut = False  # fds of the report that is being received were lost

    @classmethod
    def pair(cls) -> tuple["Link", socket.socket]:
        """Our end, and the end to hand over."""
        ours, theirs = socket.socketpair()
        try:
            return cls(ours), theirs
        except BaseException:
            ours.close()
            theirs.close()
            raise

    def fileno(self) -> int:
        """The fd, for epoll."""
        return self._socket.fileno()

    async def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send one message. Raises BrokenPipeError: the peer is gone."""
        await self.send_raw(LENGTH.pack(len(data)) + data, fds)

    async def send_raw(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send bytes that are no message. Raises BrokenPipeError."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.sendmsg([view], rights) :]
                rights = []
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)

    def send_now(self, data: bytes) -> None:
        """Send a few bytes, or raise BlockingIOError: the peer has long not read any."""
        self._socket.send(data)

    def receive_now(self) -> tuple[Report, list[int]] | None:
        """The next report and its fds, or None: the peer is gone.

        Raises BlockingIOError: not yet; OSError: EMFILE, its fds were too many for us.
        """
        while True:
            try:
                piece, ancillary, flags, _ = self._socket.recvmsg(
                    REPORT_BYTES - len(self._partial), _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except ConnectionResetError:  # it died with something unread
                return None
            for _level, _kind, content in ancillary:
                self._fds.frombytes(content)
            self._is_cut |= bool(flags & socket.MSG_CTRUNC)  # unix(7): no fd was free for the rest
            if not piece:
                return None
            self._partial += piece
            if len(self._partial) == REPORT_BYTES:
                found = Report.unpack(self._partial), list(self._fds)
                is_cut, self._is_cut = self._is_cut, False
                self._partial, self._fds = b"", array.array("i")
                if is_cut:
                    for fd in found[1]:
                        os.close(fd)
                    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
                return found

    def reports_now(self) -> list[Report | None]:
        """Reports without fds, as many as there are; None: the peer is gone."""
        try:
            data = self._partial + self._socket.recv(_MOST_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return [None]
        if len(data) == len(self._partial):
            return [None]
        whole = len(data) // REPORT_BYTES * REPORT_BYTES
        self._partial = data[whole:]
        return [Report.unpack(data[at : at + REPORT_BYTES]) for at in range(0, whole, REPORT_BYTES)]

    async def receive(self) -> tuple[Report, list[int]] | None:
        """The same, once there is one."""
        while True:
            try:
                return self.receive_now()
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket)

    def close(self) -> None:
        """Close our end: the peer sees EOF and ends."""
        self._socket.close()
        while self._fds:
            os.close(self._fds.pop())
