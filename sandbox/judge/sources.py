"""Source files: read once, to where they are compiled from; what is hashed is what is used."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from sandbox.judge.constants import with_constants
from sandbox.judge.language_file import Language
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown

__all__ = [
    "MOST_DIRECTORIES", "Files", "SourceError", "digest_of", "directories_of", "files_below",
    "included", "name_problem", "read_source", "stage",
]  # fmt: skip

_MOST_FILES = 2000
MOST_DIRECTORIES = 500  # each costs a disk more than a file, and an inode of the job's
_MOST_BYTES = 64 << 20
_MOST_NAME_BYTES = 255  # NAME_MAX, of each part
_MOST_PARTS = 16
_MOST_PATH_BYTES = 1024  # PATH_MAX holds where we put it, too
_MOST_NAMES_BYTES = 128 << 10  # of all: they are arguments of the compiler, execve(2)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Files = Sequence[tuple[str, Path]]


class SourceError(SpecError):
    """A source that is none: the fault of who submitted it."""


def files_below(directory: Path) -> tuple[tuple[str, Path], ...]:
    """The files of a submission that is a directory, in order; links to files among them.

    Of what `name_problem` refuses for its number or its depth, as much as it takes for that: a
    directory that is too deep to be looked into, or cannot be, stands for what is in it.
    """
    found: list[tuple[str, Path]] = []
    pending = [directory]
    while pending and len(found) <= _MOST_FILES:
        above = pending.pop()
        name = str(above.relative_to(directory))
        is_deep = name.count("/") >= _MOST_PARTS or _size(name) > _MOST_PATH_BYTES
        try:
            entries = [] if is_deep else list(os.scandir(above))
        except OSError:
            is_deep = True
        if is_deep:
            found.append((name, above))
            continue
        for entry in entries:
            path = above / entry.name
            if entry.is_dir(follow_symlinks=False):
                pending.append(path)
            elif _is_file(path):
                found.append((str(path.relative_to(directory)), path))
    return tuple(sorted(found))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # where nobody may look: whoever reads it says so
        return True


def included(
    files: Files, language: Language, includes: Mapping[str, Files]
) -> tuple[tuple[str, Path], ...]:
    """The submission's files, and over them what the package has for this language, or for any."""
    codes = (language.code, *sorted(language.codes), *language.kin, "default")
    ours = next((includes[code] for code in codes if code in includes), ())
    return tuple({**dict(files), **dict(ours)}.items())


def name_problem(files: Files) -> str | None:
    """Why these names are not handed to a compiler; None if they are.

    Nothing is refused that a compiler takes for a name: what it takes for an option, for a list of
    options, or for two lines is.
    """
    if not files:
        return "there is no file"
    if len(files) > _MOST_FILES:
        return f"{len(files)} files, over {_MOST_FILES}"
    names = {name for name, _ in files}
    if len(names) < len(files):
        return "two files have one name"
    if sum(map(_size, names)) > _MOST_NAMES_BYTES:
        return f"names of over {_MOST_NAMES_BYTES} bytes"
    for name in sorted(names):
        if _size(name) > _MOST_PATH_BYTES:
            return f"{shown(name)}: is over {_MOST_PATH_BYTES} bytes"
        parts = name.split("/")
        if why := next((why for part in parts if (why := _part_problem(part))), None):
            return f"{shown(name)}: {why}"
        if len(parts) > _MOST_PARTS:
            return f"{shown(name)}: over {_MOST_PARTS} directories deep"
    directories = directories_of(names)
    if both := directories & names:
        return f"{shown(min(both))} is a file and a directory"
    if len(directories) > MOST_DIRECTORIES:
        return f"{len(directories)} directories, over {MOST_DIRECTORIES}"
    return None


def directories_of(names: Iterable[str]) -> set[str]:
    """Those that these files lie in, below the one that their names begin at."""
    found: set[str] = set()
    for name in names:
        above = name.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found


def stage(
    files: Files, directory: Path, constants: Mapping[str, str], filled: Collection[str]
) -> bytes:
    """Copy the files below `directory` and give their digest: names, contents, who may execute.

    Those whose names are `filled` have the constants in them. Raises SourceError: no regular file,
    or too much of them.
    """
    state = hashlib.sha256()
    left = _MOST_BYTES
    for name, source in sorted(files):
        content, is_executable = read_source(source)
        if name in filled:
            try:
                content = with_constants(content, constants, left)
            except ValueError as error:
                raise SourceError(str(source), str(error)) from error
        left -= len(content)
        if left < 0:
            raise SourceError(str(source), f"more than {_MOST_BYTES} bytes of source in all")
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if is_executable else 0o644)
        state.update(digest_of(os.fsencode(name), content, b"x" if is_executable else b""))
    return state.digest()


def digest_of(*parts: bytes) -> bytes:
    """A hash of the parts and of where each ends."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.digest()


def _part_problem(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "is no path below a directory"
    if part[0] in "-@":
        return f"begins with {part[0]}, which compilers take for an option"
    if not part.isprintable() or "\\" in part:
        return "holds what no name of a source does"
    if _size(part) > _MOST_NAME_BYTES:
        return f"is over {_MOST_NAME_BYTES} bytes"
    return None


def _size(name: str) -> int:
    return len(name.encode("utf-8", "surrogatepass"))


def read_source(path: Path, most_bytes: int = _MOST_BYTES) -> tuple[bytes, bool]:
    """Its content, and whether its owner may execute it.

    Raises SourceError: no regular file, or more than `most_bytes`. A link is not followed, for
    whoever made it may have had it lead anywhere on the host.
    """
    try:
        fd = os.open(path, _READ)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(str(path), "is no regular file")
            content = file.read(most_bytes + 1)
    except OSError as error:  # ELOOP: a link
        raise SourceError(str(path), f"cannot be read: {error.strerror}") from error
    if len(content) > most_bytes:
        raise SourceError(str(path), f"is over {most_bytes} bytes")
    return content, bool(status.st_mode & stat.S_IXUSR)
