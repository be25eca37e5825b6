"""Writes the job's copied inputs, as the job, inside the leaf that their pages are charged to."""

from __future__ import annotations

import os

from sandbox.boundary.archive import HEADER_BYTES, Entry, EntryKind, write_all

__all__ = ["write_inputs"]

_PIECE_BYTES = 1 << 18


def write_inputs(fd: int) -> None:
    """Unpack the archive on `fd`; its names are absolute paths of the sandbox.

    Raises OSError: ENOSPC, the disk limit is smaller than the inputs. EOFError: it was cut off.
    """
    while (entry := Entry.unpack(_read_exactly(fd, HEADER_BYTES))).kind != EntryKind.END:
        name = _read_exactly(fd, entry.name_bytes)
        if entry.kind == EntryKind.DIRECTORY:
            os.makedirs(name, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(name), exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        out_fd = os.open(name, flags, entry.mode)
        left = entry.size
        while left:
            piece = _read_exactly(fd, min(left, _PIECE_BYTES))
            write_all(out_fd, piece)
            left -= len(piece)
        os.fchmod(out_fd, entry.mode)  # the umask does not count: it is the caller's file
        os.close(out_fd)


def _read_exactly(fd: int, count: int) -> bytes:
    """So many bytes of a stream. EOFError: it ended before."""
    pieces = []
    while count:
        pieces.append(os.read(fd, count))
        if not pieces[-1]:
            raise EOFError
        count -= len(pieces[-1])
    return b"".join(pieces)
