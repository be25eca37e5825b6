"""What the methods of the judge have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.judge.service.judging import Judging
from sandbox.judge.service.judgings import Judgings
from sandbox.server.method import Method, Param, declaring
from sandbox.server.methods.job import MOST_WAIT_SECONDS
from sandbox.server.service import Peer, Service

__all__ = [
    "DRAINS",
    "JUDGING_ID",
    "METHODS",
    "WAIT",
    "Answer",
    "method",
    "on_judging",
    "status_at_end",
]

METHODS: dict[str, Method] = {}
method = declaring(METHODS)

Answer = Callable[[], Any]

DRAINS = "refused: the server drains; what is not over is for the next one"
JUDGING_ID = Param("text", "its id, as judge.submit answered it", bounds={"most_bytes": 64})
WAIT = Param("number", "how long to wait for it", 0.0, {"least": 0.0, "most": MOST_WAIT_SECONDS})


def on_judging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the method the Judging of its `judging`."""

    def run(service: Service, peer: Peer, judging: str, **values: Any) -> Any:
        judgings = service.parts[Judgings]
        return function(judgings, peer, judgings.find(peer.tenant.name, judging), **values)

    run.__doc__ = function.__doc__
    return run


async def status_at_end(judgings: Judgings, judging: Judging, wait_seconds: float) -> Answer:
    """Answers with what is known of it then, or when the time is over."""
    if wait_seconds and not judging.is_over:
        with judgings.patience(wait_seconds):
            await judging.ended()
    return judging.status
