"""judge.languages: what can be judged here."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods.declared import WAIT, Answer, method
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import Field, Shape

__all__ = ["languages"]


@method(
    "judge.languages",
    Shape({
        "languages": Field("array of language", "all that are known"),
        "is_complete": Field("flag", "false: compilers are being asked for their versions"),
    }),
    wait_seconds=WAIT,
)  # fmt: skip
def languages(service: Service, peer: Peer, wait_seconds: float) -> Coroutine[Any, Any, Answer]:
    """What this host can compile and run. Versions are found out by jobs of whoever asks first."""

    async def found() -> Answer:
        here = await service.parts[Judgings].languages(peer.tenant.name, wait_seconds)
        return lambda: here

    return found()
