"""The options of `sandbox run` and its spec file, made into one job."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.cli.options import Given
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_array, read_table, shown
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.toml_file import read_toml

__all__ = ["Origins", "read_job"]

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


def read_job(
    given: Sequence[Given], command: Sequence[str], spec: str | None, directory: Path
) -> tuple[Job, Origins]:
    """The job of a spec file and the options that override it; arrays and tables are added to.

    Paths in options are relative to `directory`, those in the file to where the file is. Raises
    SpecError naming the option, or the file and the field.
    """
    document: dict[str, Any] = {}
    base = directory
    if spec is not None:
        document = read_toml(directory / spec, "--spec")
        base = (directory / spec).resolve().parent
    origins = Origins(spec, tuple(document))
    if command or spec is None:
        document["command"] = list(command)
        origins.add("command", "COMMAND")
    try:
        for option in given:
            for field in _put(document, option, directory):
                origins.add(field, option[0])
        return job_from_mapping(document, base), origins
    except SpecError as error:
        raise origins.explain(error) from error


def _put(document: dict[str, Any], option: Given, directory: Path) -> tuple[str, ...]:
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


def _anchored(key: str, value: str, directory: Path) -> str:
    """The value, its host path no longer relative: the file's own are relative to the file."""
    if key == "collect":
        path, equals, destination = value.partition("=")
        return f"{path}={directory / destination}" if equals and destination else value
    is_path = (
        key in ("ro", "copy")
        or (key == "policy" and value.endswith(".toml"))
        or (key == "root" and value != "host")
        or (key == "stdin" and value != "-")
    )
    return str(directory / value) if is_path and value[:1] not in ("", ":") else value
