"""Files that say who may come in, or by which word we do: none that others could have written."""

import os
import stat
from pathlib import Path

from sandbox.spec.errors import SpecError

__all__ = ["read_trusted"]

_MOST_BYTES = 1 << 20
# O_NONBLOCK: a FIFO would hold us until somebody writes to it.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def read_trusted(path: Path, field: str, *, is_secret: bool = False) -> bytes:
    """The content, up to 1 MiB, of a file of ours or of root's that only its owner can write.

    `is_secret`: nor may others read it; a group may. Links are followed: the file at their end
    must be trusted. Raises SpecError with `field`, naming the file.
    """
    try:
        with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
            _require_trusted(os.fstat(file.fileno()), path, field, is_secret=is_secret)
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no path can have
        raise SpecError(field, f"{path}: {getattr(error, 'strerror', error)}") from error
    if len(content) > _MOST_BYTES:
        raise SpecError(field, f"{path}: over {_MOST_BYTES} bytes")
    return content


def _require_trusted(status: os.stat_result, path: Path, field: str, *, is_secret: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SpecError(field, f"{path} is no regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise SpecError(field, f"{path} belongs to uid {status.st_uid}; it must be ours or root's")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpecError(field, f"others can write to it; fix: chmod go-w {path}")
    if is_secret and status.st_mode & stat.S_IROTH:
        raise SpecError(field, f"others can read it; fix: chmod o-r {path}")
