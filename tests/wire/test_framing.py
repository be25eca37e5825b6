"""From bytes to messages: however they were chunked, and whatever they are."""

import itertools
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz import frame
from sandbox.spec.errors import ProtocolError
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, Notification, Request, Response, encode

DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False) | st.text(max_size=40) | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=6).map(tuple)
        | st.dictionaries(st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)  # fmt: skip
MSGIDS = st.integers(0, (1 << 32) - 1)
PARAMS = st.lists(DATA, max_size=3).map(tuple)
MESSAGES = (
    st.builds(Request, MSGIDS, st.text(max_size=20), PARAMS)
    | st.builds(Response, MSGIDS, DATA, DATA)
    | st.builds(Notification, st.text(max_size=20), PARAMS)
)


def decode(chunks: list[bytes], most_bytes: int = FRAME_BYTES) -> tuple[list[Message], str]:
    """The messages of a stream, and the complaint that ended it."""
    return frame.decode(chunks, most_bytes)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def refusal(data: bytes, most_bytes: int = FRAME_BYTES) -> str:
    messages, complaint = decode([data], most_bytes)
    assert messages == []
    return complaint


@given(st.lists(MESSAGES, max_size=5))
def test_what_was_encoded_is_decoded(messages: list[Message]) -> None:
    stream = b"".join(map(encode, messages))
    decoded, complaint = decode([stream])
    assert (decoded, complaint) == (messages, "")
    assert [type(message) for message in decoded] == [type(message) for message in messages]


STREAMS = st.lists(MESSAGES.map(encode) | st.binary(max_size=12), max_size=5).map(b"".join)


@given(STREAMS, st.lists(st.integers(0, 1 << 16), max_size=9))
@example(b"\x93\x02\xa1m\xdd\xff\xff\xff\xff", [5, 6, 7])
@example(b"\x93\x02\xa1m\x90\xc1", [5])
def test_chunks_do_not_change_the_outcome(stream: bytes, places: list[int]) -> None:
    whole = decode([stream])
    assert decode(cut(stream, places)) == whole
    assert decode([bytes([byte]) for byte in stream]) == whole


@given(st.binary(max_size=200))
@example(b"GET / HTTP/1.1\r\n\r\n")
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes) -> None:
    decode([data])


@given(st.binary(max_size=80))
def test_any_array_is_a_message_or_a_protocol_error(data: bytes) -> None:
    decode([b"\x94\x00\x01\xa1m" + data])
    decode([b"\x93\x02\xa1m\x91" + data])


def padded(size: int) -> bytes:
    """A notification of so many bytes."""
    return b"\x93\x02\xa1m\x91\xc6" + (size - 10).to_bytes(4, "big") + bytes(size - 10)


@pytest.mark.parametrize("most_bytes", [400, STRANGER_FRAME_BYTES, 60000])
def test_a_frame_at_the_cap_passes_and_one_above_is_refused_at_its_header(most_bytes: int) -> None:
    frame = padded(most_bytes)
    assert len(frame) == most_bytes
    assert len(decode([frame], most_bytes)[0]) == 1
    header = padded(most_bytes + 1)[:10]
    assert refusal(header, most_bytes).startswith(
        f"message at byte 0: byte 5: over {most_bytes} bytes"
    )


def test_the_cap_is_raised_for_the_next_frame() -> None:
    decoder = Decoder()
    decoder.feed(padded(100) + padded(FRAME_BYTES))
    assert decoder.next_message() is not None
    decoder.accept(FRAME_BYTES)
    assert decoder.next_message() is not None
    decoder.feed(padded(FRAME_BYTES + 1))
    with pytest.raises(ProtocolError, match=rf"^message at byte {FRAME_BYTES + 100}: .* over"):
        decoder.next_message()


def test_a_decoder_that_failed_stays_dead() -> None:
    decoder = Decoder()
    decoder.feed(encode(Notification("first")) + b"\x93\xc1")
    assert decoder.next_message() == Notification("first")
    for _ in range(3):
        with pytest.raises(ProtocolError) as caught:
            decoder.next_message()
        assert str(caught.value) == (
            "message at byte 9: byte 1: 0xc1 begins no value; the connection is closed"
        )
        decoder.feed(encode(Notification("second")))


def test_a_stream_that_ends_within_a_message_is_refused() -> None:
    decoder = Decoder()
    decoder.end()
    decoder.feed(b"\x93\x02")
    assert decoder.next_message() is None
    with pytest.raises(ProtocolError, match=r"^message at byte 0: the stream ended after 2 bytes"):
        decoder.end()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "no message"),
        ([0, 1, "m"], "no message"),
        ([3, 1, "m", []], "no message"),
        ([False, 1, "m", []], "no message"),
        ([0.0, 1, "m", []], "no message"),
        ([2, "m", [], 1], "no message"),
        ([1, 1, None, None, None], "no message"),
        ([0, -1, "m", []], "msgid -1"),
        ([0, 1 << 32, "m", []], "msgid 4294967296"),
        ([0, True, "m", []], "msgid true"),
        ([0, "1", "m", []], 'msgid "1"'),
        ([1, None, None, None], "msgid nothing"),
        ([0, 1, 7, []], "method 7"),
        ([0, 1, b"\xff", []], "method"),
        ([0, 1, "m", {}], "params are a table"),
        ([2, "m", None], "params are nothing"),
        ([2, "m", [{1: 2}]], "key 1 of a map is no text"),
        ([2, "m", [{None: 2}]], "key nothing of a map is no text"),
        ([2, "m", [{"k" * 5000: 2}]], "is long"),
        ([2, "m", [{"k": 1, b"k": 2}]], 'the key "k" comes twice'),
        ([2, "m", [msgpack.ExtType(1, b"")]], "ext types"),
        ([2, "m", [msgpack.Timestamp(0)]], "ext types"),
    ],
)
def test_what_is_no_message_is_told(value: Any, problem: str) -> None:
    assert problem in refusal(msgpack.packb(value))


def test_a_key_that_comes_twice_is_refused() -> None:
    assert "comes twice" in refusal(b"\x93\x02\xa1m\x91\x82\xa1k\x01\xa1k\x01")


def test_old_raw_is_text_and_keeps_bytes_that_are_not() -> None:
    frame = msgpack.packb([0, 1, "m", [{"text": "é", "data": b"\xff\x00"}]], use_bin_type=False)
    ((message,), _) = decode([frame])
    assert message.params == (
        {"text": "é", "data": b"\xff\x00".decode("utf-8", "surrogateescape")},
    )


def test_methods_and_keys_may_be_bin() -> None:
    ((message,), _) = decode([msgpack.packb([2, b"job.list", [{b"k": b"v"}]])])
    assert message == Notification("job.list", ({"k": b"v"},))


def test_a_longer_form_of_a_header_is_read_alike() -> None:
    assert decode([b"\xdc\x00\x03\xcc\x02\xd9\x01m\xdd\x00\x00\x00\x00"]) == (
        [Notification("m")],
        "",
    )


def peak_bytes(data: bytes, most_bytes: int) -> int:
    """The most that a decoder allocates for this chunk, beyond its own copy of it."""
    tracemalloc.start()
    try:
        decode([data], most_bytes)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", [b"\xdd", b"\xdf", b"\xc6", b"\xdb"], ids=bytes.hex)
def test_four_billion_announced_items_allocate_nothing(header: bytes) -> None:
    chunk = b"\x93\x02\xa1m\x91" + header + b"\xff\xff\xff\xff"
    assert peak_bytes(chunk, FRAME_BYTES) < 64 << 10
    chunk += bytes(FRAME_BYTES - len(chunk))
    assert peak_bytes(chunk, 16 * FRAME_BYTES) < FRAME_BYTES + (64 << 10)


def test_a_bomb_of_nested_maps_takes_the_chunk_and_no_more() -> None:
    bomb = b"\x93\x02\xa1m\xdd\x00\x04\x00\x00" + b"\x81\xa1k" * (FRAME_BYTES // 3 - 3)
    assert peak_bytes(bomb, FRAME_BYTES) < FRAME_BYTES + (64 << 10)


def test_messages_that_are_drained_are_not_held() -> None:
    chunk = padded(1000) * 64
    tracemalloc.start()
    try:
        decoder = Decoder(1000)
        for _ in range(50):
            decoder.feed(chunk[:-1])
            while decoder.next_message():
                pass
            decoder.feed(chunk[-1:])
            assert decoder.next_message()
        held_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held_bytes < 3 * len(chunk)


def test_a_decoder_that_failed_holds_nothing() -> None:
    tracemalloc.start()
    try:
        decoder = Decoder()
        decoder.feed(b"\xc1" + bytes(FRAME_BYTES))
        with pytest.raises(ProtocolError):
            decoder.next_message()
        decoder.feed(bytes(FRAME_BYTES))
        held_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held_bytes < 64 << 10


@pytest.mark.parametrize("first", [b"G", b"\x16", b"\x80", b"\xc4"], ids=bytes.hex)
def test_another_protocol_is_told_at_its_first_byte(first: bytes) -> None:
    assert "byte 0: no array, so no message of MessagePack-RPC" in refusal(first)
