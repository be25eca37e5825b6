"""Sizes, times and counts: what is read, what is refused, and that format and parse are inverse."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec.errors import SpecError
from sandbox.spec.quantities import (
    GIB,
    KIB,
    MIB,
    TIB,
    format_seconds,
    format_size,
    parse_count,
    parse_cpus,
    parse_seconds,
    parse_size,
)

INFINITY = float("inf")


def size(value: Any) -> int:
    return parse_size(value, "x", least=1, most=1 << 60)


def seconds(value: Any) -> float:
    return parse_seconds(value, "x", least=0, most=1e9)


def count(value: Any) -> int:
    return parse_count(value, "x", least=1, most=1 << 60)


def cpus(value: Any) -> float:
    return parse_cpus(value, "x", least=0.01, most=100)


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [(1, 1), ("1", 1), ("007", 7), ("64KiB", 64 * KIB), ("256MiB", 256 * MIB), ("3GiB", 3 * GIB),
     ("1TiB", TIB)],
)  # fmt: skip
def test_a_size_is_binary_or_bytes(value: Any, size_bytes: int) -> None:
    assert size(value) == size_bytes


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("256MB", '"256MB" is no size; write 256MiB (binary) or a number of bytes'),
        ("256 MB", '"256 MB" is no size; write 256MiB (binary) or a number of bytes'),
        ("256m", '"256m" is no size; write 256MiB (binary) or a number of bytes'),
        ("2gib", '"2gib" is no size; write 2GiB (binary) or a number of bytes'),
        ("lots", '"lots" is no size; write 256MiB (binary) or a number of bytes'),
        (1.5, "1.5 is no size; write 256MiB (binary) or a number of bytes"),
        (0, "0 is out of range; allowed: 1 to 1048576TiB"),
        ("9999999TiB", "10995115178248372224 is out of range; allowed: 1 to 1048576TiB"),
        (1 << 70, "a number of over 64 bits is out of range; allowed: 1 to 1048576TiB"),
    ],
)
def test_what_is_no_size_is_refused_with_what_to_write(value: Any, problem: str) -> None:
    with pytest.raises(SpecError) as caught:
        size(value)
    assert caught.value.field == "x"
    assert caught.value.problem == problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2, 2.0), ("2", 2.0), ("2s", 2.0), ("500ms", 0.5), ("1.5s", 1.5), ("2m", 120.0),
     ("1h", 3600.0), ("0.1ms", 0.0001), (0.25, 0.25), ("3ms", 0.003)],
)  # fmt: skip
def test_a_time_has_a_unit_or_is_in_seconds(value: Any, expected: float) -> None:
    assert seconds(value) == expected


REFUSED_BY_ALL = [
    "",
    " ",
    "-1",
    "nan",
    "inf",
    "1e3",
    "0x10",
    "1_000",
    "1,5",
    "1\n",
    "\u0661",
    "9" * 5000,
]


@pytest.mark.parametrize("read", [size, seconds, count, cpus])
@pytest.mark.parametrize("value", [*REFUSED_BY_ALL, None, True, b"1", [1], {}, float("nan"), -1])
def test_what_is_no_number_is_refused_by_each_reader(read: Any, value: Any) -> None:
    with pytest.raises(SpecError, match=r"^x: "):
        read(value)


@pytest.mark.parametrize(
    ("read", "value"),
    [(seconds, "1 s"), (seconds, "1S"), (seconds, ".5s"), (seconds, INFINITY), (seconds, "1d"),
     (count, 1.0), (count, "1.0"), (count, 0), (count, 1 << 61), (cpus, 0), (cpus, 0.001),
     (cpus, INFINITY), (cpus, "101"), (cpus, 10**400)],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_or_out_of_range_is_refused(read: Any, value: Any) -> None:
    with pytest.raises(SpecError, match=r"^x: "):
        read(value)


@given(st.integers(1, 1 << 60))
def test_a_formatted_size_reads_back_as_itself(size_bytes: int) -> None:
    assert size(format_size(size_bytes)) == size_bytes


@given(st.integers(1, 10**9).map(lambda n: n / 1000) | st.floats(0.001, 1e9))
def test_a_formatted_time_reads_back_as_itself(value: float) -> None:
    assert seconds(format_seconds(value)) == value


@given(st.text() | st.integers() | st.floats() | st.binary() | st.none() | st.booleans())
def test_any_value_is_in_range_or_refused(value: Any) -> None:
    for read, least, most in ((size, 1, 1 << 60), (seconds, 0, 1e9), (cpus, 0.01, 100)):
        try:
            assert least <= read(value) <= most
        except SpecError as error:
            assert str(error).startswith("x: ")
            assert str(error).isprintable()
