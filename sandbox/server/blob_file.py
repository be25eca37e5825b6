"""The file of one blob, as it lies on the disk: is it still what it was, and will it stay."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sandbox.spec.errors import RefusedError

__all__ = ["flush", "has_hash", "refusing_when_full", "touch"]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RETRY_SECONDS = 60.0


def touch(path: Path, size_bytes: int, now: float) -> bool:
    """Set its mtime to `now`, if it is a regular file of that size; whether it is."""
    with suppress(FileNotFoundError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_size == size_bytes:
            os.utime(path, (now, now), follow_symlinks=False)
            return True
    return False


def has_hash(path: Path, sha256: str) -> bool:
    """Whether it can be read, and its content hashes to that. Blocks: for a thread."""
    try:
        fd = os.open(path, _READ)
    except OSError:
        return False
    with os.fdopen(fd, "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def flush(path: Path) -> None:
    """Return once it and its name are on the disk. Blocks: for a thread. Raises OSError."""
    for place in (path, path.parent):
        fd = os.open(place, _READ)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


@contextmanager
def refusing_when_full() -> Iterator[None]:
    """Turn what a full disk, or a user's quota on it, raises into RefusedError."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RefusedError("the disk that holds the blobs is full", _RETRY_SECONDS) from error
        raise
