"""One connection: frames in, calls out of them, and answers as fast as the client takes them."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import trio

from sandbox.server.intake import Intake, TenantIntake
from sandbox.server.receiver import Receiver
from sandbox.server.record import Record
from sandbox.server.sender import Sender
from sandbox.server.service import Service
from sandbox.server.subscription import Source, Subscription
from sandbox.server.tenants import Tenant, Tenants
from sandbox.spec.errors import ProtocolError, RefusedError, SandboxError
from sandbox.spec.fields import shown, suggestion
from sandbox.wire.calls import MOST_CALLS, Calls
from sandbox.wire.errors import NotFoundError, UnknownMethodError, error_to_map
from sandbox.wire.framing import FRAME_BYTES
from sandbox.wire.messages import Message, Notification, Request, Response, encode

__all__ = ["Connection"]

_STRANGER_SECONDS = 10.0  # to say who one is
_MOST_SUBSCRIPTIONS = 64

Answer = Callable[[], Any]


class Connection:
    """The server's end of one connection, as the methods' Peer too."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        service: Service,
        tenant: Tenant | None,
        where: str,
        intake: Intake | None = None,
    ) -> None:
        """`tenant`: None until a token says whose it is. `where`: the peer's address, for logs.
        `intake`: of all connections together; None: there is no other.
        """
        self._stream, self._service, self.where = stream, service, where
        self._sender = Sender(stream, service.metrics, self._reader_gone)
        self._whole = intake or Intake(1)
        self._tenant: Tenant | None = None
        self._intake = TenantIntake("", self._whole)  # of a stranger, who has one connection
        self._receiver = Receiver(stream, service.metrics, self._intake)
        self._calls = Calls(MOST_CALLS)
        self._notified = 0  # notifications that something is waited for
        self._attached: list[Record] = []
        self._subscriptions: dict[int, Subscription] = {}
        self._next_subscription = 1
        self._nursery: trio.Nursery
        self._has_text_errors = False
        # Who it is by another configuration; raises RefusedError: nobody.
        self.recheck: Callable[[Tenants], Tenant] | None = None
        if tenant is not None:
            self._become(tenant)

    @property
    def is_busy(self) -> bool:
        """Whether the client waits for something: an answer, or the rest of a stream."""
        return len(self._calls) > 0 or bool(self._subscriptions)

    @property
    def is_known(self) -> bool:
        """Whether somebody has said whose it is."""
        return self._tenant is not None

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
                if self._tenant is None:
                    self._nursery.start_soon(self._await_hello)
                try:
                    await self._receiver.receive(self._take)
                except ProtocolError as error:
                    await self._send_away(error)
                self._nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went; its jobs go on
        finally:
            self._receiver.give_back_room()
            if self._tenant is not None:
                self._whole.leave(self._intake)
            for record in self._attached:
                record.cancellation.set()

    def end_unless_known(self, tenants: Tenants) -> None:
        """End it, if another configuration does not let in who it is. Else it stays who it is."""
        try:
            if self.recheck is not None:
                self.recheck(tenants)
        except RefusedError:
            self._nursery.cancel_scope.cancel()

    # What the methods ask of their peer

    def attach(self, record: Record) -> None:
        """Cancel that job when this connection is lost."""
        self._attached = [one for one in self._attached if not one.is_over]
        self._attached.append(record)

    def identify(self, token: str) -> None:
        """Become the tenant of this token. Raises RefusedError: it is nobody's."""
        if self._tenant is None:
            try:
                self._become(self._service.tenants.of_token(token))
                self.recheck = lambda tenants: tenants.of_token(token)
            except RefusedError as error:
                self._service.log.event("stranger_refused", peer=self.where, error=str(error))
                raise

    def tell_errors(self, *, as_text: bool) -> None:
        """Have errors as text, or as maps."""
        self._has_text_errors = as_text

    def open_stream(self, source: Source, offset: int, credit_bytes: int) -> int:
        """Begin to push; the subscription's number."""
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            raise RefusedError(f"{_MOST_SUBSCRIPTIONS} streams are open on this connection")
        number, self._next_subscription = self._next_subscription, self._next_subscription + 1
        subscription = Subscription(number, source, offset, credit_bytes)
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

    # Coming and going

    def _become(self, tenant: Tenant) -> None:
        self._intake = self._whole.enter(tenant.name)
        self._tenant = tenant
        self._receiver.accept(self._intake)

    async def _await_hello(self) -> None:
        await trio.sleep(_STRANGER_SECONDS)
        if self._tenant is None:
            await self._send_away(ProtocolError("nobody said in time who is there"))
            self._nursery.cancel_scope.cancel()

    async def _send_away(self, error: ProtocolError) -> None:
        # The last word: what it speaks is not what we do, so it may not read this.
        name = self._tenant and self._tenant.name
        self._service.log.event("protocol_error", tenant=name, peer=self.where, error=str(error))
        await self._sender.send_last(encode(Notification("error", (error_to_map(error),))))

    def _reader_gone(self) -> None:
        name = self._tenant and self._tenant.name
        self._service.log.event("reader_gone", tenant=name, peer=self.where)

    # In

    async def _take(self, message: Message) -> None:
        if isinstance(message, Response):
            raise ProtocolError("a response, and nothing was asked; the connection is closed")
        if isinstance(message, Notification):
            self._heed(message)
            return await trio.lowlevel.checkpoint()  # however many come, others have their turn
        try:
            self._calls.begin(message.msgid)
        except RefusedError as error:
            refusal = encode(self._failure(message.msgid, error))
            return await self._sender.send(lambda: refusal)
        try:
            outcome = self._intake.metered(self._call, message)
        except Exception as error:
            outcome = _raising(error)
        if inspect.iscoroutine(outcome):
            self._nursery.start_soon(self._answer_later, message, outcome)
        elif callable(outcome):
            await self._answer(message, outcome)
        else:
            await self._answer(message, lambda: outcome)

    def _call(self, message: Request | Notification) -> Any:
        methods = self._service.methods
        method = methods.get(message.method)
        if method is None:
            name = shown(message.method)
            raise UnknownMethodError(f"no method {name}{suggestion(message.method, methods)}")
        if method.name != "server.hello" and not self.tenant.is_local and method.is_local:
            raise RefusedError(f"{method.name} is for the server's own user")
        self._service.metrics.calls.add(method.name)
        return method.run(self._service, self, **method.read(message.params))

    def _heed(self, message: Notification) -> None:
        """Do what a notification says. Nobody hears whether that worked, or was too much."""
        if self._notified >= MOST_CALLS:
            return
        try:
            outcome = self._intake.metered(self._call, message)
        except SandboxError:
            return
        except Exception as error:
            self._bug(error, message)
            return
        if inspect.iscoroutine(outcome):
            self._notified += 1
            self._nursery.start_soon(self._heed_later, message, outcome)

    async def _heed_later(self, message: Notification, outcome: Coroutine[Any, Any, Any]) -> None:
        try:
            await self._intake.metered_steps(outcome)
        except SandboxError:
            pass
        except Exception as error:
            self._bug(error, message)
        finally:
            self._notified -= 1

    # Out

    async def _answer_later(self, request: Request, outcome: Coroutine[Any, Any, Answer]) -> None:
        try:
            answer = await self._intake.metered_steps(outcome)
        except Exception as error:
            answer = _raising(error)
        await self._answer(request, answer)

    async def _answer(self, request: Request, answer: Answer) -> None:
        await self._sender.send(lambda: self._intake.metered(self._encoded, request, answer))

    def _encoded(self, request: Request, answer: Answer) -> bytes:
        self._calls.finish(request.msgid)
        try:
            data = encode(Response(request.msgid, None, answer()))
            if len(data) > FRAME_BYTES:
                raise RefusedError(f"the answer has {len(data)} bytes, over the {FRAME_BYTES} of a"
                                   " frame; ask for less")  # fmt: skip
        except Exception as error:
            if not isinstance(error, SandboxError):
                self._bug(error, request)
            data = encode(self._failure(request.msgid, error))
        return data

    def _failure(self, msgid: int, error: Exception) -> Response:
        told = error_to_map(error)
        text = "{code}: {message}".format_map(told)
        return Response(msgid, text if self._has_text_errors else told)

    def _bug(self, error: Exception, message: Request | Notification) -> None:
        name = self._tenant and self._tenant.name
        self._service.log.bug(error, tenant=name, method=message.method, peer=self.where)

    async def _push(self, subscription: Subscription) -> None:
        # What is being sent is never cut by a close: half a message would be the end of all.
        while await subscription.ready():
            await self._sender.send(subscription.next_bytes)
        del self._subscriptions[subscription.number]


def _raising(error: Exception) -> Answer:
    def answer() -> Any:
        raise error

    return answer
