"""The file with our password: not read where somebody else could read or have written it."""

import os
import stat
from pathlib import Path

from sandbox.spec.errors import SpecError

__all__ = ["read_secret"]

_MOST_BYTES = 1 << 16
# O_NONBLOCK: a FIFO would hold us until somebody writes to it.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def read_secret(path: Path, field: str) -> str:
    """The text, up to 64 KiB, of a file that is ours or root's, and that others cannot read.

    A group may read it and not write it. Raises SpecError with `field`, naming the file.
    """
    try:
        with os.fdopen(os.open(path, _READ), "rb", buffering=0) as file:
            _require_secret(os.fstat(file.fileno()), path, field)
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SpecError(field, f"{path}: over {_MOST_BYTES} bytes")
        return content.decode()
    except UnicodeDecodeError as error:
        raise SpecError(field, f"{path}: no UTF-8 at byte {error.start}") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no path can have
        raise SpecError(field, f"{path}: {getattr(error, 'strerror', error)}") from error


def _require_secret(status: os.stat_result, path: Path, field: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SpecError(field, f"{path} is no regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise SpecError(field, f"{path} belongs to uid {status.st_uid}; it must be ours or root's")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpecError(field, f"others can write to it; fix: chmod go-w {path}")
    if status.st_mode & stat.S_IROTH:
        raise SpecError(field, f"others can read it; fix: chmod o-r {path}")
