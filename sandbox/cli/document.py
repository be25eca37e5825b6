"""The options of `sandbox run` and its spec file, made into one document that describes a job.

Paths of this host in it are absolute. What else it may say is judged by whoever reads it: this
process, or a server.
"""

from __future__ import annotations

import os

from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_array, read_table, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sandbox.cli.options import Given

__all__ = ["Origins", "read_document"]

_ARRAYS = ("ro", "copy", "collect")
_TABLES = ("env", "require_grade")


class Origins:
    """Which option or file each field of a document came from, so that complaints name that."""

    def __init__(self, file: str | None, keys: Sequence[str]) -> None:
        self._file, self._keys = file, keys
        self._options: dict[str, str] = {}

    def add(self, field: str, option: str) -> None:
        """Note that `field` was set by `option`."""
        self._options[field] = option

    def explain(self, error: SpecError) -> SpecError:
        """The same complaint, about the option as the user wrote it, or with the file's name."""
        for field, option in self._options.items():
            if error.field == field or error.field.startswith(f"{field}."):
                return SpecError(option + error.field[len(field) :], error.problem)
        if self._file is not None and error.field.split(".")[0].split("[")[0] in self._keys:
            return SpecError(f"{self._file}: {error.field}", error.problem)
        return error


def read_document(
    given: Sequence[Given], command: Sequence[str], spec: str | None, directory: str
) -> tuple[dict[str, Any], Origins]:
    """The spec file, and the options that override it; arrays and tables are added to.

    Paths in options are relative to `directory`, those in the file to where the file is. Raises
    SpecError naming the option, or the file and the field.
    """
    document: dict[str, Any] = {}
    if spec is not None:
        document = _read_file(os.path.join(directory, spec))
    origins = Origins(spec, tuple(document))
    if command or spec is None:
        document["command"] = list(command)
        origins.add("command", "COMMAND")
    try:
        for option in given:
            for field in _put(document, option, directory):
                origins.add(field, option[0])
    except SpecError as error:
        raise origins.explain(error) from error
    return document, origins


def _read_file(path: str) -> dict[str, Any]:
    from pathlib import Path

    from sandbox.spec.toml_file import read_toml

    document = read_toml(Path(path), "--spec")
    base = str(Path(path).resolve().parent)
    for key, value in document.items():
        if isinstance(value, str):
            document[key] = _anchored(key, value, base)
        elif isinstance(value, list) and key in _ARRAYS:
            document[key] = [_anchored_entry(key, entry, base) for entry in value]
    return document


def _anchored_entry(key: str, entry: Any, base: str) -> Any:
    if isinstance(entry, str):
        return _anchored(key, entry, base)
    side = "destination" if key == "collect" else "source"
    if isinstance(entry, dict) and isinstance(entry.get(side), str):
        return {**entry, side: os.path.join(base, entry[side])}
    return entry


def _put(document: dict[str, Any], option: Given, directory: str) -> tuple[str, ...]:
    """Write one option into the document; the fields that complaints about it will name."""
    name, value = option
    key = name.removeprefix("--").replace("-", "_")
    if name in LIMITS:
        _table(document, "limits")[key] = value
        return (f"limits.{key}",)
    if value is None:
        document[key] = True
        return (key,)
    if key in _TABLES:
        entry, equals, content = value.partition("=")
        if not equals:
            raise SpecError(name, f"{shown(value)} has no =; write {SETTINGS[name].value}")
        _table(document, key)[entry] = content
        return (dotted(key, entry),)
    value = _anchored(key, value, directory)
    if key in _ARRAYS:
        document[key] = [*read_array(document.get(key, []), key), value]
        return (f"{key}[{len(document[key]) - 1}]", key)
    document[key] = value
    return (key,)


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    table = dict(read_table(document.get(key, {}), key))
    document[key] = table
    return table


def _anchored(key: str, value: str, directory: str) -> str:
    """The value, its host path no longer relative."""
    if key == "collect":
        path, equals, destination = value.partition("=")
        is_whole = equals and destination
        return f"{path}={os.path.join(directory, destination)}" if is_whole else value
    is_path = (
        key in ("ro", "copy")
        or (key == "policy" and value.endswith(".toml"))
        or (key == "root" and value != "host")
        or (key == "stdin" and value != "-")
    )
    return os.path.join(directory, value) if is_path and value[:1] not in ("", ":") else value
