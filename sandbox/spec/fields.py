"""Fields of a TOML or msgpack table, read strictly: every complaint names its field, dotted."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sandbox.spec.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

__all__ = [
    "dotted",
    "printable",
    "read_array",
    "read_bytes",
    "read_choice",
    "read_flag",
    "read_table",
    "read_text",
    "shown",
    "suggestion",
]

_SHOWN_LENGTH = 80
_BARE_KEY_LENGTH = 64
_MOST_NAME_LENGTH = 256


def read_table(value: Any, field: str, known: Collection[str] = ()) -> Mapping[str, Any]:
    """`value` if it is a table whose keys are all strings, and in `known` unless that is empty.

    Raises SpecError that names the key and the nearest known one. `field` is "" at the top.
    """
    if not isinstance(value, Mapping):
        raise SpecError(field or "document", f"{shown(value)} is no table")
    for key in value:
        if not isinstance(key, str):
            raise SpecError(field or "document", f"key {shown(key)} is no text")
        if known and key not in known:
            raise SpecError(dotted(field, key), f"no such key{suggestion(key, known)}")
    return value


def dotted(field: str, key: str) -> str:
    """The name of `key` in `field`, as TOML would write it: odd keys are quoted."""
    name = key if _is_bare(key) else shown(key)
    return f"{field}.{name}" if field else name


def read_array(value: Any, field: str) -> list[Any]:
    """`value` as a list, if it is an array."""
    if not isinstance(value, list | tuple):
        raise SpecError(field, f"{shown(value)} is no array; put it in [ ]")
    return list(value)


def read_text(value: Any, field: str) -> str:
    """`value` if it is text, not empty, and can be an argument or a path."""
    if not isinstance(value, str):
        raise SpecError(field, f"{shown(value)} is no text")
    if not value:
        raise SpecError(field, "is empty")
    read_bytes(value, field)
    return value


def read_bytes(value: Any, field: str) -> bytes:
    """`value` as the bytes that a program sees; text is UTF-8 with surrogateescape (PEP 383)."""
    if isinstance(value, str):
        try:
            value = os.fsencode(value)
        except UnicodeEncodeError:
            raise SpecError(field, f"{shown(value)} cannot be written as bytes") from None
    if not isinstance(value, bytes):
        raise SpecError(field, f"{shown(value)} is no text")
    if b"\0" in value:
        raise SpecError(field, f"{shown(value)} holds a NUL, which no argument or path can")
    return value


def read_flag(value: Any, field: str) -> bool:
    """`value` if it is true or false."""
    if not isinstance(value, bool):
        raise SpecError(field, f"{shown(value)} is neither true nor false")
    return value


def read_choice(value: Any, field: str, choices: Collection[str]) -> str:
    """`value` if it is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        names = ", ".join(choices)
        raise SpecError(field, f"{shown(value)} is not one of {names}{suggestion(value, choices)}")
    return value


def shown(value: Any) -> str:
    """`value` as messages quote it: one short line, no control characters."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "an array"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        more = "…" if len(value) > _SHOWN_LENGTH else ""
        return f'"{printable(value[:_SHOWN_LENGTH])}{more}"'
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return "a number of over 64 bits"
    return str(value)[:_SHOWN_LENGTH]


def printable(text: str) -> str:
    """`text` with what a terminal would obey, or could not show, as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def suggestion(word: Any, known: Collection[str]) -> str:
    """`; did you mean NAME?` for the nearest of `known`, or nothing if none is near."""
    import difflib  # costs milliseconds, and only mistakes need it

    is_name = isinstance(word, str) and len(word) <= _MOST_NAME_LENGTH  # longer ones take seconds
    near = difflib.get_close_matches(word, known, 1) if is_name else ()
    return f"; did you mean {near[0]}?" if near else ""


def _is_bare(key: str) -> bool:
    # What TOML takes without quotes: letters, digits, _ and -. Without `re`, which the commands
    # that need this module's messages only would have to wait for.
    is_short = len(key) <= _BARE_KEY_LENGTH
    return is_short and key.isascii() and key.replace("_", "0").replace("-", "0").isalnum()
