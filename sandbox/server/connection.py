"""One connection: frames in, calls out of them, and answers as fast as the client takes them.

Every answer is made under the lock of the connection and sent before the next is made. So a client
that does not read holds one answer in our memory, waits for itself, and disturbs nobody.
"""

import contextlib
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import trio

from sandbox.server.method import METHODS, Method
from sandbox.server.record import Record
from sandbox.server.service import Service
from sandbox.server.subscription import Subscription
from sandbox.server.tenants import Tenant
from sandbox.spec.errors import ProtocolError, RefusedError, SandboxError
from sandbox.spec.fields import shown, suggestion
from sandbox.wire.calls import MOST_CALLS, Calls
from sandbox.wire.errors import NotFoundError, UnknownMethodError, error_to_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, Notification, Request, Response, encode

__all__ = ["Connection"]

_RECEIVE_BYTES = 64 << 10
_SEND_BYTES = 16 << 10  # each must get through within _SEND_SECONDS: a slow reader makes progress
_SEND_SECONDS = 60.0
_FRAME_SECONDS = 60.0  # from a frame's first byte to its last
_STRANGER_SECONDS = 10.0  # to say who one is
_HEAVY_SECONDS = 0.005  # of unpacking; who sends more such frames waits as long again
_MOST_SUBSCRIPTIONS = 64


class Connection:
    """The server's end of one connection, as the methods' Peer too."""

    def __init__(
        self, stream: trio.abc.Stream, service: Service, tenant: Tenant | None, where: str
    ) -> None:
        """`tenant`: None until a token says whose it is. `where`: the peer's address, for logs."""
        self._stream, self._service, self._where = stream, service, where
        self._tenant = tenant
        self._has_text_errors = False
        self._decoder = Decoder()
        if tenant is not None:
            self._decoder.accept(FRAME_BYTES)
        self._calls = Calls(MOST_CALLS)
        self._sending = trio.StrictFIFOLock()
        self._attached: list[Record] = []
        self._subscriptions: dict[int, Subscription] = {}
        self._next_subscription = 1
        self._nursery: trio.Nursery

    @property
    def tenant(self) -> Tenant:
        """Whose it is."""
        if self._tenant is None:
            raise RefusedError("say who you are first: server.hello with a token")
        return self._tenant

    async def serve(self) -> None:
        """Answer what comes, until the client goes or is sent away."""
        try:
            async with self._stream, trio.open_nursery() as self._nursery:
                try:
                    await self._receive()
                except ProtocolError as error:
                    # The last word: what it speaks is not what we do, so it may not read this.
                    self._service.log.event("protocol_error", peer=self._where, error=str(error))
                    with contextlib.suppress(trio.BrokenResourceError):
                        await self._send(encode(Notification("error", (error_to_map(error),))))
                self._nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went; its jobs go on
        finally:
            for record in self._attached:
                record.cancellation.set()

    # What the methods ask of their peer

    def attach(self, record: Record) -> None:
        """Cancel that job when this connection is lost."""
        self._attached = [one for one in self._attached if not one.is_over]
        self._attached.append(record)

    def identify(self, token: str) -> None:
        """Become the tenant of this token. Raises RefusedError: it is nobody's."""
        if self._tenant is None:
            self._tenant = self._service.tenants.of_token(token)
            self._decoder.accept(FRAME_BYTES)

    def tell_errors(self, *, as_text: bool) -> None:
        """Have errors as text, or as maps."""
        self._has_text_errors = as_text

    def open_stream(self, record: Record, stream: str, offset: int, credit_bytes: int) -> int:
        """Begin to push; the subscription's number."""
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            raise RefusedError(f"{_MOST_SUBSCRIPTIONS} streams are open on this connection")
        number, self._next_subscription = self._next_subscription, self._next_subscription + 1
        subscription = Subscription(number, record.outputs[stream], offset, credit_bytes)
        self._subscriptions[number] = subscription
        self._nursery.start_soon(self._push, subscription)
        return number

    def grant(self, subscription: int, credit_bytes: int) -> None:
        """Let more be pushed."""
        self._subscription(subscription).grant(credit_bytes)

    def close_stream(self, subscription: int) -> None:
        """Push no more."""
        self._subscription(subscription).close()

    def _subscription(self, number: int) -> Subscription:
        if number not in self._subscriptions:
            raise NotFoundError(f"no subscription {number} on this connection")
        return self._subscriptions[number]

    # In

    async def _receive(self) -> None:
        frame_ends_at = float("inf")
        stranger_ends_at = trio.current_time() + _STRANGER_SECONDS
        while True:
            ends_at = frame_ends_at if self._tenant else min(frame_ends_at, stranger_ends_at)
            with trio.CancelScope(deadline=ends_at) as scope:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            if scope.cancelled_caught:
                what = "a frame was not sent" if self._tenant else "nobody said who is there"
                raise ProtocolError(f"{what} in time; the connection is closed")
            if not data:
                self._decoder.end()
                return
            self._service.metrics.bytes.add("received", count=len(data))
            self._decoder.feed(data)
            if await self._take_all():
                frame_ends_at = float("inf")
            if not self._decoder.is_between_messages:
                frame_ends_at = min(frame_ends_at, trio.current_time() + _FRAME_SECONDS)

    async def _take_all(self) -> bool:
        """Answer every whole message; whether there was one."""
        count = 0
        while True:
            started = trio.current_time()
            message = self._decoder.next_message()
            if message is None:
                return count > 0
            count += 1
            used = trio.current_time() - started
            await self._take(message)
            if used > _HEAVY_SECONDS:
                await trio.sleep(used)

    async def _take(self, message: Message) -> None:
        if isinstance(message, Response):
            raise ProtocolError("a response, and nothing was asked; the connection is closed")
        if isinstance(message, Notification):
            with contextlib.suppress(SandboxError):  # nobody answers one
                outcome = self._call(message.method, message.params)
                if inspect.iscoroutine(outcome):
                    self._nursery.start_soon(self._ignore, outcome)
            return
        try:
            self._calls.begin(message.msgid)
        except RefusedError as error:
            return await self._send(encode(self._failure(message.msgid, error)))
        try:
            outcome = self._call(message.method, message.params)
        except Exception as error:
            outcome = _raising(error)
        if inspect.iscoroutine(outcome):
            self._nursery.start_soon(self._answer_later, message, outcome)
        elif callable(outcome):
            await self._answer(message, outcome)
        else:
            await self._answer(message, lambda: outcome)

    def _call(self, name: str, params: tuple[Any, ...]) -> Any:
        method = METHODS.get(name)
        if method is None:
            raise UnknownMethodError(f"no method {shown(name)}{suggestion(name, METHODS)}")
        self._allow(method)
        self._service.metrics.calls.add(name)
        return method.run(self._service, self, **method.read(params))

    def _allow(self, method: Method) -> None:
        if method.name != "server.hello" and method.is_local and not self.tenant.is_local:
            raise RefusedError(f"{method.name} is for the server's own user")
        if method.name != "server.hello":
            _ = self.tenant

    async def _ignore(self, outcome: Coroutine[Any, Any, Any]) -> None:
        with contextlib.suppress(SandboxError):
            await outcome

    # Out

    async def _answer_later(
        self, request: Request, outcome: Coroutine[Any, Any, Callable[[], Any]]
    ) -> None:
        try:
            answer = await outcome
        except Exception as error:
            answer = _raising(error)
        await self._answer(request, answer)

    async def _answer(self, request: Request, answer: Callable[[], Any]) -> None:
        async with self._sending:
            self._calls.finish(request.msgid)
            try:
                data = encode(Response(request.msgid, None, answer()))
            except SandboxError as error:
                data = encode(self._failure(request.msgid, error))
            except Exception as error:
                self._service.log.bug(error, method=request.method, peer=self._where)
                data = encode(self._failure(request.msgid, error))
            await self._send_all(data)

    def _failure(self, msgid: int, error: Exception) -> Response:
        told = error_to_map(error)
        return Response(
            msgid, "{code}: {message}".format_map(told) if self._has_text_errors else told
        )

    async def _push(self, subscription: Subscription) -> None:
        with subscription.scope:
            while await subscription.ready():
                async with self._sending:
                    await self._send_all(encode(subscription.next_message()))
        self._subscriptions.pop(subscription.number, None)

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            await self._send_all(data)

    async def _send_all(self, data: bytes) -> None:
        self._service.metrics.bytes.add("sent", count=len(data))
        left = memoryview(data)
        while left:
            later = left[_SEND_BYTES:]
            with trio.move_on_after(_SEND_SECONDS) as patience:
                while len(left) > len(later):
                    left = left[await self._send_some(left) :]
            if patience.cancelled_caught:
                self._service.log.event("reader_gone", peer=self._where)
                raise trio.BrokenResourceError

    async def _send_some(self, data: memoryview) -> int:
        """As much as the kernel takes now, or some of it later: so many bytes."""
        if isinstance(self._stream, trio.SocketStream):
            try:
                # All of it at once, where there is room: each call is a turn of the loop.
                return await self._stream.socket.send(data)
            except OSError as error:
                raise trio.BrokenResourceError from error
        await self._stream.send_all(data[:_SEND_BYTES])
        return min(len(data), _SEND_BYTES)


def _raising(error: Exception) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer
