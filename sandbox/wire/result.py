"""A Result as a map, and back: its own to_mapping, read by what the fields are declared to be."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sandbox.spec.errors import ProtocolError, SpecError
from sandbox.spec.fields import dotted, read_array, read_choice, read_table, shown
from sandbox.spec.result import VERDICTS, Result
from sandbox.wire.messages import sendable, text_from_wire
from sandbox.wire.values import MOST_INTEGER, read_integer, read_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Read = Callable[[Any, str], Any]

__all__ = ["result_from_map", "result_to_map"]


def result_to_map(result: Result) -> dict[str, Any]:
    """`result` as what a message can hold; text that is no UTF-8, keys too, as bytes."""
    return sendable(result.to_mapping())


def result_from_map(value: Any) -> Result:
    """The Result that a server sent; what a newer one says beside is ignored.

    A field that may be None may be missing. Raises ProtocolError naming the field.
    """
    try:
        table = read_table(value, "result")
        result = Result(**{name: read(table.get(name), name) for name, read in _READERS.items()})
        read_choice(result.verdict, "verdict", VERDICTS)
    except SpecError as error:
        raise ProtocolError(f"in a result, {error}") from error
    return result


def _received(value: Any, field: str) -> Any:
    # As JSON would have it: arrays are lists, and nothing is bytes.
    if isinstance(value, Mapping):
        return _mapping(_received)(value, field)
    if isinstance(value, list | tuple):
        return [_received(item, field) for item in value]
    return text_from_wire(value)


def _text(value: Any, field: str) -> str:
    text = text_from_wire(value)
    if not isinstance(text, str):
        raise SpecError(field, f"{shown(value)} is no text")
    return text


def _texts(value: Any, field: str) -> tuple[str, ...]:
    return tuple(_text(item, field) for item in read_array(value, field))


def _integer(value: Any, field: str) -> int:
    return read_integer(value, field, -MOST_INTEGER, MOST_INTEGER)


def _number(value: Any, field: str) -> float:
    return read_number(value, field, -math.inf, math.inf)


def _mapping(read: _Read) -> _Read:
    def read_mapping(value: Any, field: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise SpecError(field, f"{shown(value)} is no table")
        table = {_text(key, field): item for key, item in value.items()}
        return {key: read(item, dotted(field, key)) for key, item in table.items()}

    return read_mapping


# As Result's source says it: annotations are text there.
_READER_OF: Mapping[str, _Read] = {
    "str": _text,
    "int": _integer,
    "float": _number,
    "tuple[str, ...]": _texts,
    "Mapping[str, int]": _mapping(_integer),
    "Mapping[str, float]": _mapping(_number),
    "Mapping[str, str]": _mapping(_text),
    "Mapping[str, Any]": _mapping(_received),
}


def _reader(declared: str) -> _Read:
    required = declared.removesuffix(" | None")
    read = _READER_OF[required]
    if required == declared:
        return read
    return lambda value, field: None if value is None else read(value, field)


# A field that Result gains is read here too, or this module does not import.
_READERS = {name: _reader(declared) for name, declared in Result.__annotations__.items()}
