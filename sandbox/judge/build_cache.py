"""Programs that were built, kept by what they were built from."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.judge.scratch import DIRECTORY, locked, scratch_directory

__all__ = ["BuildCache"]

_FILES, _RECORD = "files", "record.json"
_MOST_BYTES = 1 << 30
_MOST_ENTRIES = 1000
# Others may make files in a sticky directory, but not replace ours; path_resolution(7), chmod(2).
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class BuildCache:
    """A directory of built programs. Several processes may use one at a time.

    An entry appears whole, by a rename, or not at all. Whoever uses one holds a lock on it, so that
    making room takes only what nobody runs; a lock dies with its process. An entry is a directory
    with `files/`, the program, and `record.json`: the size of each, and what the builder noted.
    """

    def __init__(self, directory: Path, most_bytes: int = _MOST_BYTES) -> None:
        """Use `open`."""
        self.directory = directory
        self._most_bytes = most_bytes
        self._locks: dict[Path, list[int]] = {}  # entry -> one for each use of it here

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, directory: Path | None = None, most_bytes: int = _MOST_BYTES
    ) -> Iterator[BuildCache]:
        """`directory`: None is sandbox/judge in $XDG_CACHE_HOME, or in .cache of $HOME.

        Where others could write to it, or nobody can, an empty one takes its place for as long as
        the block lasts.
        """
        with contextlib.ExitStack() as held:
            place = directory or _usual_place()
            if place is None or not _is_ours(place):
                # Below it: its own lock is held for as long as it lives, and ours for a moment.
                place = held.enter_context(scratch_directory()) / "built"
                place.mkdir(mode=0o700)
            cache = cls(place.resolve(), most_bytes)
            held.callback(cache.close)
            cache._sweep()
            yield cache

    def close(self) -> None:
        """Give up every lock."""
        while self._locks:
            for lock in self._locks.popitem()[1]:
                os.close(lock)

    def find(self, key: str) -> tuple[Path, dict[str, Any]] | None:
        """The program's directory and the builder's note, locked until `release`; or None."""
        entry = self.directory / key
        try:
            self._lock(entry)
        except OSError:  # none there, or it is just being removed
            return None
        note = _whole(entry)
        if note is None:
            self.release(entry / _FILES)
            self._remove(entry)
            return None
        os.utime(entry)
        return entry / _FILES, note

    def release(self, files: Path) -> None:
        """One use less of that program, here; `files` as `find` and `keep` gave it."""
        locks = self._locks.get(files.parent, [])
        if locks:
            os.close(locks.pop())
        if not locks:
            self._locks.pop(files.parent, None)

    @contextlib.contextmanager
    def draft(self) -> Iterator[Path]:
        """An empty directory beside the entries, for `keep`; gone at the end if that was not."""
        with self._alone():
            path = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.directory))
            lock = locked(path, fcntl.LOCK_SH)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    def keep(self, draft: Path, key: str, files: Path, note: dict[str, Any]) -> Path:
        """Make `files`, a directory below the draft, the program of `key`; where it is then.

        It is locked as by `find`. Who finds that another was quicker takes that other's.
        """
        entry_draft = Path(tempfile.mkdtemp(prefix="entry-", dir=draft))
        files.rename(entry_draft / _FILES)
        for path in (entry_draft / _FILES, *(entry_draft / _FILES).rglob("*")):
            if path.is_dir():
                path.chmod(0o755)  # whatever our umask is: jobs look into it as somebody else
        record = {"sizes": _sizes(entry_draft / _FILES), "note": note}
        (entry_draft / _RECORD).write_text(json.dumps(record))
        _sync(entry_draft)
        entry = self.directory / key
        with self._alone():
            if _whole(entry) is None:
                with contextlib.suppress(FileNotFoundError):
                    entry.rename(draft / "not whole")
                entry_draft.rename(entry)
            self._lock(entry)
        self._make_room()
        return entry / _FILES

    def _lock(self, entry: Path) -> None:
        lock = locked(entry, fcntl.LOCK_SH)
        self._locks.setdefault(entry, []).append(lock)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time makes, takes and removes what is here."""
        lock = os.open(self.directory, DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        # What a process left that was killed: nobody holds its lock.
        for path in self.directory.glob(".*"):
            self._remove(path)

    def _make_room(self) -> None:
        entries = []
        for path in self.directory.iterdir():
            with contextlib.suppress(OSError):
                if not path.name.startswith("."):
                    entries.append((path.stat().st_mtime_ns, sum(_sizes(path).values()), path))
        total, count = sum(size for _, size, _ in entries), len(entries)
        for _, size, path in sorted(entries):  # the longest unused first
            if total <= self._most_bytes and count <= _MOST_ENTRIES:
                break
            if self._remove(path):
                total, count = total - size, count - 1

    def _remove(self, path: Path) -> bool:
        """Unless somebody uses it. By a rename first: who looks meanwhile finds all, or nothing."""
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            with self._alone():
                held.callback(os.close, locked(path, fcntl.LOCK_EX))
                gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=self.directory))
                held.callback(os.close, locked(gone, fcntl.LOCK_EX))  # from who sweeps
                path.rename(gone / "entry")
            # Alone no more: thousands of files take a disk a while, in which others go on.
            shutil.rmtree(gone, ignore_errors=True)
            return True
        return False


def _sizes(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): path.lstat().st_size
        for path in sorted(directory.rglob("*"))
        if not path.is_dir() or path.is_symlink()
    }


def _whole(entry: Path) -> dict[str, Any] | None:
    """The note of an entry that has every file that it was kept with, in its size."""
    try:
        record = json.loads((entry / _RECORD).read_text())
        if record["sizes"] == _sizes(entry / _FILES):
            return record["note"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _sync(directory: Path) -> None:
    """A rename may reach the disk before what it names: that must be there first. fsync(2)."""
    for path in (*directory.rglob("*"), directory):
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _usual_place() -> Path | None:
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # XDG Base Directory Specification: ignore a relative one
        return base / "sandbox" / "judge"
    home = Path(os.environ.get("HOME", ""))
    return home / ".cache" / "sandbox" / "judge" if home.is_absolute() else None


def _is_ours(directory: Path) -> bool:
    """Whether it is there, or could be made, and nobody else can change it or put another there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        resolved = directory.resolve()
        status = resolved.stat()
        if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
            return False
        for path in resolved.parents:
            above = path.stat()
            is_open = above.st_mode & _WRITABLE_BY_OTHERS and not above.st_mode & stat.S_ISVTX
            if above.st_uid not in (0, os.geteuid()) or is_open:
                return False
        return os.access(resolved, os.R_OK | os.W_OK | os.X_OK)
    except OSError:
        return False
