"""The dialogues of a judging, as its events tell them."""

from __future__ import annotations

from typing import Any

from sandbox.judge.verdict import Outcome

__all__ = ["Dialogues"]

_MOST_BYTES = 8 << 20  # of a judging
_MOST_OF_ONE = 64 << 10
_UTTERANCE = 64  # of a piece, beside its bytes


class Dialogues:
    """There may be thousands of tests: all together are bounded."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._left_bytes = most_bytes

    def of(self, outcome: Outcome) -> dict[str, Any]:
        """What the event of a test is to say of its dialogue: the first of it."""
        if outcome.transcript is None:
            return {}
        found = []
        left = most = min(self._left_bytes, _MOST_OF_ONE)
        for seconds, direction, data in outcome.transcript:
            if left <= _UTTERANCE:
                break
            left -= _UTTERANCE
            by = "submission" if direction == ">" else "validator"
            found.append({"seconds": seconds, "by": by, "data": data[:left]})
            left -= len(data[:left])
        self._left_bytes -= most - left
        return {"transcript": found}
