"""The dialogues of a judging, as its events tell them."""

from __future__ import annotations

from typing import Any

from sandbox.judge.service.plain import transcript_maps
from sandbox.judge.verdict import Outcome

__all__ = ["Dialogues"]

_MOST_BYTES = 8 << 20  # of a judging


class Dialogues:
    """There may be thousands of tests: all together are bounded."""

    def __init__(self) -> None:
        self._left_bytes = _MOST_BYTES

    def of(self, outcome: Outcome) -> dict[str, Any]:
        """What the event of a test is to say of its dialogue."""
        if outcome.transcript is None:
            return {}
        told, taken = transcript_maps(outcome, self._left_bytes)
        self._left_bytes -= taken
        return {"transcript": told}
