"""judge.status, wait, result and list: what is known of judgings."""

from __future__ import annotations

from typing import Any

from sandbox.judge.service.judging import STATES, Judging
from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods.declared import (
    DRAINS,
    JUDGING_ID,
    WAIT,
    Answer,
    method,
    on_judging,
    status_at_end,
)
from sandbox.judge.service.shapes import BRIEF_JUDGING, JUDGEMENT, JUDGING
from sandbox.server.method import Param
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import Field, Shape
from sandbox.spec.errors import RefusedError
from sandbox.wire.errors import error_from_map

__all__ = ["list_judgings", "result", "status", "wait"]

_MOST_LISTED = 1000


@method("judge.status", JUDGING, "not_found", judging=JUDGING_ID)
@on_judging
def status(_judgings: Judgings, _peer: Peer, judging: Judging) -> Answer:
    """What is known of a judging now."""
    return judging.status


@method("judge.wait", JUDGING, "not_found", DRAINS, judging=JUDGING_ID, wait_seconds=WAIT)
@on_judging
def wait(judgings: Judgings, _peer: Peer, judging: Judging, wait_seconds: float) -> Any:
    """What is known of a judging at its end, or when the time is over."""
    return status_at_end(judgings, judging, wait_seconds)


@method(
    "judge.result", JUDGEMENT, "not_found",
    "refused: it has not ended, or was cancelled, or the server drains",
    "what a status has as `error`: any code",
    judging=JUDGING_ID, wait_seconds=WAIT,
)  # fmt: skip
@on_judging
def result(judgings: Judgings, _peer: Peer, judging: Judging, wait_seconds: float) -> Any:
    """The judgement; where there is an error in its place, that is raised."""

    def answer() -> Any:
        if not judging.is_over:
            raise RefusedError(f"judging {judging.id} has not ended", 1.0)
        told = judging.status()
        if told["error"] is not None:
            raise error_from_map(told["error"])
        if told["result"] is None:
            raise RefusedError(f"judging {judging.id} was cancelled")
        return told["result"]

    async def waited() -> Answer:
        await status_at_end(judgings, judging, wait_seconds)
        return answer

    return waited()


@method(
    "judge.list",
    Shape({"judgings": Field(f"array of {BRIEF_JUDGING.name}", "oldest first")}),
    state=Param("choice", "only those", None, {"choices": STATES}),
    after=Param("text", "only those whose id sorts behind this one", None, {"most_bytes": 64}),
    most=Param("integer", "up to so many", 100, {"least": 1, "most": _MOST_LISTED}),
)  # fmt: skip
def list_judgings(
    service: Service, peer: Peer, state: str | None, after: str | None, most: int
) -> dict[str, Any]:
    """Your judgings, in brief, oldest first."""
    found = service.parts[Judgings].page(peer.tenant.name, state, after or "", most)
    return {"judgings": found}
