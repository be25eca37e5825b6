"""Calls in flight and credits: what a peer may not do, and the sums that stay right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec.errors import ProtocolError, RefusedError
from sandbox.wire.calls import Calls
from sandbox.wire.credits import Credits


def test_replies_come_in_any_order() -> None:
    calls = Calls(3)
    for msgid in (7, 1, 4294967295):
        calls.begin(msgid)
    for msgid in (1, 4294967295, 7):
        calls.finish(msgid)
    assert len(calls) == 0


def test_a_msgid_twice_in_flight_is_an_error_and_later_it_is_not() -> None:
    calls = Calls(2)
    calls.begin(7)
    with pytest.raises(ProtocolError, match="msgid 7 is in flight"):
        calls.begin(7)
    calls.finish(7)
    calls.begin(7)


def test_a_call_over_the_cap_is_refused_and_not_noted() -> None:
    calls = Calls(1)
    calls.begin(1)
    with pytest.raises(RefusedError, match="1 calls are in flight"):
        calls.begin(2)
    with pytest.raises(ProtocolError, match="in flight already"):
        calls.begin(1)
    with pytest.raises(RefusedError):
        calls.begin_next()
    calls.finish(1)
    calls.begin(2)


def test_a_reply_to_no_call_is_an_error() -> None:
    calls = Calls(1)
    with pytest.raises(ProtocolError, match="msgid 3, which is not in flight"):
        calls.finish(3)


def test_a_msgid_in_flight_is_not_given_again() -> None:
    calls = Calls(4)
    calls.begin(1)
    assert [calls.begin_next() for _ in range(3)] == [0, 2, 3]
    calls.finish(2)
    assert calls.begin_next() == 4


def test_msgids_wrap_within_32_bits() -> None:
    calls = Calls(4)
    calls._next = (1 << 32) - 1
    calls.begin(0)
    assert [calls.begin_next(), calls.begin_next()] == [(1 << 32) - 1, 1]


def test_credit_is_spent_to_the_byte() -> None:
    credits = Credits()
    with pytest.raises(ProtocolError, match="1 bytes were sent, and 0 granted"):
        credits.spend(1)
    credits.grant(10)
    credits.spend(4)
    credits.spend(0)
    assert (credits.left_bytes, credits.spent_bytes) == (6, 4)
    for size_bytes in (7, -1):
        with pytest.raises(ProtocolError):
            credits.spend(size_bytes)
    credits.spend(6)
    assert (credits.left_bytes, credits.spent_bytes) == (0, 10)


@pytest.mark.parametrize("size_bytes", [0, -1, 1 << 63])
def test_a_grant_of_nothing_or_too_much_is_refused(size_bytes: int) -> None:
    with pytest.raises(ProtocolError):
        Credits().grant(size_bytes)


def test_what_was_spent_counts_towards_the_overflow() -> None:
    credits = Credits()
    credits.grant((1 << 63) - 1)
    credits.spend((1 << 63) - 1)
    with pytest.raises(ProtocolError):
        credits.grant(1)


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 1 << 62))))
def test_credit_is_never_negative(steps: list[tuple[bool, int]]) -> None:
    credits, granted_bytes = Credits(), 0
    for is_grant, size_bytes in steps:
        before = credits.left_bytes, credits.spent_bytes
        try:
            (credits.grant if is_grant else credits.spend)(size_bytes)
        except ProtocolError:
            assert (credits.left_bytes, credits.spent_bytes) == before
        else:
            granted_bytes += size_bytes * is_grant
        assert 0 <= credits.left_bytes == granted_bytes - credits.spent_bytes
        assert granted_bytes < 1 << 63
