"""Typed fields of a map, and the params of a method: what is taken, and how a refusal reads."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec.errors import SpecError
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.params import read_params
from sandbox.wire.values import MOST_INTEGER, Fields

Read = Callable[[Fields], Any]
READS: dict[str, Read] = {
    "text": lambda fields: fields.text("k", most_bytes=5),
    "data": lambda fields: fields.data("k", most_bytes=5),
    "integer": lambda fields: fields.integer("k", most=9),
    "number": lambda fields: fields.number("k", least=0, most=9.5),
    "flag": lambda fields: fields.flag("k"),
    "choice": lambda fields: fields.choice("k", ("stdout", "stderr")),
    "array": lambda fields: fields.array("k", most_items=2),
    "table": lambda fields: fields.table("k", ("a", "bell")),
}


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        ("text", "héé", "héé"),
        ("text", "hé".encode(), "hé"),
        ("data", b"\xff\x00", b"\xff\x00"),
        ("data", b"", b""),
        ("data", "é", b"\xc3\xa9"),
        ("data", "\udcff", b"\xff"),
        ("integer", 0, 0),
        ("integer", 9, 9),
        ("number", 9.5, 9.5),
        ("number", 3, 3.0),
        ("flag", True, True),
        ("choice", b"stdout", "stdout"),
        ("array", (1, None), (1, None)),
        ("array", [], ()),
        ("table", {"a": None}, {"a": None}),
    ],
)
def test_a_field_is_read(read: str, value: Any, expected: Any) -> None:
    found = READS[read](Fields({"k": value}, ("k",)))
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("read", "value", "complaint"),
    [
        ("text", None, "k: is missing"),
        ("text", "", "k: 0 bytes is out of range; allowed: 1 to 5"),
        ("text", "héééé", "k: 9 bytes is out of range; allowed: 1 to 5"),
        ("text", 7, "k: 7 is neither text nor bytes"),
        ("text", b"\xff", 'k: "\\xff" is no UTF-8'),
        ("text", "\ud800", 'k: "\\ud800" cannot be written as bytes'),
        ("data", bytes(6), "k: 6 bytes is out of range; allowed: 0 to 5"),
        ("data", ["a"], "k: an array is neither text nor bytes"),
        ("integer", 10, "k: 10 is out of range; allowed: 0 to 9"),
        ("integer", -1, "k: -1 is out of range; allowed: 0 to 9"),
        ("integer", True, "k: true is no whole number"),
        ("integer", 1.0, "k: 1.0 is no whole number"),
        ("integer", "1", 'k: "1" is no whole number'),
        ("number", math.nan, "k: nan is no number"),
        ("number", math.inf, "k: inf is out of range; allowed: 0 to 9.5"),
        ("number", False, "k: false is no number"),
        ("flag", 1, "k: 1 is neither true nor false"),
        ("choice", "stdot", 'k: "stdot" is not one of stdout, stderr; did you mean stdout?'),
        ("array", (1, 2, 3), "k: 3 items is out of range; allowed: 0 to 2"),
        ("array", "ab", 'k: "ab" is no array; put it in [ ]'),
        ("table", [], "k: an array is no table"),
        ("table", {"bel": 1}, "k.bel: no such key; did you mean bell?"),
    ],
)
def test_a_refusal_names_the_field(read: str, value: Any, complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        READS[read](Fields({"k": value}, ("k",)))
    assert str(caught.value) == complaint


def test_a_default_stands_for_what_is_missing_or_nil() -> None:
    for table in ({}, {"k": None}):
        fields = Fields(table, ("k",))
        assert fields.integer("k", 7) == 7
        assert fields.text("k", None) is None
        assert fields.choice("k", ("a",), "b") == "b"


def test_integers_go_to_what_every_language_holds() -> None:
    assert Fields({"k": MOST_INTEGER}, ("k",)).integer("k") == MOST_INTEGER
    with pytest.raises(SpecError):
        Fields({"k": MOST_INTEGER + 1}, ("k",)).integer("k")


def test_a_field_within_another_is_named_whole() -> None:
    with pytest.raises(SpecError, match=r"^outer\.inner: is missing$"):
        Fields({}, ("inner",), "outer").text("inner")


def test_params_are_one_map_of_known_names_or_nothing() -> None:
    with read_params(({"offset": 7},), ("offset",)) as fields:
        assert fields.integer("offset") == 7
    with read_params((), ("offset",)) as fields:
        assert fields.integer("offset", 0) == 0


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ((1, 2), "params: 2 of them; write one map of named fields"),
        ((1,), "params: 1 is no table"),
        (({"ofset": 1},), "ofset: no such key; did you mean offset?"),
        (({"offset": -1},), "offset: -1 is out of range; allowed: 0 to 9223372036854775807"),
        ((), "offset: is missing"),
    ],
)
def test_wrong_params_are_told_apart_from_a_wrong_job(params: Any, complaint: str) -> None:
    with pytest.raises(InvalidParamsError) as caught, read_params(params, ("offset",)) as fields:
        fields.integer("offset")
    assert str(caught.value) == complaint


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
    | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)  # fmt: skip


@given(ANY, st.sampled_from(sorted(READS)))
def test_no_value_raises_anything_but_a_spec_error(value: Any, read: str) -> None:
    for table in (value, {"k": value}):
        try:
            READS[read](Fields(table, ("k",)))
        except SpecError as error:
            assert str(error).isprintable()
