"""A directory for as long as a process lives; of one that was killed, the next one removes it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["DIRECTORY", "locked", "scratch_directory"]

_PREFIX = "sandbox-judge-"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC  # how it is opened


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """An empty one among the temporary files, whose owner holds a lock on it.

    A lock dies with its process, so what nobody holds is of nobody: kill -9 lets nothing clean up.
    """
    _sweep(Path(tempfile.gettempdir()))
    path, lock = _made()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def locked(path: Path, kind: int) -> int:
    """A lock of that directory, as an fd. Raises OSError: another holds it otherwise, or it went
    while we looked."""
    lock = os.open(path, DIRECTORY)
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(lock), os.lstat(path)):
            raise FileNotFoundError(path)
    except OSError:
        os.close(lock)
        raise
    return lock


def _made() -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            return path, locked(path, fcntl.LOCK_EX)
        except (BlockingIOError, FileNotFoundError):
            pass  # somebody swept it away between the two


def _sweep(directory: Path) -> None:
    for path in directory.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            # Others may make such names: what is theirs is theirs to remove.
            if path.lstat().st_uid != os.geteuid():
                continue
            lock = locked(path, fcntl.LOCK_EX)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
