"""The supervisor's side of a Channel: the same messages and reports, without blocking."""

import array
import os
import socket

import trio

from sandbox.boundary.channel import LENGTH, MAX_FDS
from sandbox.boundary.report import REPORT_BYTES, Report

__all__ = ["Link"]


class Link:
    """One end of a socket pair whose other end a zygote, init or stub holds."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = trio.socket.from_stdlib_socket(sock)

    @classmethod
    def pair(cls) -> tuple["Link", socket.socket]:
        """Our end, and the end to hand over."""
        ours, theirs = socket.socketpair()
        return cls(ours), theirs

    async def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send one message. Raises BrokenPipeError: the peer is gone."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        await self._socket.sendmsg([LENGTH.pack(len(data))], rights)
        await self.send_raw(data)

    async def send_raw(self, data: bytes) -> None:
        """Send bytes that are no message: the word to execute."""
        view = memoryview(data)
        while view:
            view = view[await self._socket.send(view) :]

    async def receive(self) -> tuple[Report, list[int]] | None:
        """The next report and its fds, or None: the peer is gone."""
        data, fds = b"", array.array("i")
        while len(data) < REPORT_BYTES:
            piece, ancillary, _, _ = await self._socket.recvmsg(
                REPORT_BYTES - len(data), socket.CMSG_SPACE(MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
            )
            for _level, _kind, content in ancillary:
                fds.frombytes(content)
            if not piece:
                for fd in fds:
                    os.close(fd)
                return None
            data += piece
        return Report.unpack(data), list(fds)

    def close(self) -> None:
        """Close our end: the peer sees EOF and ends."""
        self._socket.close()
