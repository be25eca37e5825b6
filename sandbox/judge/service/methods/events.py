"""judge.events and judge.stream: what happens in a judging, as it happens."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sandbox.judge.service.judging import Judging
from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods.declared import (
    DRAINS,
    JUDGING_ID,
    WAIT,
    Answer,
    method,
    on_judging,
)
from sandbox.server.method import Param
from sandbox.server.service import Peer
from sandbox.server.shapes import Field, Shape
from sandbox.wire.values import MOST_INTEGER

__all__ = ["events", "stream"]

_MOST_EVENTS_BYTES = 256 << 10


@method(
    "judge.events",
    Shape({
        "events": Field("array of event", "in order"),
        "next": Field("integer", "what `after` is to be in the next call"),
        "is_end": Field("flag", "nothing comes after these"),
    }),
    "not_found", DRAINS, "invalid_params: `after` is no number that an answer had as `next`",
    judging=JUDGING_ID,
    after=Param("integer", "`next` of the last answer; 0: from the first on", 0,
                {"most": MOST_INTEGER - (1 << 20)}),
    most_bytes=Param("integer", "answer with about so much, and one event at least", 64 << 10,
                     {"least": 1, "most": _MOST_EVENTS_BYTES}),
    wait_seconds=WAIT,
)  # fmt: skip
@on_judging
def events(
    judgings: Judgings, _peer: Peer, judging: Judging,
    after: int, most_bytes: int, wait_seconds: float,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """What has happened since: each test as it is judged, in whatever order, then the end. Waits
    for one event at least, or for the end."""

    def answer() -> dict[str, Any]:
        found, number = judging.events.after(after, most_bytes)
        return {"events": found, "next": number, "is_end": judging.events.is_end(number)}

    async def waited() -> Answer:
        with judgings.patience(wait_seconds):
            await judging.events.readable(after)
        return answer

    return waited()


@method(
    "judge.stream",
    Shape({"subscription": Field("integer", "its number on this connection")}),
    "not_found", "refused: too many streams are open on this connection",
    judging=JUDGING_ID,
    after=Param("integer", "as of judge.events", 0, {"most": MOST_INTEGER - (1 << 20)}),
    credit_bytes=Param("integer", "push so many bytes", 1 << 20, {"least": 1}),
)  # fmt: skip
@on_judging
def stream(
    _judgings: Judgings, peer: Peer, judging: Judging, after: int, credit_bytes: int
) -> dict[str, Any]:
    """Have the events pushed as they come, as outputs of jobs are: notifications stream.data, whose
    `data` together are the maps of the events, each msgpack, one behind the other; then stream.end,
    with an error where the server drains and the next one goes on. stream.grant and stream.close
    are for this, too."""
    judging.events.after(after, 1)  # refuses what is no event's number
    return {"subscription": peer.open_stream(judging.events, after, credit_bytes)}
