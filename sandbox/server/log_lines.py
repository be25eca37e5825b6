"""Log events as lines: one for people, one for programs; hostile text breaks neither."""

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.spec.fields import printable

__all__ = ["FORMATS", "MOST_LINE_BYTES", "MOST_TEXT_LENGTH", "RENDER"]

# A pipe takes so much at once, or nothing (PIPE_BUF, pipe(7)): lines of several writers never mix.
MOST_LINE_BYTES = 4096

MOST_TEXT_LENGTH = 512
_SHORT_TEXT_LENGTH = 24  # where a line came out too long
_MOST_ITEMS = 8
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-")


def human_line(when: float | None, event: str, fields: Mapping[str, Any]) -> str:
    """`TIME event key=value …`: units are behind the values, and what is not known is left out."""
    return _fitting(lambda length: _human(when, event, fields, length))


def json_line(when: float | None, event: str, fields: Mapping[str, Any]) -> str:
    """One JSON object (RFC 8259) in ASCII; what is not known is null."""
    return _fitting(lambda length: _json(when, event, fields, length))


RENDER = {"human": human_line, "json": json_line}
FORMATS = tuple(RENDER)


def _fitting(render: Callable[[int], str]) -> str:
    for length in (MOST_TEXT_LENGTH, _SHORT_TEXT_LENGTH):
        line = render(length)
        if len(line.encode("utf-8", "backslashreplace")) < MOST_LINE_BYTES:
            break
    return line


def _human(when: float | None, event: str, fields: Mapping[str, Any], length: int) -> str:
    words = [event] if when is None else [_rfc3339(when), event]
    for name, value in fields.items():
        if value is None or value == ():
            continue
        if name.endswith("_seconds"):
            words.append(f"{name.removesuffix('_seconds')}={value:.3f}s")
        elif name.endswith("_bytes"):
            words.append(f"{name.removesuffix('_bytes')}={_size(value)}")
        else:
            words.append(f"{name}={_quoted(_text(value, length))}")
    return " ".join(words)


def _json(when: float | None, event: str, fields: Mapping[str, Any], length: int) -> str:
    document = {"time": None if when is None else _rfc3339(when), "event": event}
    document |= {name: _plain(value, length) for name, value in fields.items()}
    return json.dumps(document, separators=(",", ":"), allow_nan=False)


def _rfc3339(when: float) -> str:
    whole, milliseconds = divmod(int(when * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03d}Z"


def _size(size_bytes: float) -> str:
    if size_bytes < 1 << 10:
        return f"{size_bytes}B"
    power = min(4, (int(size_bytes).bit_length() - 1) // 10)
    return f"{size_bytes / (1 << 10 * power):.1f}{('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def _quoted(text: str) -> str:
    if text and _BARE.issuperset(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(escaped)}"'


def _text(value: Any, length: int) -> str:
    if isinstance(value, list | tuple):
        more = "; …" if len(value) > _MOST_ITEMS else ""
        return "; ".join(_text(item, length) for item in value[:_MOST_ITEMS]) + more
    if isinstance(value, bool):
        return str(value).lower()
    return _cut(value, length)


def _plain(value: Any, length: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item, length) for item in value[:_MOST_ITEMS]]
    # Lone surrogates are no text to most readers of JSON.
    return _cut(value, length).encode("utf-8", "backslashreplace").decode()


def _cut(value: Any, length: int) -> str:
    if isinstance(value, bytes):
        value = value[: length + 1].decode("utf-8", "backslashreplace")
    text = str(value)
    return text if len(text) <= length else f"{text[:length]}…"
