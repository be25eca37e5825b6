"""The file of events: numbers, what is behind them, and half an event at its end."""

from pathlib import Path

import msgpack
import pytest

from sandbox.judge.service.events import Events
from sandbox.spec.errors import HostError
from sandbox.wire.errors import InvalidParamsError


def filled(path: Path, count: int = 5) -> Events:
    events = Events(path)
    for number in range(count):
        events.add("test", test=str(number))
    return events


def names_of(events: Events, number: int = 0, most_bytes: int = 10_000) -> list[str]:
    return [event["test"] for event in events.after(number, most_bytes)[0]]


def test_each_number_leads_to_what_is_behind_it(tmp_path: Path) -> None:
    events = filled(tmp_path / "events")
    number, found = 0, []
    while number < events.size_bytes:
        (event,), number = events.after(number, 1)
        found.append(event)
    assert [event["test"] for event in found] == list("01234")
    for position, event in enumerate(found):
        assert names_of(events, event["number"]) == list("01234")[position:]
    assert events.after(number, 1) == ([], number)


def test_a_number_that_is_no_events_is_refused(tmp_path: Path) -> None:
    events = filled(tmp_path / "events")
    for number in (1, events.size_bytes - 1, events.size_bytes + 1):
        with pytest.raises(InvalidParamsError, match="after: "):
            events.after(number, 100)


def test_a_text_that_looks_like_an_event_is_none(tmp_path: Path) -> None:
    events = Events(tmp_path / "events")
    events.add("test", why=msgpack.packb({"number": 0, "event": "ended"}).decode("latin-1"))
    for number in range(1, events.size_bytes):
        with pytest.raises(InvalidParamsError):
            events.after(number, 100)


def test_half_an_event_is_cut_off_and_those_before_it_stay(tmp_path: Path) -> None:
    path = tmp_path / "events"
    size = filled(path).size_bytes
    for left in range(size - 20, size):
        filled(path)
        with path.open("r+b") as file:
            file.truncate(left)
        events = Events(path)
        assert names_of(events) == list("0123")
        events.add("test", test="again")
        assert names_of(Events(path)) == [*"0123", "again"]
        path.unlink()


def test_events_that_were_removed_are_lost_and_said_to_be(tmp_path: Path) -> None:
    events = filled(tmp_path / "events")
    (tmp_path / "events").unlink()
    with pytest.raises(HostError, match="lost"):
        events.after(0, 100)


def test_the_bytes_are_the_events(tmp_path: Path) -> None:
    events = filled(tmp_path / "events")
    unpacker = msgpack.Unpacker()
    unpacker.feed(events.read(0, events.size_bytes))
    assert [event["test"] for event in unpacker] == list("01234")
    assert not events.is_end(events.size_bytes)
    events.finish()
    assert events.is_end(events.size_bytes)
