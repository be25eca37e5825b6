"""Files on a pipe: what artifacts come out as.

A stream of entries: a header, the name, then `size` bytes. No compression, no links, no owners.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from sandbox.boundary.record import Record

__all__ = ["HEADER_BYTES", "Entry", "EntryKind", "write_all"]

_HEADER = struct.Struct("<BHIQ")  # kind, name bytes, mode or errno, size
HEADER_BYTES = _HEADER.size


class EntryKind:
    """What an entry is."""

    FILE = 1  # `size` bytes follow the name
    REFUSED = 3  # an artifact that is not sent; the mode field is the errno
    END = 4  # nothing follows: a stream without it was cut off


class Entry(Record):
    """The header of one entry."""

    kind: int
    name_bytes: int = 0
    mode: int = 0
    size: int = 0

    def pack(self) -> bytes:
        """The header's bytes."""
        return _HEADER.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> Entry:
        """The header in HEADER_BYTES bytes. Raises struct.error on any other length."""
        return cls(*_HEADER.unpack(data))


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data` to an fd that blocks. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
