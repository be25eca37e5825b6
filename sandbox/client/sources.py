"""What is uploaded as a blob: bytes, or a file; hashed first, read where the server wants it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sandbox.spec.errors import SpecError

__all__ = ["Source", "open_source", "source_of_bytes"]

_PIECE_BYTES = 1 << 20


class Source(NamedTuple):
    """A content of known hash; `read` gives up to so many bytes from an offset on."""

    sha256: str
    size_bytes: int
    read: Callable[[int, int], bytes]


def source_of_bytes(data: bytes) -> Source:
    """`data` itself."""
    return Source(
        hashlib.sha256(data).hexdigest(), len(data), lambda at, most: data[at : at + most]
    )


@contextmanager
def open_source(content: bytes | str | os.PathLike[str]) -> Iterator[Source]:
    """Bytes, or the regular file of a path. It is hashed now: one that is changed is refused later.

    Raises SpecError: there is no such file, or it is none.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        yield source_of_bytes(bytes(content))
        return
    path = os.fspath(content)
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SpecError("blob", f"{path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SpecError("blob", f"{path} is no regular file")
        sha256, size_bytes = _hash(fd)
        yield Source(sha256, size_bytes, lambda at, most: os.pread(fd, most, at))
    finally:
        os.close(fd)


def _hash(fd: int) -> tuple[str, int]:
    digest, size_bytes = hashlib.sha256(), 0
    while piece := os.pread(fd, _PIECE_BYTES, size_bytes):
        digest.update(piece)
        size_bytes += len(piece)
    return digest.hexdigest(), size_bytes
