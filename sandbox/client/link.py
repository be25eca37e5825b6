"""One connection of the blocking client."""

from __future__ import annotations

import select
import struct
import time

# What `socket` wraps, for four milliseconds more at start-up.
from _socket import AF_UNIX, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET
from _socket import socket as _Socket

from sandbox.client.channel import open_channel
from sandbox.client.connection import Connection
from sandbox.client.conversation import Conversation
from sandbox.client.reach import greeting, silent, unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.client.address import Address, Credentials
    from sandbox.client.calls import Call

__all__ = ["Link"]


class Link(Connection):
    """A connection, and who waits for it."""

    def __init__(self, address: Address, credentials: Credentials, answer_seconds: float) -> None:
        """Connect, and say who we are where that is needed. Raises DisconnectedError,
        UntrustedError, SpecError.
        """
        conversation = Conversation(open_channel(address, credentials))
        super().__init__(address, _connect(address, answer_seconds), conversation)
        self._answer_seconds = answer_seconds
        self._poll = select.poll()
        deadline = time.monotonic() + answer_seconds
        try:
            while not conversation.is_ready:
                self.write()
                if not self._move(deadline - time.monotonic()):
                    raise self.end_with(silent(address, "the TLS handshake", answer_seconds))
            if (call := greeting(address, credentials)) is not None:
                self.ask(call)
        except BaseException:
            self.close()
            raise

    def ask(self, call: Call) -> Any:
        """Make a call, and wait for its reply: what that says. Raises what it tells of.

        Raises DisconnectedError: the connection is lost, or there is no reply in time; it is
        closed then. If it is interrupted the connection can still be used: a late reply is dropped.
        """
        pending = self.conversation.call(call.method, call.params)
        deadline = time.monotonic() + call.wait_seconds + self._answer_seconds
        try:
            self.write()
            while not pending.is_over:
                if not self._move(deadline - time.monotonic()):
                    raise self.end_with(silent(self.address, call.method, self._answer_seconds))
        except BaseException:
            self.abandon(pending, call)
            raise
        return call.read(pending.result())

    def settle(self, most_seconds: float) -> None:
        """Wait for the replies to what was only sent, at most so long."""
        deadline = time.monotonic() + most_seconds
        while self.is_open and self.unanswered():
            if not self._move(deadline - time.monotonic()):
                return

    def _move(self, most_seconds: float) -> bool:
        events = select.POLLIN | (select.POLLOUT if self.conversation.outgoing else 0)
        self._poll.register(self.socket, events)
        if not self._poll.poll(max(most_seconds, 0) * 1000):
            return False
        self.read()
        self.write()
        return True


def _connect(address: Address, most_seconds: float) -> Any:
    try:
        if address.path is None:
            import socket

            connected: Any = socket.create_connection((address.host, address.port), most_seconds)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connected
        connected = _Socket(AF_UNIX, SOCK_STREAM)
        try:
            # Where too many wait already, Python's own timeout would fail at once; connect(2).
            seconds, rest = divmod(most_seconds, 1)
            timeval = struct.pack("@ll", int(seconds), int(rest * 1_000_000))
            connected.setsockopt(SOL_SOCKET, SO_SNDTIMEO, timeval)
            connected.connect(address.path)
        except BaseException:
            connected.close()
            raise
        return connected
    except OSError as error:
        raise unreachable(address, error) from error
