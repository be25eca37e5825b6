"""Decisions laid out as programs, of any size, give each value what was asked for it."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from supervisor.bpf import Call, run

from sandbox.supervisor.bpf import ALL_BITS, ARGUMENTS_AT, NUMBER_AT, Program

_words = st.one_of(st.integers(0, 40), st.integers(0, ALL_BITS), st.just(ALL_BITS))


@given(st.dictionaries(_words, st.integers(0, 3)), st.none() | st.integers(0, ALL_BITS))
@settings(deadline=None)
def test_each_value_goes_where_it_was_sent(values: dict[int, int], beyond: int | None) -> None:
    values = {value: to for value, to in values.items() if beyond is None or value < beyond}
    program = Program()
    places = {value: program.give(to) for value, to in values.items()}
    other, far = program.give(7), program.give(8)
    program.look(NUMBER_AT, ALL_BITS, places, other, None if beyond is None else (beyond, far))
    if not values and beyond is None:
        return  # nothing to decide, and nothing was written
    found = program.to_bytes()
    asked = {near & ALL_BITS for value in values for near in (value - 1, value, value + 1)}
    for number in asked | {0, ALL_BITS, *([beyond, beyond - 1 & ALL_BITS] if beyond else [])}:
        otherwise = 8 if beyond is not None and number >= beyond else 7
        assert run(found, Call(0, number)) == values.get(number, otherwise)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_jumps_farther_than_eight_bits_arrive(width: int) -> None:
    program = Program()
    other = program.give(0)
    # A decision for each run of numbers, so that there is far to go to numbers and decisions alike.
    leaves = [
        program.look(ARGUMENTS_AT, 0xFF << run % 3 * 8, {run: program.give(run)}, other)
        for run in range(1, 256)
    ]
    numbers = {at: leaves[at // width % len(leaves)] for at in range(0, 2000)}
    program.look(NUMBER_AT, ALL_BITS, numbers, other)
    found = program.to_bytes()
    codes = {code for code, *_ in struct.iter_unpack("=HBBI", found)}
    assert 0x05 in codes, "no jump was too far for a conditional one"
    for number in range(2000):
        sought = number // width % len(leaves) + 1
        mask = 0xFF << sought % 3 * 8
        for argument in (sought, sought + 1, sought << 32):
            expected = sought if argument & mask == sought else 0
            assert run(found, Call(0, number, (argument,))) == expected, (number, argument)


def test_equal_decisions_are_written_once() -> None:
    program = Program()
    yes, no = program.give(1), program.give(0)
    first = program.look(ARGUMENTS_AT, ALL_BITS, {5: yes}, no)
    length = len(program)
    assert program.look(ARGUMENTS_AT, ALL_BITS, {5: yes}, no) == first
    assert len(program) == length
