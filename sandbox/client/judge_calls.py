"""judge.*, described as calls.py has the methods of jobs; and what they answer, as typed values."""

from __future__ import annotations

import math
import os

from sandbox.client import replies
from sandbox.client.calls import WAIT_SECONDS, Call
from sandbox.client.replies import fields_of, moment, reader, text_of
from sandbox.spec.errors import SpecError
from sandbox.wire.errors import InvalidParamsError, error_from_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Any, NamedTuple

    from sandbox.spec.errors import SandboxError
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "MOST_SENT_BYTES", "Event", "Judgement", "Judging", "cancel", "delete", "end_of", "events",
    "judgings", "languages", "more_events", "rejudge", "result_of", "status", "submit", "wait",
]  # fmt: skip

MOST_SENT_BYTES = 512 << 10  # of a submission's files, along with the call
STATES = ("queued", "running", "ended", "failed", "cancelled")
_OVER = ("ended", "failed", "cancelled")
_PAGE_JUDGINGS = 250
_EVENTS_BYTES = 256 << 10


class Judgement(NamedTuple):
    """What a submission came to."""

    verdict: str  # AC, WA, TLE, …
    score: float | None  # of a scoring problem
    why: str
    language: str
    tests: Mapping[str, int]  # verdict -> how many
    groups: tuple[Mapping[str, Any], ...]  # group, verdict, score of each
    compiler_output: str
    compile_seconds: float | None
    time_limit_seconds: float | None
    time_multiplier: float


class Judging(NamedTuple):
    """What a server knows of a judging. Moments are unix time in seconds."""

    judging: str
    state: str  # queued, running, ended, failed or cancelled
    verdict: str | None
    score: float | None
    problem: str  # the SHA-256 of its package
    label: str | None
    key: str | None
    priority: int
    rejudge_of: str | None
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    runs: int  # how often it was begun
    result: Judgement | None = None  # of an ended one; in a list, of none
    error: SandboxError | None = None  # why it failed: to be raised

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in _OVER


class Event(NamedTuple):
    """Something that happened in a judging: all of it is in `values`, as docs/judge-rpc.md has it.

    `next_number`: to go on behind it, in another process too.
    """

    event: str  # begun (what came before it is void), test, ended, failed or cancelled
    next_number: int
    values: Mapping[str, Any]


class _Events(NamedTuple):
    events: tuple[Event, ...]
    is_end: bool


def submit(problem: str, files: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    """Have a submission judged: its Judging. With a key, of the caller's or random, so that a
    submit that is repeated is judged once."""
    return _submitting("judge.submit", {"problem": problem, "files": dict(files)}, options)


def rejudge(judging: str, options: Mapping[str, Any]) -> Call:
    """Have the same files judged again: the other Judging."""
    return _submitting("judge.rejudge", {"judging": judging}, options)


def status(judging: str) -> Call:
    """What is known of it now: a Judging."""
    return Call("judge.status", {"judging": judging}, _read_judging)


def wait(judging: str, wait_seconds: float) -> Call:
    """Wait for its end, or so long: a Judging."""
    params = {"judging": judging, "wait_seconds": wait_seconds}
    return Call("judge.wait", params, _read_judging, wait_seconds)


def events(judging: str, after: int, wait_seconds: float = WAIT_SECONDS) -> Call:
    """What has happened from the number `after` on, once there is any, or so long."""
    params = {
        "judging": judging, "after": after, "most_bytes": _EVENTS_BYTES,
        "wait_seconds": wait_seconds,
    }  # fmt: skip
    return Call("judge.events", params, _read_events, wait_seconds)


def cancel(judging: str) -> Call:
    """End it."""
    return Call("judge.cancel", {"judging": judging}, replies.read_nothing)


def delete(judging: str) -> Call:
    """Have one that is over forgotten."""
    return Call("judge.delete", {"judging": judging}, replies.read_nothing, is_repeatable=False)


def judgings(state: str | None, after: str | None) -> Call:
    """Some of our judgings, those behind the id `after`, oldest first: Judgings in brief."""
    params = {"state": state, "after": after, "most": _PAGE_JUDGINGS}
    return Call("judge.list", _given(params), _read_judgings)


def languages(wait_seconds: float) -> Call:
    """What can be judged: a map."""
    params = {"wait_seconds": wait_seconds}
    return Call("judge.languages", params, replies.read_mapping, wait_seconds)


# What takes several calls: as in operations.py


def end_of(
    judging: str, clock: Callable[[], float], deadline: float
) -> Generator[Call, Any, Judging]:
    """Wait for its end, or until then, by bounded waits: what is known of it then."""
    while True:
        found: Judging = yield wait(judging, min(WAIT_SECONDS, max(deadline - clock(), 0.0)))
        if found.is_over or clock() >= deadline:
            return found


def result_of(judging: str, clock: Callable[[], float]) -> Generator[Call, Any, Judgement]:
    """The judgement, at its end. Raises its error; RefusedError: it was cancelled."""
    found = yield from end_of(judging, clock, math.inf)
    if found.result is not None:
        return found.result
    if found.error is not None:
        raise found.error
    # The server's own word on it.
    call = Call("judge.result", {"judging": judging}, _read_judgement)
    return (yield call)


def more_events(judging: str, number: int) -> Generator[Call, Any, _Events]:
    """What has happened from there on, one event at least or the end, by bounded waits."""
    while True:
        try:
            found: _Events = yield events(judging, number)
        except InvalidParamsError as error:
            # A loss of power has taken what was told and not over: it is judged again, and the
            # first event says that what was before is void.
            if error.field != "after" or number == 0:
                raise
            number = 0
            continue
        if found.events or found.is_end:
            return found


def _submitting(method: str, params: Mapping[str, Any], options: Mapping[str, Any]) -> Call:
    params = {"key": os.urandom(16).hex(), **params, **_given(options)}
    return Call(method, params, _read_judging, undo=lambda found: cancel(found.judging))


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


def _number(fields: Any, key: str) -> float | None:
    found: float | None = fields.number(key, None, least=-math.inf, most=math.inf)
    return found


def _judgement(value: Any) -> Judgement:
    fields = fields_of(value, *Judgement._fields, field="result")
    return Judgement(
        fields.text("verdict"),
        _number(fields, "score"),
        text_of(fields, "why") or "",
        text_of(fields, "language") or "",
        fields.table("tests", default={}),
        fields.array("groups", ()),
        text_of(fields, "compiler_output") or "",
        _number(fields, "compile_seconds"),
        _number(fields, "time_limit_seconds"),
        fields.number("time_multiplier", 1.0, least=0.0, most=math.inf),
    )


def _judging(value: Any) -> Judging:
    fields = fields_of(value, *Judging._fields)
    result, error = (fields.table(key, default=None) for key in ("result", "error"))
    return Judging(
        fields.text("judging"),
        fields.choice("state", STATES),
        text_of(fields, "verdict"),
        _number(fields, "score"),
        fields.text("problem"),
        text_of(fields, "label"),
        text_of(fields, "key"),
        fields.integer("priority", 0, least=-1000),
        text_of(fields, "rejudge_of"),
        moment(fields, "created_at"),
        moment(fields, "started_at"),
        moment(fields, "ended_at"),
        fields.integer("runs", 0),
        None if result is None else _judgement(result),
        None if error is None else error_from_map(error),
    )


@reader
def _read_judging(value: Any) -> Judging:
    found = _judging(value)
    for key, state in (("result", "ended"), ("error", "failed")):
        if found.state == state and getattr(found, key) is None:
            raise SpecError(key, f"is missing, and the judging is {state}")
    return found


@reader
def _read_judgings(value: Any) -> tuple[Judging, ...]:
    return tuple(_judging(item) for item in fields_of(value, "judgings").array("judgings"))


@reader
def _read_events(value: Any) -> _Events:
    fields = fields_of(value, "events", "next", "is_end")
    items, last = fields.array("events"), fields.integer("next")
    found: list[Event] = []
    # From behind: each one's next number is that of the one after it.
    for place, item in reversed(list(enumerate(items))):
        one = fields_of(item, "number", "event", field=f"events[{place}]")
        found.append(Event(one.text("event"), last, item))
        last = one.integer("number")
    return _Events(tuple(reversed(found)), fields.flag("is_end"))


_read_judgement = reader(_judgement)
