"""Where a value ends, told from its headers: msgpack agrees, and what is too much is refused."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.spec.errors import ProtocolError
from sandbox.wire.scan import MOST_DEPTH, MOST_OBJECTS, Scanner

ENOUGH = 1 << 20

SCALARS = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats()
    | st.text(max_size=40) | st.binary(max_size=40)
    | st.integers(0, 70000).map(bytes) | st.sampled_from([31, 32, 255, 256, 65536]).map("x".__mul__)
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=20)
        | st.dictionaries(st.text(max_size=5) | st.binary(max_size=5), inner, max_size=20)
    ),
    max_leaves=30,
)


def nested(depth: int, container: str = "array") -> bytes:
    """So many arrays or maps in each other, the innermost empty."""
    if container == "array":
        return b"\x91" * (depth - 1) + b"\x90"
    return b"\x81\xa1k" * (depth - 1) + b"\x80"


@given(VALUES, st.binary(max_size=9))
def test_a_value_ends_where_msgpack_says(value: Any, after: bytes) -> None:
    packed = msgpack.packb(value)
    unpacker = msgpack.Unpacker(strict_map_key=False)
    unpacker.feed(packed + after)
    unpacker.unpack()
    assert Scanner(ENOUGH).end(packed + after) == unpacker.tell() == len(packed)


@given(VALUES)
def test_an_end_is_known_with_the_last_byte_and_not_before(value: Any) -> None:
    packed = msgpack.packb(value)
    scanner = Scanner(len(packed))
    for size in sorted({*range(min(len(packed), 300)), len(packed) - 1}):
        assert scanner.end(packed[:size]) is None
    assert scanner.end(packed) == len(packed)


@given(st.binary(max_size=64))
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xc6\xff\xff\xff\xff")
def test_any_bytes_are_a_value_or_the_beginning_of_one_or_refused(data: bytes) -> None:
    try:
        end = Scanner(ENOUGH).end(data)
    except ProtocolError:
        return
    if end is None:
        with pytest.raises(msgpack.OutOfData):
            unpacker = msgpack.Unpacker(strict_map_key=False, raw=True)
            unpacker.feed(data)
            unpacker.skip()
    else:
        msgpack.Unpacker().feed(data[:end])


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_read_as_msgpack_reads_it(first: int) -> None:
    data = bytes([first]) + bytes(20)  # a length that follows is 0
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, ext_hook=lambda *_: None)
    if first == 0xC1 or first in (*range(0xC7, 0xCA), *range(0xD4, 0xD9)):
        with pytest.raises(ProtocolError, match=r"^byte 0: (0xc1|ext)"):
            Scanner(ENOUGH).end(data)
        return
    unpacker.feed(data + bytes(20))
    unpacker.skip()
    assert Scanner(ENOUGH).end(data + bytes(20)) == unpacker.tell()


@pytest.mark.parametrize("container", ["array", "map"])
def test_32_levels_pass_and_33_do_not(container: str) -> None:
    data = nested(MOST_DEPTH, container)
    assert Scanner(ENOUGH).end(data) == len(data)
    data = nested(MOST_DEPTH + 1, container)
    with pytest.raises(ProtocolError, match=rf"^byte {len(data) - 1}: over 32 levels"):
        Scanner(ENOUGH).end(data)


def test_a_level_that_was_closed_does_not_count() -> None:
    data = b"\xdc\x01\x00" + nested(MOST_DEPTH - 1) * 256
    assert Scanner(ENOUGH).end(data) == len(data)


@pytest.mark.parametrize(
    ("items", "is_accepted"), [(MOST_OBJECTS - 1, True), (MOST_OBJECTS, False)]
)
def test_64_ki_objects_pass_and_one_more_does_not(items: int, is_accepted: bool) -> None:
    data = b"\xdd" + items.to_bytes(4, "big") + b"\xc0" * items
    if is_accepted:
        assert Scanner(ENOUGH).end(data) == len(data)
    else:
        with pytest.raises(ProtocolError, match=r"^byte 0: over 65536 objects"):
            Scanner(ENOUGH).end(data[:5])


def test_objects_are_counted_over_all_containers() -> None:
    data = b"\xdc\x00\x21" + (b"\xdc\x07\xff" + b"\xc0" * 2047) * 33
    with pytest.raises(ProtocolError, match="over 65536 objects"):
        Scanner(ENOUGH).end(data)


@pytest.mark.parametrize(
    "header",
    [b"\xd9\x65", b"\xda\x00\x64", b"\xdb\x00\x00\x00\x62", b"\xc4\x65", b"\xc5\x00\x64",
     b"\xc6\x00\x00\x00\x62", b"\xdc\x00\x64", b"\xdd\x00\x00\x00\x62"],
    ids=bytes.hex,
)  # fmt: skip
def test_what_cannot_fit_is_refused_at_its_header(header: bytes) -> None:
    announced = int.from_bytes(header[1:], "big")
    assert len(header) + announced == 103
    assert Scanner(103).end(header) is None
    with pytest.raises(ProtocolError, match=r"^byte 0: over 102 bytes"):
        Scanner(102).end(header)


def test_what_is_announced_outside_counts_against_what_is_inside() -> None:
    # Nine items are to come after the string, a byte each at least.
    header = b"\x9a\xd9\x58"
    assert Scanner(100).end(header) is None
    with pytest.raises(ProtocolError, match=r"^byte 1: over 99 bytes"):
        Scanner(99).end(header)


@pytest.mark.parametrize(
    "data",
    [
        b"\xdd\xff\xff\xff\xff" + bytes(ENOUGH - 5),
        b"\xdf\xff\xff\xff\xff" + bytes(ENOUGH - 5),
        b"\xc6\xff\xff\xff\xff" + bytes(ENOUGH - 5),
        (b"\x81\xa1k" * ENOUGH)[:ENOUGH],
        b"\xdc\x3f\xff" + b"\xdf\x00\x00\x7f\xff" * 200000,
        b"\x81\xa1k\xdf\x7f\xff\xff\xff" * 1000,
    ],
    ids=lambda data: data[:8].hex(),
)
def test_a_bomb_is_refused_in_little_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            Scanner(16 * ENOUGH).end(data)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 64 << 10
