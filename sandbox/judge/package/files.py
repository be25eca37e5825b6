"""The files of a package: found once, bounded, and regular files below it, whatever it holds.

Nothing here trusts the package: links may lead out of it or round, names may be any bytes, and a
FIFO would block whoever opened it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.package.errors import PackageError

__all__ = ["Folder", "PackageFiles", "read_start", "read_text", "repository_of"]

_MOST_ENTRIES = 100_000
_MOST_DEPTH = 16
_MOST_FILE_BYTES = 1 << 30
_MOST_BYTES = 16 << 30
_MOST_TEXT_BYTES = 1 << 20
_KINDS = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip
# What the formats allow, and "+": they list .c++ among the endings of C++.
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.+-]*")
_LEFT_BEHIND = frozenset({"__pycache__"})


class Folder(NamedTuple):
    """A directory of the package, in the order of its names."""

    where: str  # below the package
    files: Mapping[str, Path]  # name -> the file, with no link left in its path
    folders: Mapping[str, Folder]

    def walk(self, below: str = "") -> Iterator[tuple[str, Path]]:
        """Every file in it, and its path below it."""
        for name, path in self.files.items():
            yield below + name, path
        for name, folder in self.folders.items():
            yield from folder.walk(f"{below}{name}/")


class PackageFiles:
    """A package, of which directories are looked through as they are asked for."""

    def __init__(self, directory: Path, links_into: Path | None = None) -> None:
        """`links_into`: see `read_problem`. Raises PackageError where `directory` is none or holds
        what no package does."""
        try:
            self.directory = directory.resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a NUL
            raise PackageError(str(directory), _reason(error)) from error
        if not self.directory.is_dir():
            raise PackageError(str(directory), "is no directory; unpack the package first")
        self._links_into = links_into
        self.notes: list[str] = []
        self._entries = self._bytes = 0
        self._names_are_strict = False
        # Only what is asked for is looked at: a dead link to a statement keeps nobody from judging.
        self._top = {entry.name: entry for entry in self._list("", self.directory)}

    def ignore_odd_names(self) -> None:
        """From here on, leave out names that the format has none of: it says to."""
        self._names_are_strict = True

    def names(self) -> Collection[str]:
        """What is at the top of the package."""
        return self._top.keys()

    def file(self, name: str) -> Path | None:
        """The file `name` at the top of the package, with no link left in its path."""
        if name not in self._top:
            return None
        path, mode = self._led_to("", self._top[name])
        if not stat.S_ISREG(mode):
            raise PackageError(name, "is a directory where the format has a file")
        return path

    def folder(self, name: str) -> Folder | None:
        """The directory `name` at the top, looked through to its end; None: there is none."""
        if name not in self._top:
            return None
        path, mode = self._led_to("", self._top[name])
        if not stat.S_ISDIR(mode):
            raise PackageError(name, "is a file where the format has a directory")
        return self._look_through(name, path, (self.directory,))

    def _look_through(self, where: str, directory: Path, above: tuple[Path, ...]) -> Folder:
        if directory in above:
            raise PackageError(where, "is a link that leads back to a directory above it")
        if len(above) > _MOST_DEPTH:
            raise PackageError(where, f"is over {_MOST_DEPTH} directories deep")
        files, folders = {}, {}
        for entry in self._list(where, directory):
            path, mode = self._led_to(where, entry)
            if stat.S_ISDIR(mode):
                inner = f"{where}/{entry.name}"
                folders[entry.name] = self._look_through(inner, path, (*above, directory))
            else:
                files[entry.name] = path
        return Folder(where, files, folders)

    def _list(self, where: str, directory: Path) -> list[os.DirEntry[str]]:
        """What is kept of a directory, in the order of names."""
        entries = []
        try:
            with os.scandir(directory) as found:
                for entry in found:
                    self._entries += 1
                    if self._entries > _MOST_ENTRIES:
                        raise PackageError(where, f"over {_MOST_ENTRIES} files in the package")
                    if self._is_kept(where, entry.name):
                        entries.append(entry)
        except OSError as error:
            raise PackageError(where, _reason(error)) from error
        return sorted(entries, key=lambda entry: entry.name)

    def _is_kept(self, where: str, name: str) -> bool:
        # The formats say of these names that a judge behaves as if they were not there; one of
        # them is DOMjudge's.
        if name[0] in ".-" or name in _LEFT_BEHIND:
            return not where and name == ".timelimit"
        shown = f"{where}/{name}" if where else name
        try:
            name.encode()
        except UnicodeEncodeError:
            raise PackageError(shown, "its name is no UTF-8") from None
        if not name.isprintable():
            raise PackageError(shown, "its name has characters that nobody can see")
        if self._names_are_strict and not _NAME.fullmatch(name):
            self.notes.append(f"{shown}: left out, as the format says of such names")
            return False
        return True

    def _led_to(self, where: str, entry: os.DirEntry[str]) -> tuple[Path, int]:
        shown = f"{where}/{entry.name}" if where else entry.name
        path = Path(entry.path)
        try:
            if entry.is_symlink():
                path = path.resolve(strict=True)
                if not (path.is_relative_to(self.directory) or self._is_beside(path)):
                    raise PackageError(shown, "is a link that leads out of the package")
            status = path.lstat()
        except (OSError, RuntimeError) as error:
            raise PackageError(shown, _reason(error)) from error
        if stat.S_ISREG(status.st_mode):
            self._bytes += status.st_size
            if status.st_size > _MOST_FILE_BYTES:
                raise PackageError(shown, f"is over {_MOST_FILE_BYTES >> 20} MiB")
            if self._bytes > _MOST_BYTES:
                raise PackageError(shown, f"the package is over {_MOST_BYTES >> 30} GiB")
        elif not stat.S_ISDIR(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "no file")
            raise PackageError(shown, f"is {kind}; a package holds files and directories only")
        return path, status.st_mode

    def _is_beside(self, path: Path) -> bool:
        """Whether a link may lead there, out of the package."""
        root = self._links_into
        if root is None or not path.is_relative_to(root):
            return False
        return not any(part.startswith(".") for part in path.relative_to(root).parts)


def repository_of(path: Path) -> Path | None:
    """The working tree of git's that a package lies in, which came to this host with it: problems
    of a contest have their headers in common, by links. None: there is none of the same owner, or
    it is a home."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        path = path.resolve(strict=True)
        for directory in path.parents:
            if (directory / ".git").exists():
                is_home = directory in (Path("/"), Path.home().resolve())
                is_his = (directory / ".git").lstat().st_uid == path.lstat().st_uid
                return directory if is_his and not is_home else None
    return None


def read_text(path: Path, where: str, most_bytes: int = _MOST_TEXT_BYTES) -> str:
    """The text in `path`, of at most `most_bytes`. Raises PackageError naming `where`."""
    data = read_start(path, where, most_bytes + 1)
    if len(data) > most_bytes:
        raise PackageError(where, f"is over {most_bytes} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PackageError(where, f"is no UTF-8 at byte {error.start}") from error


def read_start(path: Path, where: str, most_bytes: int) -> bytes:
    """The first bytes of `path`. Raises PackageError naming `where`."""
    try:
        # Neither followed nor waited for, should it have become a link or a FIFO since.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise PackageError(where, "is no regular file")
            return file.read(most_bytes)
    except OSError as error:
        raise PackageError(where, _reason(error)) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
