"""The files of jobs in the spool: a directory for each tenant, and in it one for each job."""

import os
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from sandbox.server.directories import directory_name

__all__ = ["SpoolFiles"]


class SpoolFiles:
    """Where they are, and how much those of ended jobs hold."""

    def __init__(self, top: Path) -> None:
        """Raises OSError."""
        self._top = top
        # name of a tenant's directory -> job -> bytes, the oldest end first
        self._held: dict[str, OrderedDict[str, int]] = {}
        for directory in _directories(top):
            self._held[directory.name] = OrderedDict(
                (path.name, _size_bytes(path)) for path in _directories(directory)
            )

    def directory(self, tenant: str, job: str) -> Path:
        """That of one job; whether it exists or not."""
        return self._top / directory_name(tenant) / job

    def jobs(self) -> list[str]:
        """Every job that files are held of."""
        return [job for jobs in self._held.values() for job in jobs]

    def measure(self, tenant: str, job: str) -> None:
        """Note what an ended job holds, if anything."""
        if size := _size_bytes(self.directory(tenant, job)):
            self._held.setdefault(directory_name(tenant), OrderedDict())[job] = size

    def remove(self, tenant: str, job: str) -> None:
        """Remove what a job holds."""
        self._remove(directory_name(tenant), job)

    def remove_all(self, jobs: Iterable[str]) -> None:
        """Remove what these hold, whosesoever."""
        chosen = set(jobs)
        for owner, held in self._held.items():
            for job in chosen.intersection(held):
                self._remove(owner, job)

    def keep_only(self, jobs: Iterable[str]) -> None:
        """Remove what any others hold."""
        self.remove_all(set(self.jobs()).difference(jobs))

    def shrink(self, most_bytes: int) -> None:
        """Remove the oldest of who holds most, until no more is held than that."""
        sizes = {owner: sum(held.values()) for owner, held in self._held.items()}
        while sum(sizes.values()) > most_bytes:
            owner = max(sizes, key=sizes.__getitem__)
            job = next(iter(self._held[owner]))
            sizes[owner] -= self._held[owner][job]
            self._remove(owner, job)

    def _remove(self, owner: str, job: str) -> None:
        if self._held.get(owner, {}).pop(job, None) is not None:
            shutil.rmtree(self._top / owner / job, ignore_errors=True)


def _directories(top: Path) -> list[Path]:
    # By their names, which for jobs is by their age.
    return sorted(path for path in top.iterdir() if path.is_dir() and not path.is_symlink())


def _size_bytes(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError:  # no fd to look with: it may well be there, and is to be removed some day
        return 1
