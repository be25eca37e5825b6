"""How many bytes of a stream a reader is ready for: a slow one slows the job, not us."""

from __future__ import annotations

from sandbox.spec.errors import ProtocolError
from sandbox.wire.values import MOST_INTEGER

__all__ = ["Credits"]


class Credits:
    """Bytes granted and spent on one pushed stream, from its beginning. Both ends keep one."""

    def __init__(self) -> None:
        self._granted_bytes = 0
        self._spent_bytes = 0

    @property
    def left_bytes(self) -> int:
        """What may be sent now."""
        return self._granted_bytes - self._spent_bytes

    @property
    def spent_bytes(self) -> int:
        """What was sent: the offset in the stream of the byte that comes next."""
        return self._spent_bytes

    def grant(self, size_bytes: int) -> None:
        """Let so many bytes more be sent. Raises ProtocolError: none, or over 2**63-1 in sum."""
        if not 1 <= size_bytes <= MOST_INTEGER - self._granted_bytes:
            raise ProtocolError(f"a grant of {size_bytes} bytes; allowed: 1 to 2**63-1 in sum")
        self._granted_bytes += size_bytes

    def spend(self, size_bytes: int) -> None:
        """Note that bytes were sent. Raises ProtocolError, and notes none: more than were left."""
        if not 0 <= size_bytes <= self.left_bytes:
            raise ProtocolError(f"{size_bytes} bytes were sent, and {self.left_bytes} granted")
        self._spent_bytes += size_bytes
