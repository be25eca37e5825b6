"""A connected socket and the conversation over it; how to wait for the socket is the client's."""

from __future__ import annotations

from sandbox.client.errors import DisconnectedError
from sandbox.client.reach import lost
from sandbox.spec.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.client.address import Address
    from sandbox.client.calls import Call
    from sandbox.client.conversation import Conversation, Pending

__all__ = ["Connection"]

_PIECE_BYTES = 256 << 10


class Connection:
    """A connection that is there until something goes wrong, and then is closed for good."""

    def __init__(self, address: Address, socket: Any, conversation: Conversation) -> None:
        """`socket`: connected; from now on it does not block, and is ours."""
        socket.setblocking(False)
        self.address, self.conversation = address, conversation
        self.socket = socket
        self.is_open = True
        self._hints: list[Pending] = []

    def write(self) -> None:
        """Write what the socket takes now. Raises DisconnectedError; it is closed then."""
        self._guarded(self._write)

    def read(self) -> None:
        """Take what has come by now. Raises DisconnectedError, UntrustedError, ProtocolError; it is
        closed then.
        """
        self._guarded(self._read)

    def is_alive(self) -> bool:
        """Whether calls can be made, as far as the socket tells now.

        A server that was started anew has closed what it had. That is better seen before a call
        that must not be made twice than after.
        """
        if self.is_open:
            try:
                self.read()
            except SandboxError:
                return False  # who waits for it was told
        return self.is_open

    def abandon(self, pending: Pending, call: Call) -> None:
        """Nobody waits for this call any more; what it brings is undone."""

        def undo(result: Any) -> None:
            if call.undo is not None and self.is_open:
                opposite = call.undo(call.read(result))
                self.conversation.call(opposite.method, opposite.params).abandon()

        pending.abandon(undo)

    def send(self, call: Call) -> None:
        """Make a call whose reply is of no interest. Raises DisconnectedError."""
        self._hints = [*self.unanswered(), self.conversation.call(call.method, call.params)]
        self.write()

    def unanswered(self) -> list[Pending]:
        """The calls of `send` that have no reply yet: a server may drop them if we leave now."""
        return [pending for pending in self._hints if not pending.is_over]

    def close(self) -> None:
        """Close it; calls in flight end with DisconnectedError."""
        if self.is_open:
            problem = f"{self.address.text}: the connection was closed"
            self.end_with(DisconnectedError(problem))

    def end_with(self, error: SandboxError) -> SandboxError:
        """Close it; calls in flight end with `error`, which is returned."""
        self.is_open = False
        self.socket.close()
        self.conversation.fail(error)
        return error

    def _write(self) -> None:
        outgoing = self.conversation.outgoing
        while outgoing:
            del outgoing[: self.socket.send(outgoing)]

    def _read(self) -> None:
        data = self.socket.recv(_PIECE_BYTES)
        if not data:  # perhaps within a message, of a server that was killed
            raise lost(self.address)
        self.conversation.receive(data)

    def _guarded(self, move: Callable[[], None]) -> None:
        """Read or write. If that is cut short the streams are out of step: then it is the end."""
        if not self.is_open:
            raise lost(self.address)
        try:
            move()
        except BlockingIOError:
            return
        except OSError as error:
            raise self.end_with(lost(self.address, error)) from error
        except SandboxError as error:
            self.end_with(error)
            raise
        except BaseException:
            self.close()
            raise
