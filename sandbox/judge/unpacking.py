"""A package's archive, unpacked: read in a sandbox, parsed strictly as it comes out, then written.

What comes is somebody's, however it was packed: nothing but names, sizes and bytes, and of these
only what is allowed. Nothing here is run with it, and no link is ever made.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.sandboxed import Run, run_sandboxed
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown
from sandbox.spec.job import Input

__all__ = ["Entry", "Unpacking", "digest_of", "name_problem", "package_in", "unpack_package"]

_MOST_FILES = 50_000
_SCRIPT = Path(__file__).with_name("unpack_inside.py").read_bytes()
_PLACE = b"/data/package"
_SPARE_BYTES = _MOST_FILES * (11 + 1024) + 4096  # headers and names
_TOPS = ("problem.yaml", "domjudge-problem.ini", "data")  # by one of them a package is known
_HEADER = struct.Struct(">BHQ")  # as unpack_inside.py writes it
_END = 255
_MOST_NAME_BYTES, _MOST_PART_BYTES, _MOST_DEPTH = 1024, 255, 32
_PIECE_BYTES = 1 << 20


class Entry(NamedTuple):
    """One file: its path below the directory, its size in bytes."""

    name: str
    size: int
    is_executable: bool


async def unpack_package(run: Run, archive: Path, unpacking: Unpacking, most_bytes: int) -> None:
    """Have the files of a zip or a tar written. Raises SpecError("problem", the rule that it
    breaks), HostError."""
    command = (
        b"python3", b"-I", b"-S", b"-c", _SCRIPT, _PLACE,
        str(_MOST_FILES).encode(), str(most_bytes).encode(),
    )  # fmt: skip
    try:
        await run_sandboxed(
            run, "unpacking it", command, [Input(archive, _PLACE, copied=False)],
            most_bytes + _SPARE_BYTES, unpacking.feed,
        )  # fmt: skip
    finally:
        unpacking.close()


def package_in(files: Path) -> Path:
    """The package's directory: all of it, or the one directory in it that looks like one.

    Raises SpecError: there is none, or several.
    """
    if any((files / name).exists() for name in _TOPS):
        return files
    found = [one for one in files.iterdir() if any((one / name).exists() for name in _TOPS)]
    if len(found) != 1:
        raise SpecError(
            "problem",
            f"{len(found) or 'no'} directories in it have a problem.yaml; it is to be at the top,"
            " or in one directory there",
        )
    return found[0]


class Unpacking:
    """Writes below a directory what it is fed. Blocks: for a thread."""

    def __init__(self, directory: Path, most_bytes: int, most_files: int = _MOST_FILES) -> None:
        """`directory`: new, and nobody else's."""
        self._directory, self._left = directory, most_bytes
        self._most_files = most_files
        self.entries: list[Entry] = []
        self._pending = bytearray()  # of a header or name
        self._missing = 0  # bytes of the file that comes
        self._fd = -1
        self._hash = hashlib.sha256()
        self._made = {""}
        self._has_ended = False

    def feed(self, data: bytes) -> None:
        """What comes next, in any pieces. Raises SpecError: the rule that it breaks; OSError."""
        view = memoryview(data)
        while view:
            if self._has_ended:
                raise SpecError("problem", "something comes behind its last file")
            if self._missing:
                piece = view[: self._missing]
                _write(self._fd, piece)
                self._hash.update(piece)
                self._missing -= len(piece)
                view = view[len(piece) :]
                if not self._missing:
                    self._close()
            else:
                view = view[self._take(view) :]

    def finish(self) -> str:
        """All has come: its digest. Raises SpecError: it has not."""
        if not self._has_ended:
            raise SpecError("problem", "what was unpacked ends too early")
        return self._hash.hexdigest()

    def close(self) -> None:
        """Whatever has come of it."""
        self._close()

    def _take(self, view: memoryview) -> int:
        """Up to a whole header and name; how many bytes of `view` that took."""
        wanted = _HEADER.size
        if len(self._pending) >= wanted:
            wanted += _HEADER.unpack_from(self._pending)[1]
        taken = view[: wanted - len(self._pending)]
        self._pending += taken
        if len(self._pending) == wanted == _HEADER.size:
            flags, name_bytes, size = _HEADER.unpack_from(self._pending)
            if flags == _END:
                if name_bytes or size != len(self.entries):
                    raise SpecError("problem", "what was unpacked is not what was announced")
                self._has_ended = True
            elif flags > 1 or not 1 <= name_bytes <= _MOST_NAME_BYTES:
                raise SpecError("problem", f"a name of {name_bytes} bytes; 1 to {_MOST_NAME_BYTES}")
        elif len(self._pending) == wanted:
            flags, _, size = _HEADER.unpack_from(self._pending)
            self._begin(bytes(self._pending[_HEADER.size :]), size, is_executable=bool(flags))
            self._hash.update(self._pending)
            self._pending.clear()
        return len(taken)

    def _begin(self, encoded: bytes, size: int, *, is_executable: bool) -> None:
        try:
            name = encoded.decode()
        except UnicodeDecodeError:
            raise SpecError("problem", f"{shown(encoded)}: is no UTF-8") from None
        if problem := name_problem(name):
            raise SpecError("problem", f"{shown(name)}: {problem}")
        self._refuse_many()
        if size > self._left:
            raise SpecError("problem", f"{shown(name)}: over what may be unpacked in sum")
        self._left -= size
        path = self._directory / name
        mode = 0o755 if is_executable else 0o644
        try:
            self._make_directories(name)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(path, flags, mode)
        except (FileExistsError, NotADirectoryError):
            raise SpecError("problem", f"{shown(name)}: is there twice, or below a file") from None
        os.fchmod(self._fd, mode)  # whatever our umask is: jobs read it as somebody else
        self.entries.append(Entry(name, size, is_executable))
        self._missing = size
        if not size:
            self._close()

    def _make_directories(self, name: str) -> None:
        parent, _, _ = name.rpartition("/")
        if parent not in self._made:
            self._make_directories(parent)
            self._refuse_many()  # each is an inode, and no byte of what is sent
            path = self._directory / parent
            path.mkdir(mode=0o755)
            path.chmod(0o755)
            self._made.add(parent)

    def _refuse_many(self) -> None:
        if len(self.entries) + len(self._made) > self._most_files:  # there is the top, too
            raise SpecError("problem", f"over {self._most_files} entries")

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def name_problem(name: str) -> str | None:
    """Why a file may not be called that, below a directory; None: it may."""
    parts = name.split("/")
    if not name or name.startswith("/"):
        return "is not below the top; write a relative path"
    if any(part in ("", ".", "..") for part in parts):
        return "has a part that is empty, . or .."
    if "\\" in name:  # as some programs of Windows write them
        return "has a backslash; pack it again with / between directories"
    if not name.isprintable():
        return "has a character that is not printable"
    if len(parts) > _MOST_DEPTH or len(name.encode()) > _MOST_NAME_BYTES:
        return f"is over {_MOST_DEPTH} levels deep, or over {_MOST_NAME_BYTES} bytes long"
    if any(len(part.encode()) > _MOST_PART_BYTES for part in parts):
        return f"has a part of over {_MOST_PART_BYTES} bytes"
    return None


def digest_of(directory: Path, entries: list[Entry]) -> str | None:
    """What `finish` had answered, of the files as they are now; None: they are others. Blocks."""
    found = hashlib.sha256()
    try:
        for name, size, is_executable in entries:
            encoded = name.encode()
            found.update(_HEADER.pack(is_executable, len(encoded), size) + encoded)
            with (directory / name).open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_size != size:
                    return None
                while piece := file.read(_PIECE_BYTES):
                    found.update(piece)
    except OSError:
        return None
    return found.hexdigest()


def _write(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]
