"""Typed values out of a map that came over the wire: every complaint names its field."""

from __future__ import annotations

import math

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_array, read_choice, read_flag, read_table, shown
from sandbox.wire.messages import text_for_wire, text_from_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

__all__ = [
    "MOST_INTEGER", "REQUIRED", "Fields", "read_data", "read_integer", "read_items", "read_number",
    "read_utf8",
]  # fmt: skip

MOST_INTEGER = (1 << 63) - 1  # what every language's integer holds
REQUIRED: Any = object()

_MOST_TEXT_BYTES = 4 << 10
_MOST_ITEMS = 1 << 16


class Fields:
    """The fields of one map. `field` is its own name, "" for the params of a method.

    Each method reads one field; without a default it is required, and with one nil is as good as
    nothing. All raise SpecError naming the field: it is missing, of another type, or out of bounds.
    """

    def __init__(
        self, value: Any, known: Collection[str], field: str = "", *, ignore_unknown: bool = False
    ) -> None:
        """Raises SpecError: `value` is no map, or has a key that is not in `known`.

        `ignore_unknown` is for what a server says: a newer one may say more.
        """
        self._table = read_table(value, field, () if ignore_unknown else known)
        self._field = field
        self._known = known

    def text(self, key: str, default: Any = REQUIRED, *, most_bytes: int = _MOST_TEXT_BYTES) -> Any:
        """Text of 1 to `most_bytes` bytes of UTF-8, sent as str, raw or bin."""
        return self._read(key, default, read_utf8, 1, most_bytes)

    def data(self, key: str, default: Any = REQUIRED, *, most_bytes: int) -> Any:
        """Up to `most_bytes` bytes, sent as bin, raw or str."""
        return self._read(key, default, read_data, 0, most_bytes)

    def integer(
        self, key: str, default: Any = REQUIRED, *, least: int = 0, most: int = MOST_INTEGER
    ) -> Any:
        """A whole number, sent as an integer."""
        return self._read(key, default, read_integer, least, most)

    def number(self, key: str, default: Any = REQUIRED, *, least: float, most: float) -> Any:
        """A float, sent as one or as an integer; never NaN."""
        return self._read(key, default, read_number, least, most)

    def flag(self, key: str, default: Any = REQUIRED) -> Any:
        """True or false."""
        return self._read(key, default, read_flag)

    def choice(self, key: str, choices: Collection[str], default: Any = REQUIRED) -> Any:
        """One of `choices`."""
        text = self.text(key, default)
        return text if text is default else read_choice(text, dotted(self._field, key), choices)

    def array(self, key: str, default: Any = REQUIRED, *, most_items: int = _MOST_ITEMS) -> Any:
        """An array of up to `most_items`, as a tuple; the items are as they came."""
        return self._read(key, default, read_items, 0, most_items)

    def table(self, key: str, known: Collection[str] = (), default: Any = REQUIRED) -> Any:
        """A map whose keys are in `known`, unless that is empty; the values are as they came."""
        return self._read(key, default, read_table, known)

    def _read(self, key: str, default: Any, read: Callable[..., Any], *bounds: Any) -> Any:
        assert key in self._known, f"{key} is read, and a caller who sends it is refused"
        value, field = self._table.get(key), dotted(self._field, key)
        if value is not None:
            return read(value, field, *bounds)
        if default is REQUIRED:
            raise SpecError(field, "is missing")
        return default


def read_utf8(value: Any, field: str, least_bytes: int, most_bytes: int) -> str:
    """`value` as text; bytes are UTF-8."""
    read_data(value, field, least_bytes, most_bytes)
    text = text_from_wire(value)
    if isinstance(text_for_wire(text), bytes):
        raise SpecError(field, f"{shown(value)} is no UTF-8")
    return text


def read_data(value: Any, field: str, least_bytes: int, most_bytes: int) -> bytes:
    """`value` as bytes; text is UTF-8 with surrogateescape (PEP 383), whatever the locale is."""
    if isinstance(value, str):
        try:
            value = value.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise SpecError(field, f"{shown(value)} cannot be written as bytes") from None
    if not isinstance(value, bytes):
        raise SpecError(field, f"{shown(value)} is neither text nor bytes")
    return _in_range(value, len(value), field, least_bytes, most_bytes, " bytes")


def read_integer(value: Any, field: str, least: int, most: int) -> int:
    """`value` if it is a whole number within these bounds; true is none."""
    if type(value) is not int:
        raise SpecError(field, f"{shown(value)} is no whole number")
    return _in_range(value, value, field, least, most)


def read_number(value: Any, field: str, least: float, most: float) -> float:
    """`value` as a float, if it is a number within these bounds."""
    if type(value) not in (int, float) or math.isnan(value):
        raise SpecError(field, f"{shown(value)} is no number")
    return float(_in_range(value, value, field, least, most))


def read_items(value: Any, field: str, least: int, most: int) -> tuple[Any, ...]:
    """`value` as a tuple, if it is an array of so many items; they are as they came."""
    items = tuple(read_array(value, field))
    return _in_range(items, len(items), field, least, most, " items")


def _in_range(
    value: Any, size: float, field: str, least: float, most: float, unit: str = ""
) -> Any:
    if not least <= size <= most:
        raise SpecError(field, f"{size}{unit} is out of range; allowed: {least} to {most}")
    return value
