"""Messages with fds over a stream socket, for the blocking side: zygote, init and stub.

Length first, so that a plan may be larger than a socket buffer; the fds ride on the length.
"""

from __future__ import annotations

import _socket  # socket.py costs the zygote 6 ms and memory in every sandbox
import struct

__all__ = ["BASE_FD", "CHANNEL_FD", "LENGTH", "MAX_FDS", "Channel"]

# Of the keeper and of each that it forks: its channel, and the latter's base user namespace.
CHANNEL_FD, BASE_FD = 3, 4

LENGTH = struct.Struct("<I")
MAX_FDS = 253  # SCM_MAX_FD, unix(7)


class Channel:
    """One end of a socket pair. EOF is reported as EOFError: the peer is gone, so end."""

    def __init__(self, fd: int) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fileno=fd)

    def fileno(self) -> int:
        """The fd, for poll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this process's end."""
        self._socket.close()

    def receive(self) -> tuple[bytes, list[int]]:
        """One message and its fds, all close-on-exec."""
        space = _socket.CMSG_SPACE(MAX_FDS * 4)
        head, ancillary, _, _ = self._socket.recvmsg(
            LENGTH.size, space, _socket.MSG_WAITALL | _socket.MSG_CMSG_CLOEXEC
        )
        fds: list[int] = []
        for _level, _kind, data in ancillary:
            fds += struct.unpack(f"{len(data) // 4}i", data)
        if len(head) < LENGTH.size:
            raise EOFError
        left = LENGTH.unpack(head)[0]
        pieces = []
        while left:
            pieces.append(self._socket.recv(min(left, 1 << 20)))
            if not pieces[-1]:
                raise EOFError
            left -= len(pieces[-1])
        return b"".join(pieces), fds

    def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        """Send raw bytes, and fds with the first of them; a gone peer is not our failure."""
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))]
        try:
            self._socket.sendmsg([data], ancillary if fds else [], _socket.MSG_NOSIGNAL)
        except BrokenPipeError:
            raise EOFError from None
