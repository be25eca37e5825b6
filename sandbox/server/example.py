"""Calls and answers as the docs show them: JSON, but for b"…" where it is bin, and nil."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["shown_call", "shown_value"]

_WIDTH = 96
_MOST_LENGTH = 100  # of a text or bytes
# A result is long, and it is shown whole where it is the answer.
_IN_BRIEF = {"result": ("verdict", "exit_code", "signal", "evidence")}


def shown_call(example: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a call, its answer or error, and what was pushed after it."""
    yield from _lines(f"→ {example['method']} ", example["params"])
    if "error" in example:
        yield from _lines("← error ", example["error"])
    else:
        yield from _lines("← ", example["answer"])
    for method, params in example["pushed"]:
        yield from _lines(f"← {method} ", params)


def shown_value(value: Any) -> str:
    """`value` in one line."""
    if value is None:
        return "nil"
    if value is ...:
        return "…"
    if isinstance(value, bytes):
        return 'b"' + repr(value[:_MOST_LENGTH])[2:-1] + '"' + _more(value)
    if isinstance(value, str):
        return json.dumps(value[:_MOST_LENGTH], ensure_ascii=False) + _more(value)
    if isinstance(value, float):
        return json.dumps(round(value, 6))
    if isinstance(value, Mapping):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(shown_value, value)) + "]"
    return json.dumps(value)


def _more(value: str | bytes) -> str:
    return "…" if len(value) > _MOST_LENGTH else ""


def _pairs(table: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield _name(key) + shown_value(_brief(key, value))


def _name(key: Any) -> str:
    return "" if key is ... else f"{shown_value(key)}: "


def _brief(key: Any, value: Any) -> Any:
    names = _IN_BRIEF.get(key)
    if names is None or not isinstance(value, Mapping):
        return value
    return {name: value[name] for name in names if name in value} | {...: ...}


def _lines(head: str, value: Any, tail: str = "", indent: str = "") -> Iterator[str]:
    line = indent + head + shown_value(value) + tail
    if len(line) <= _WIDTH or not value or not isinstance(value, Mapping | list | tuple):
        yield line
        return
    is_map = isinstance(value, Mapping)
    opening, closing = "{}" if is_map else "[]"
    yield indent + head + opening
    inner, line = indent + "  ", ""
    items = (
        [(_name(key), _brief(key, item)) for key, item in value.items()]
        if is_map
        else [("", item) for item in value]
    )
    for number, (name, item) in enumerate(items):
        comma = "," if number < len(items) - 1 else ""
        piece = name + shown_value(item) + comma
        if line and len(inner + line + " " + piece) <= _WIDTH:
            line += " " + piece
            continue
        if line:
            yield inner + line
        line = piece if len(inner + piece) <= _WIDTH else ""
        if not line:
            yield from _lines(name, item, comma, inner)
    if line:
        yield inner + line
    yield indent + closing + tail
