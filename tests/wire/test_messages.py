"""Messages as bytes: what stock clients send, and what cannot be said."""

from types import MappingProxyType
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.wire.messages import (
    Notification,
    Request,
    Response,
    encode,
    text_for_wire,
    text_from_wire,
)


@pytest.mark.parametrize(
    ("message", "value"),
    [
        (Request(7, "job.read", ({"max": 9},)), [0, 7, "job.read", [{"max": 9}]]),
        (Response(7, None, b"\xff"), [1, 7, None, b"\xff"]),
        (Response((1 << 32) - 1, {"code": "host"}), [1, 4294967295, {"code": "host"}, None]),
        (Notification("stream.grant"), [2, "stream.grant", []]),
        (Notification("m", (MappingProxyType({"k": 1}),)), [2, "m", [{"k": 1}]]),
    ],
)  # fmt: skip
def test_a_message_is_what_the_published_protocol_says(message: Any, value: list[Any]) -> None:
    assert msgpack.unpackb(encode(message)) == value


@pytest.mark.parametrize(
    "message",
    [
        Request(-1, "m"),
        Request(1 << 32, "m"),
        Response(1 << 32),
        Notification("m", (1 << 64,)),
        Notification("m", ("\udcff",)),
        Notification("m", (object(),)),
        Notification("m", ({1, 2},)),
    ],
)
def test_what_cannot_be_said_is_not_encoded(message: Any) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        encode(message)


@given(st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_text_that_is_no_utf8_travels_as_its_bytes(text: str) -> None:
    sent = text_for_wire(text)
    assert text_from_wire(sent) == text
    msgpack.packb(sent)
