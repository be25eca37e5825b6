"""judge.cancel and judge.delete: end a judging, and forget it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from sandbox.judge.service.judging import Judging
from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods.declared import JUDGING_ID, Answer, method, on_judging
from sandbox.server.service import Peer
from sandbox.server.shapes import EMPTY

__all__ = ["cancel", "delete"]


@method("judge.cancel", EMPTY, "not_found", judging=JUDGING_ID)
@on_judging
def cancel(judgings: Judgings, peer: Peer, judging: Judging) -> dict[str, Any]:
    """End a judging, and what runs of it, which judge.wait waits for. One that is over stays as it
    is."""
    judgings.cancel(peer.tenant.name, judging)
    return {}


@method("judge.delete", EMPTY, "not_found", "refused: it has not ended", judging=JUDGING_ID)
@on_judging
def delete(judgings: Judgings, peer: Peer, judging: Judging) -> Coroutine[Any, Any, Answer]:
    """Forget a judging that is over, with its files and events."""

    async def deleted() -> Answer:
        await judgings.delete(peer.tenant.name, judging)
        return dict

    return deleted()
