"""Paths that a job names: on the host, where they must exist, and in its sandbox."""

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import read_bytes, shown

__all__ = ["host_path", "inside_path", "places_above"]

# Where the sandbox has mounts of its own; nothing of a job's may cover them.
_RESERVED = (b"/dev", b"/proc", b"/sys")
_MOST_BYTES = 4095  # PATH_MAX without its NUL: the kernel takes no longer one, path_resolution(7)
_MOST_PARTS = 128  # each directory above a place is made, by whoever builds the sandbox
_SHARED_MEMORY = b"/dev/shm"  # part of the job's own scratch space


def inside_path(value: Any, field: str, cwd: bytes) -> bytes:
    """An absolute path in the sandbox, normalised; a relative one is below `cwd`.

    Raises SpecError: one too long or deep; "..", which a link inside could turn anywhere; the root
    itself; /dev, /proc, /sys and what is below them, but for /dev/shm.
    """
    path = read_bytes(value, field)
    if not path:
        raise SpecError(field, "is empty")
    if b".." in path.split(b"/"):
        raise SpecError(field, f"{shown(path)} holds ..; name the place itself")
    # posixpath keeps two leading slashes, which POSIX allows to mean something else.
    whole = b"/" + posixpath.normpath(posixpath.join(cwd, path)).lstrip(b"/")
    if len(whole) > _MOST_BYTES:
        raise SpecError(field, f"{shown(path)} is over {_MOST_BYTES} bytes, which no path can be")
    if whole.count(b"/") > _MOST_PARTS:
        raise SpecError(field, f"{shown(path)} is over {_MOST_PARTS} directories deep")
    is_reserved = any(_is_at_or_below(whole, place) for place in _RESERVED)
    if whole == b"/" or (is_reserved and not _is_at_or_below(whole, _SHARED_MEMORY)):
        raise SpecError(field, f"{shown(whole)} is the sandbox's own; write a place like /work/…")
    return whole


def places_above(path: bytes) -> Iterator[bytes]:
    """The directories that a normalised `path` lies in, nearest first, without the root."""
    while (path := posixpath.dirname(path)) != b"/":
        yield path


def _is_at_or_below(path: bytes, place: bytes) -> bool:
    """Whether the normalised `path` is `place`, or lies in it."""
    return path == place or path.startswith(place.rstrip(b"/") + b"/")


def host_path(value: Any, field: str, base: Path) -> tuple[Path, int]:
    """An existing path of the host, absolute, and its st_mode; a relative one is below `base`."""
    name = read_bytes(value, field)
    if not name:
        raise SpecError(field, "is empty")
    path = base / os.fsdecode(name)
    try:
        return path.absolute(), path.stat().st_mode
    except OSError as error:
        raise SpecError(field, f"{shown(str(path))}: {error.strerror}") from error
