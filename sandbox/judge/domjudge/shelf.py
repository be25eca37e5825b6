"""A directory of directories: each whole or not there, and the longest unused go first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from sandbox.spec.errors import SpecError

__all__ = ["Shelf", "claim"]

_DRAFT = ".draft-"
_IN_USE = 4  # a test, its scripts, and one over: the last ones used are never taken away


class Shelf:
    """Entries by name, of so many bytes in sum. For one process at a time: see `claim`."""

    def __init__(self, directory: Path, most_bytes: int) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        self._directory, self._most_bytes = directory, most_bytes
        for draft in directory.glob(f"{_DRAFT}*"):  # of one that was killed
            shutil.rmtree(draft)
        self._bytes = {path.name: _size(path) for path in directory.iterdir()}
        self._used: deque[str] = deque(maxlen=_IN_USE)

    def find(self, name: str) -> Path | None:
        """The entry, which counts as used now; None: there is none."""
        path = self._directory / name
        if name not in self._bytes:
            return None
        os.utime(path)
        self._used.append(name)
        return path

    def put(self, name: str, fill: Callable[[Path], None]) -> Path:
        """The entry that `fill` makes in an empty directory; whoever had the name is replaced."""
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=self._directory))
        try:
            fill(draft)
            self.remove(name)
            draft.rename(self._directory / name)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        self.grown(name)
        return self._directory / name

    def grown(self, name: str) -> None:
        """Files were added to `name`: make room for them."""
        self._used.append(name)
        self._bytes[name] = _size(self._directory / name)
        for path in sorted(self._directory.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            if sum(self._bytes.values()) <= self._most_bytes:
                return
            if path.name not in self._used:
                self.remove(path.name)

    def share_of(self, name: str) -> float:
        """How much of the room the entry takes."""
        return self._bytes[name] / self._most_bytes

    def remove(self, name: str) -> None:
        """Take it away, if it is there."""
        if self._bytes.pop(name, None) is not None:
            shutil.rmtree(self._directory / name)


@contextlib.contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Have `directory`, made if need be, for this process alone.

    Raises SpecError with the field "directory": another worker has it, or it cannot be made.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / "lock").open("a")
    except OSError as error:
        raise SpecError("directory", f"{directory}: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpecError("directory", f"{directory}: another worker has it") from error
        yield


def _size(path: Path) -> int:
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())
