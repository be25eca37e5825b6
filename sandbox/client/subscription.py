"""One stream that the server pushes: its bytes in order, and no more than were asked for."""

from __future__ import annotations

from collections import deque

from sandbox.spec.errors import ProtocolError, SandboxError, SpecError
from sandbox.wire.credits import Credits
from sandbox.wire.errors import error_from_map
from sandbox.wire.framing import FRAME_BYTES
from sandbox.wire.values import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["WINDOW_BYTES", "Subscription"]

WINDOW_BYTES = 1 << 20  # what may be under way or unread, of one stream


class Subscription:
    """What has come of one pushed stream from `offset` on, and has not been taken yet.

    `wake` is called when there is something new.
    """

    def __init__(self, offset: int, wake: Callable[[], None]) -> None:
        self.id = -1  # the server's name for it, once it has begun
        self.offset = offset  # of the byte that is taken next
        self.is_abandoned = False
        self._received = offset
        self._credits = Credits()
        self._credits.grant(WINDOW_BYTES)
        self._untold_bytes = 0  # taken, and not granted again yet
        self._pieces: deque[bytes] = deque()
        self._is_end = False
        self._failure: SandboxError | None = None
        self._wake = wake

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._is_end or self._failure is not None

    @property
    def is_ready(self) -> bool:
        """Whether `take` has something to say."""
        return bool(self._pieces) or self.is_over

    def take(self) -> bytes:
        """The next bytes; none is the end. Raises what the connection ended with before that."""
        if self._pieces:
            piece = self._pieces.popleft()
            self.offset += len(piece)
            self._untold_bytes += len(piece)
            return piece
        if self._failure is not None:
            raise self._failure
        return b""

    def owed_bytes(self) -> int:
        """What to grant now: nothing, until it is worth a message."""
        if self._untold_bytes < WINDOW_BYTES // 2 or self.is_over:
            return 0
        owed, self._untold_bytes = self._untold_bytes, 0
        self._credits.grant(owed)
        return owed

    def begin(self, result: Any) -> None:
        """Note what the server answered to stream.open. Raises ProtocolError."""
        try:
            self.id = Fields(result, _KEYS, ignore_unknown=True).integer("subscription")
        except SpecError as error:
            raise ProtocolError(f"in a reply to stream.open, {error}") from error

    def push(self, method: str, params: Mapping[str, Any]) -> None:
        """Take what the server sends. Raises ProtocolError: a gap, or more than was granted."""
        try:
            fields = Fields(params, _KEYS, ignore_unknown=True)
            offset = fields.integer("offset")
            data = fields.data("data", b"", most_bytes=FRAME_BYTES)
        except SpecError as error:
            raise ProtocolError(f"in {method}, {error}") from error
        if offset != self._received:
            raise ProtocolError(f"{method} at byte {offset}, where {self._received} comes next")
        self._credits.spend(len(data))
        self._received += len(data)
        if data and not self.is_abandoned:
            self._pieces.append(data)
        self._is_end = method == "stream.end"
        if self._is_end and params.get("error") is not None:
            self._failure = error_from_map(params["error"])
        self._wake()

    def fail(self, error: SandboxError) -> None:
        """The connection is gone; what has come before can still be taken."""
        self._failure = error
        self._wake()


_KEYS = ("subscription", "offset", "data", "error")
