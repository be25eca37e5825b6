"""Files as DOMjudge sends them: names, and contents in base64. Checked before any is written."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.spec.errors import ProtocolError, SpecError
from sandbox.spec.fields import read_array, read_flag, read_table, shown

__all__ = ["SentFile", "executable_hash", "md5", "read_files", "write_files"]

_MOST_FILES = 1000
_MOST_NAME_BYTES = 255


class SentFile(NamedTuple):
    """One file."""

    name: str  # of a file, never a path
    content: bytes
    is_executable: bool


def read_files(answer: Any, what: str) -> tuple[SentFile, ...]:
    """The files that get_files answered with. Raises ProtocolError: a name is none that a file in a
    directory of ours may have, or is there twice; a content is no base64.
    """
    try:
        rows = read_array(answer, what)
        if not 1 <= len(rows) <= _MOST_FILES:
            raise SpecError(what, f"{len(rows)} files; allowed: 1 to {_MOST_FILES}")
        files = tuple(_file(row, f"{what}[{n}]") for n, row in enumerate(rows))
        if len({file.name for file in files}) < len(files):
            raise SpecError(what, "two files of one name")
    except SpecError as error:
        raise ProtocolError(str(error)) from error
    return files


def write_files(files: Iterable[SentFile], directory: Path) -> tuple[tuple[str, Path], ...]:
    """Write them into `directory`, which is ours; names and paths."""
    written = []
    for file in files:
        path = directory / file.name
        path.write_bytes(file.content)
        path.chmod(0o700 if file.is_executable else 0o600)
        written.append((file.name, path))
    return tuple(written)


def executable_hash(files: Iterable[SentFile]) -> str:
    """The hash that DOMjudge gives an executable: over checksums, names and modes, by name."""
    text = "".join(
        md5(file.content) + file.name + ("1" if file.is_executable else "")
        for file in sorted(files, key=lambda file: file.name.encode())
    )
    return md5(text.encode())


def md5(content: bytes) -> str:
    """DOMjudge's checksum: against mistakes, not against the jury."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _file(row: Any, field: str) -> SentFile:
    table = read_table(row, field)
    name, content = table.get("filename"), table.get("content")
    if not isinstance(name, str) or not _is_name(name):
        raise SpecError(f"{field}.filename", f"{shown(name)} is no name of a file")
    if not isinstance(content, str):
        raise SpecError(f"{field}.content", f"{shown(content)} is no text")
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError as error:
        raise SpecError(f"{field}.content", f"no base64: {error}") from error
    is_executable = read_flag(table.get("is_executable", False), f"{field}.is_executable")
    return SentFile(name, data, is_executable)


def _is_name(name: str) -> bool:
    if name in ("", ".", "..") or "/" in name or not name.isprintable():
        return False
    try:
        return len(name.encode()) <= _MOST_NAME_BYTES
    except UnicodeEncodeError:  # a lone surrogate, which JSON can write
        return False
