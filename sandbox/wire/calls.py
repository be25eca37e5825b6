"""The calls in flight on one connection. Replies may come in any order."""

from __future__ import annotations

from sandbox.spec.errors import ProtocolError, RefusedError

__all__ = ["MOST_CALLS", "Calls"]

MOST_CALLS = 64  # that a server takes on one connection
_MSGIDS = 1 << 32


class Calls:
    """The msgids that have no reply yet: of calls that came in, or of those that went out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._msgids: set[int] = set()
        self._next = 0

    def __len__(self) -> int:
        return len(self._msgids)

    def begin(self, msgid: int) -> None:
        """Note a call that came in.

        Raises ProtocolError: its msgid is in flight; RefusedError: `most` calls are, and this one
        is not noted: answer it with the error.
        """
        if msgid in self._msgids:
            raise ProtocolError(f"msgid {msgid} is in flight already; the connection is closed")
        if len(self._msgids) >= self._most:
            raise RefusedError(f"{self._most} calls are in flight on this connection")
        self._msgids.add(msgid)

    def begin_next(self) -> int:
        """Note a call that goes out, with the next free msgid. Raises RefusedError as `begin`."""
        while self._next in self._msgids:
            self._next = (self._next + 1) % _MSGIDS
        msgid = self._next
        self.begin(msgid)
        self._next = (msgid + 1) % _MSGIDS
        return msgid

    def finish(self, msgid: int) -> None:
        """Note the reply to a call. Raises ProtocolError: no such call is in flight."""
        if msgid not in self._msgids:
            raise ProtocolError(f"a reply to msgid {msgid}, which is not in flight")
        self._msgids.remove(msgid)
