"""One directory a runner, in each hierarchy, and the removal of those whose runner is dead.

A run is alive as long as somebody holds the flock(2) on any of its directories. This needs no
trust in pid numbers, unlike a pid in the name, and works across pid namespaces; and of two runners
one may see hierarchies that the other does not.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Sequence

from sandbox.supervisor.cgroup.files import (
    exists,
    make_directory,
    remove_tree,
)

__all__ = ["PREFIX", "Run", "claim", "sweep"]

PREFIX = "sandbox-run-"  # never "run-": systemd names transient units so, and a sweep kills


class Run:
    """This runner's directories, by the order of the bases that it was claimed in."""

    def __init__(self, name: str, bases: Sequence[str], lock_fd: int) -> None:
        self.name = name
        self.directories = tuple(f"{base}/{name}" for base in bases)
        self._lock_fds = [lock_fd]

    def claim_rest(self) -> bool:
        """Make and lock the directories after the first; False: one is another runner's."""
        for directory in self.directories[1:]:
            # It may be there: left by another, or by a sweep that is not done yet.
            with contextlib.suppress(FileExistsError):
                make_directory(directory)
            if (lock_fd := _lock_made(directory, wait=False)) is None:
                return False
            self._lock_fds.append(lock_fd)
        return True

    def release(self) -> None:
        """Remove the directories and unlock; what is still populated stays for a sweep."""
        with contextlib.suppress(OSError):
            for directory in reversed(self.directories[: len(self._lock_fds)]):
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(directory)
        while self._lock_fds:
            os.close(self._lock_fds.pop())


def claim(bases: Sequence[str]) -> Run:
    """Make this runner's directory in each of `bases`. OSError: the bases are not ours to use."""
    for serial in range(1 << 16):
        name = f"{PREFIX}{os.getpid()}-{serial}"
        lock_fd = _claim_first(f"{bases[0]}/{name}")
        if lock_fd is None:
            continue
        run = Run(name, bases, lock_fd)
        try:
            if run.claim_rest():
                return run
        except OSError:
            run.release()
            raise
        run.release()
    raise OSError(errno.EEXIST, "no free run directory", bases[0])


def sweep(bases: Sequence[str]) -> list[str]:
    """Remove every run whose lock is free, killing what is left in it; the names removed.

    Blocks for at most some seconds a run; one that cannot be removed is left for the next sweep.
    """
    removed = []
    for name in sorted({name for base in bases for name in os.listdir(base)}):
        if not name.startswith(PREFIX):
            continue
        with contextlib.ExitStack() as locks:
            directories = [f"{base}/{name}" for base in bases if exists(f"{base}/{name}")]
            if not _lock_all(directories, locks):
                continue
            try:
                for directory in reversed(directories):
                    remove_tree(directory)
                removed.append(name)
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EACCES, errno.EPERM):
                    raise
    return removed


def _lock_all(directories: Sequence[str], locks: contextlib.ExitStack) -> bool:
    for directory in directories:
        if (lock_fd := _lock(directory, wait=False)) is None:
            return False
        locks.callback(os.close, lock_fd)
    return bool(directories)


def _claim_first(directory: str) -> int | None:
    try:
        make_directory(directory)
    except FileExistsError:
        return None
    return _lock_made(directory, wait=True)


def _lock_made(directory: str, *, wait: bool) -> int | None:
    try:
        return _lock(directory, wait=wait)
    except BaseException:
        with contextlib.suppress(OSError):
            os.rmdir(directory)
        raise


def _lock(directory: str, *, wait: bool) -> int | None:
    """The locked directory, or None: it is locked, or it is gone."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        # Between our open and our lock a sweep may have removed it, for nobody held the lock.
        if os.stat(directory).st_ino == os.fstat(fd).st_ino:
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None
