"""One connection of the trio client. It reads whenever there is something: many tasks wait."""

from __future__ import annotations

import errno
import socket
from typing import Any

import trio

from sandbox.client import calls
from sandbox.client.address import Address, Credentials
from sandbox.client.calls import Call
from sandbox.client.channel import open_channel
from sandbox.client.connection import Connection
from sandbox.client.conversation import Conversation
from sandbox.client.reach import greeting, silent, unreachable
from sandbox.client.subscription import WINDOW_BYTES, Subscription
from sandbox.spec.errors import SandboxError
from sandbox.wire.calls import MOST_CALLS

__all__ = ["AsyncLink"]

# Some are left for what is sent without being waited for: to cancel, to close a stream.
_MOST_CALLS = MOST_CALLS - 16
_MOST_STREAMS = 48
_KNOCK_SECONDS = 0.02


class AsyncLink(Connection):
    """A connection, and the tasks that move its bytes. Made by `connect`."""

    def __init__(self, address: Address, connected: socket.socket, conversation: Conversation):
        super().__init__(address, connected, conversation)
        self._is_writing = False

    @classmethod
    async def connect(
        cls, address: Address, credentials: Credentials, answer_seconds: float
    ) -> AsyncLink:
        """Connect, and say who we are where that is needed. Raises DisconnectedError,
        UntrustedError, SpecError.
        """
        conversation = Conversation(open_channel(address, credentials))
        link = cls(address, await _connect(address, answer_seconds), conversation)
        try:
            with trio.move_on_after(answer_seconds):
                await link._meet()
            if not conversation.is_ready:
                raise link.end_with(silent(address, "the TLS handshake", answer_seconds))
            # Not a nursery of the caller's: what fails here is told to who waits, and nobody else.
            trio.lowlevel.spawn_system_task(link._keep_reading)
            if (call := greeting(address, credentials)) is not None:
                await link.ask(call, answer_seconds)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def has_room(self) -> bool:
        """Whether the server would take one more call, and push one more stream."""
        conversation = self.conversation
        return conversation.calls < _MOST_CALLS and conversation.streams < _MOST_STREAMS

    async def ask(
        self, call: Call, answer_seconds: float, subscription: Subscription | None = None
    ) -> Any:
        """Make a call, and wait for its reply: what that says. Raises what it tells of.

        Raises DisconnectedError: the connection is lost, or there is no reply in time; it is
        closed then. If it is cancelled the connection can still be used: a late reply is dropped.
        """
        answered = trio.Event()
        pending = self.conversation.call(call.method, call.params, answered.set, subscription)
        try:
            self.write()
            with trio.move_on_after(call.wait_seconds + answer_seconds):
                await answered.wait()
            if not pending.is_over:
                raise self.end_with(silent(self.address, call.method, answer_seconds))
        except BaseException:
            self.abandon(pending, call)
            self._write_on()
            raise
        return call.read(pending.result())

    async def settle(self, most_seconds: float) -> None:
        """Wait for the replies to what was only sent, at most so long."""
        with trio.move_on_after(most_seconds):
            for pending in self.unanswered():
                answered = trio.Event()
                pending.tell(answered.set)
                await answered.wait()

    async def subscribe(
        self, job: str, stream: str, subscription: Subscription, answer_seconds: float
    ) -> None:
        """Have a stream pushed into `subscription`."""
        call = calls.open_stream(job, stream, subscription.offset, WINDOW_BYTES)
        try:
            await self.ask(call, answer_seconds, subscription)
        except BaseException:
            self.unsubscribe(subscription)
            raise

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nobody reads it any more."""
        if self.is_open:
            self.conversation.unsubscribe(subscription)
            self._write_on()
        else:
            subscription.is_abandoned = True

    def grant(self, subscription: Subscription) -> None:
        """Let the server send more of it, if that is due. Raises DisconnectedError."""
        if self.is_open:
            self.conversation.grant(subscription)
            self.write()

    def write(self) -> None:
        """Write what the socket takes now, and the rest as soon as it does."""
        super().write()
        if self.conversation.outgoing and not self._is_writing:
            self._is_writing = True
            trio.lowlevel.spawn_system_task(self._keep_writing)

    def end_with(self, error: SandboxError) -> SandboxError:
        """Close it; calls in flight end with `error`, which is returned."""
        if self.is_open:
            trio.lowlevel.notify_closing(self.socket)  # who waits for it is told, and ends
        return super().end_with(error)

    def _write_on(self) -> None:
        try:
            self.write()
        except SandboxError:
            return  # everybody who waits was told

    async def _meet(self) -> None:
        while not self.conversation.is_ready:
            self.write()
            await trio.lowlevel.wait_readable(self.socket)
            self.read()

    async def _keep_reading(self) -> None:
        try:
            while self.is_open:
                await trio.lowlevel.wait_readable(self.socket)
                self.read()
                if self.conversation.outgoing:
                    self.write()
        except (SandboxError, trio.ClosedResourceError):
            return  # everybody who waits was told

    async def _keep_writing(self) -> None:
        try:
            while self.is_open and self.conversation.outgoing:
                await trio.lowlevel.wait_writable(self.socket)
                super().write()
        except (SandboxError, trio.ClosedResourceError):
            return  # everybody who waits was told
        finally:
            self._is_writing = False


async def _connect(address: Address, most_seconds: float) -> socket.socket:
    try:
        with trio.fail_after(most_seconds):
            if address.path is None:
                stream = await trio.open_tcp_stream(address.host, address.port)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # no delay: trio does
                return socket.socket(fileno=stream.socket.detach())
            connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connected.setblocking(False)
                while not _is_let_in(connected, address.path):
                    await trio.sleep(_KNOCK_SECONDS)
            except BaseException:
                connected.close()
                raise
            return connected
    except trio.TooSlowError as error:
        is_full = address.path is not None
        why = BlockingIOError(errno.EAGAIN, "") if is_full else TimeoutError("no answer in time")
        raise unreachable(address, why) from error
    except OSError as error:
        raise unreachable(address, error) from error


def _is_let_in(connected: socket.socket, path: str) -> bool:
    try:
        connected.connect(path)
    except BlockingIOError:  # too many wait already; nothing tells when one fewer does, connect(2)
        return False
    return True
