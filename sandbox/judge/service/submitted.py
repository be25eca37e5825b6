"""The files of a submission as a call has them: names that may be, with bytes or a blob each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.judge.unpacking import name_problem
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.values import Fields, read_data

__all__ = ["MOST_FILE_BYTES", "read_files"]

_MOST_FILES = 256
_SHA256 = {"most_bytes": 64}
MOST_FILE_BYTES = 16 << 20  # of all of them: of blobs, for a frame has less


def read_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes, or the SHA-256 of a blob, by name. Raises InvalidParamsError naming the file."""
    if not 1 <= len(given) <= _MOST_FILES:
        raise InvalidParamsError("files", f"{len(given)} of them; 1 to {_MOST_FILES}")
    found = dict(_read_files(given))
    for name in found:
        above = name.split("/")[:-1]
        for depth in range(1, len(above) + 1):
            if (outer := "/".join(above[:depth])) in found:
                raise InvalidParamsError(dotted("files", name), f"lies below the file {outer}")
    return found


def _read_files(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        field = dotted("files", name)
        if problem := name_problem(name):
            raise InvalidParamsError(field, problem)
        try:
            if isinstance(value, Mapping):
                yield name, Fields(value, ("blob",), field).text("blob", **_SHA256)
            else:
                yield name, read_data(value, field, 0, MOST_FILE_BYTES)
        except SpecError as error:
            raise InvalidParamsError(error.field, error.problem) from error
