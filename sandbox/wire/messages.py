"""The three messages of MessagePack-RPC, as values and as bytes.

https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md
"""

from __future__ import annotations

from collections.abc import Mapping

import msgpack

from sandbox.spec.errors import ProtocolError
from sandbox.spec.fields import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "Message",
    "Notification",
    "Request",
    "Response",
    "encode",
    "message_from",
    "sendable",
    "text_for_wire",
    "text_from_wire",
]

_MOST_MSGID = (1 << 32) - 1


class Request(NamedTuple):
    """A call, to be answered by the Response of the same msgid: `[0, msgid, method, params]`."""

    msgid: int  # 0 to 4294967295, chosen by the caller
    method: str
    params: tuple[Any, ...] = ()


class Response(NamedTuple):
    """The answer to a call: `[1, msgid, error, result]`; `error` is None for a success."""

    msgid: int
    error: Any = None  # errors.error_to_map
    result: Any = None


class Notification(NamedTuple):
    """A message that nobody answers: `[2, method, params]`."""

    method: str
    params: tuple[Any, ...] = ()


Message = Request | Response | Notification
_TYPES = {Request: 0, Response: 1, Notification: 2}


def encode(message: Message) -> bytes:
    """`message` as msgpack: str as str, bytes as bin, tuples as arrays.

    Raises ValueError, TypeError or OverflowError for what a message cannot hold: a msgid beyond 32
    bits, an integer beyond 64, a lone surrogate (see text_for_wire), an object that is no data.
    """
    if not isinstance(message, Notification) and not 0 <= message.msgid <= _MOST_MSGID:
        raise ValueError(f"msgid {message.msgid} has over 32 bits")
    return msgpack.packb((_TYPES[type(message)], *message), default=_as_dict)


def message_from(value: Any) -> Message:
    """The message that an unpacked value is. Raises ProtocolError saying what is wrong with it."""
    match value:
        case (type_, msgid, method, params) if _is(type_, 0):
            return Request(_msgid(msgid), _method(method), _params(params))
        case (type_, msgid, error, result) if _is(type_, 1):
            return Response(_msgid(msgid), error, result)
        case (type_, method, params) if _is(type_, 2):
            return Notification(_method(method), _params(params))
    raise ProtocolError(
        "no message; write [0, msgid, method, params], [1, msgid, error, result] or"
        " [2, method, params]"
    )


def text_for_wire(text: str) -> str | bytes:
    """`text`, or the bytes that it stands for where it is no UTF-8 (PEP 383): str must be that."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")
    return text


def sendable(value: Any) -> Any:
    """`value` with text_for_wire of every text in it, keys of maps too; arrays as lists."""
    if isinstance(value, str):
        return text_for_wire(value)
    if isinstance(value, Mapping):
        return {sendable(key): sendable(item) for key, item in value.items()}
    return [sendable(item) for item in value] if isinstance(value, list | tuple) else value


def text_from_wire(value: Any) -> Any:
    """What text_for_wire was given; anything but bytes as it is."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _is(value: Any, number: int) -> bool:
    return type(value) is int and value == number  # not true, nor 1.0


def _msgid(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MOST_MSGID:
        raise ProtocolError(f"msgid {shown(value)} is no integer of 32 bits")
    return value


def _method(value: Any) -> str:
    method = text_from_wire(value)
    if not isinstance(method, str) or isinstance(text_for_wire(method), bytes):
        raise ProtocolError(f"method {shown(value)} is no text")
    return method


def _params(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise ProtocolError(f"params are {shown(value)}; write an array, of one map or empty")
    return value


def _as_dict(value: Any) -> dict[Any, Any]:
    if isinstance(value, Mapping):  # a MappingProxyType, say, which msgpack does not know
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no data that a message can hold")
