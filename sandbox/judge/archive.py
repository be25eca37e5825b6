"""An archive that a job has made, taken apart on this side. It is hostile."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from sandbox.judge.sources import MOST_DIRECTORIES, directories_of, name_problem
from sandbox.spec.fields import shown

__all__ = ["unpack"]

_BLOCK_BYTES = 512
_MOST_FILES = 4000
_PIECE_BYTES = 1 << 20
_FILE, _OLD_FILE, _DIRECTORY = b"0", b"\0", b"5"


def unpack(archive: Path, directory: Path) -> None:
    """Write the files of a ustar archive (`tar --format=ustar`) below the empty `directory`.

    Regular files and directories only; no byte is read as anything else, so no archive leads out.
    Raises ValueError saying what is wrong with it.
    """
    names: set[str] = set()
    directories: set[str] = set()
    with archive.open("rb") as file:
        while (header := _exactly(file, _BLOCK_BYTES)).strip(b"\0"):
            name, kind = _name(header), header[156:157]
            if kind == _DIRECTORY:
                continue  # its files bring it
            if kind not in (_FILE, _OLD_FILE):
                raise ValueError(f"{shown(name)} is no regular file")
            if len(names) >= _MOST_FILES:
                raise ValueError(f"over {_MOST_FILES} files")
            names.add(name)
            directories |= directories_of([name])
            if len(directories) > MOST_DIRECTORIES:
                raise ValueError(f"over {MOST_DIRECTORIES} directories")
            is_executable = _octal(header[100:108]) & 0o100
            path = directory / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    _copy(file, target, _octal(header[124:136]))
            except (FileExistsError, NotADirectoryError):
                raise ValueError(f"{shown(name)} is there twice") from None
            path.chmod(0o755 if is_executable else 0o644)


def _name(header: bytes) -> str:
    name, prefix = (part.split(b"\0")[0] for part in (header[:100], header[345:500]))
    whole = (prefix + b"/" + name if prefix else name).removeprefix(b"./").rstrip(b"/")
    text = whole.decode("utf-8", "surrogateescape")
    if header[156:157] != _DIRECTORY and (why := name_problem([(text, Path())])):
        raise ValueError(why)
    return text


def _octal(digits: bytes) -> int:
    text = digits.strip(b" \0")
    if not text.isdigit() or text.strip(b"01234567"):
        raise ValueError("a header holds a number that is none")
    return int(text, 8)


def _copy(file: BinaryIO, target: BinaryIO, size: int) -> None:
    left = size
    while left:
        piece = _exactly(file, min(left, _PIECE_BYTES))
        target.write(piece)
        left -= len(piece)
    _exactly(file, -size % _BLOCK_BYTES)


def _exactly(file: BinaryIO, count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("it ends too early")
    return data
