"""What DOMjudge adds to a package: domjudge-problem.ini, .timelimit and submissions.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields, parse_number
from sandbox.judge.package.files import PackageFiles, read_text
from sandbox.judge.package.limits import MOST_SECONDS
from sandbox.spec.fields import shown, suggestion

__all__ = ["Extension", "read_extension", "read_submission_details"]

_INI, _TIME, _DETAILS = "domjudge-problem.ini", ".timelimit", "submissions.json"
_MOST_BYTES = 64 << 10
_KEYS = (
    "name", "timelimit", "special_run", "special_compare", "externalid", "allow_submit",
    "allow_judge", "points", "color", "short-name",
    "probid", "hardlimit",  # of its older versions
)  # fmt: skip
_LINE = re.compile(r"([^=\s]+)\s*=\s*(.*)")
_DEFAULT_PROGRAMS = ("run", "compare")


class Extension(NamedTuple):
    """What DOMjudge's own files say."""

    name: str | None
    time_seconds: float | None
    programs: tuple[str, ...]  # names of special ones, which are on its server


def read_extension(package: PackageFiles) -> Extension:
    """Both files, where there are any. Raises PackageError, also where they differ."""
    path = package.file(_INI)
    settings = _settings(read_text(path, _INI, _MOST_BYTES)) if path else {}
    for key in settings:
        if key not in _KEYS:
            package.notes.append(f"{_INI}: {key}: no such key{suggestion(key, _KEYS)}")
    seconds = _seconds(settings.get("timelimit"), f"{_INI}: timelimit")
    path = package.file(_TIME)
    other = _seconds(read_text(path, _TIME, _MOST_BYTES).strip() if path else None, _TIME)
    if seconds is not None and other is not None and seconds != other:
        raise PackageError(_TIME, f"says {other:g} s, and {_INI} {seconds:g} s")
    special = (settings.get(key, "") for key in ("special_run", "special_compare"))
    programs = tuple(name for name in special if name and name not in _DEFAULT_PROGRAMS)
    return Extension(settings.get("name"), other if seconds is None else seconds, programs)


def read_submission_details(package: PackageFiles) -> Mapping[str, Fields]:
    """Below submissions/ -> langid and entry_point of that submission."""
    path = package.file(_DETAILS)
    if path is None:
        return {}
    try:
        table: Any = json.loads(read_text(path, _DETAILS))
        json.dumps(table, ensure_ascii=False).encode()  # ValueError: half a surrogate pair
    except (ValueError, RecursionError) as error:
        raise PackageError(_DETAILS, f"is no JSON: {error}") from error
    known = ("langid", "entry_point", "team")
    fields = Fields(_DETAILS, table, notes=package.notes)
    return {
        key.removeprefix("submissions/").rstrip("/"): fields.fields(key, known) for key in fields
    }


def _settings(text: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in ";#[":
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise PackageError(_INI, f"line {number}: {shown(line)} is no key = value")
        key, value = match.groups()
        if key in settings:
            raise PackageError(_INI, f"line {number}: {key} a second time")
        settings[key] = _value(value, number)
    return settings


def _value(text: str, number: int) -> str:
    quote = text[:1]
    if quote not in ('"', "'") or not quote:
        return text.split(";")[0].strip()
    end = text.find(quote, 1)
    if end < 0:
        raise PackageError(_INI, f"line {number}: a quote that does not end on its line")
    return text[1:end]


def _seconds(text: str | None, where: str) -> float | None:
    if text is None:
        return None
    seconds = parse_number(text)
    if seconds is None or not 0 < seconds <= MOST_SECONDS:
        file, _, key = where.partition(": ")
        problem = f"{shown(text)} is no number of seconds, over 0 and at most {MOST_SECONDS}"
        raise PackageError(file, f"{key}: {problem}" if key else problem)
    return seconds
