"""One connection as a client sees it: calls out, replies and pushes in. No socket, no clock."""

from __future__ import annotations

from sandbox.spec.errors import ProtocolError, SandboxError, SpecError
from sandbox.wire.calls import Calls
from sandbox.wire.errors import error_from_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Notification, Request, Response, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from sandbox.client.channel import Channel
    from sandbox.client.subscription import Subscription

__all__ = ["Conversation", "Pending"]

_MOST_CALLS = 1 << 16  # the server says what it takes; this bounds our own memory


def _asleep() -> None:
    """Nobody waits."""


class Pending:
    """One call whose reply is to come."""

    __slots__ = ("_failure", "_late", "_response", "_wake", "msgid", "subscription")

    def __init__(
        self, msgid: int, wake: Callable[[], None], subscription: Subscription | None
    ) -> None:
        self.msgid = msgid
        self.subscription = subscription
        self._wake = wake
        self._response: Response | None = None
        self._failure: SandboxError | None = None
        self._late: Callable[[Any], None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether `result` has something to say."""
        return self._response is not None or self._failure is not None

    def result(self) -> Any:
        """The reply's result. Raises what the reply, or the end of the connection, tells of."""
        if self._response is None:
            assert self._failure is not None, "the reply has not come yet"
            raise self._failure
        if self._response.error is not None:
            raise error_from_map(self._response.error)
        return self._response.result

    def tell(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when it is over."""
        self._wake = wake

    def abandon(self, late: Callable[[Any], None] | None = None) -> None:
        """Nobody waits any more: the reply is dropped, or, if it is a success, given to `late`."""
        self._wake, self._late = _asleep, late
        self._tell_late()

    def settle(self, response: Response | None, failure: SandboxError | None = None) -> None:
        """Note the reply, or that there will be none, and wake who waits."""
        self._response, self._failure = response, failure
        self._tell_late()
        self._wake()

    def _tell_late(self) -> None:
        response, late = self._response, self._late
        if late is not None and response is not None and response.error is None:
            self._late = None
            late(response.result)


class Conversation:
    """Calls in flight and subscriptions of one connection, over the bytes of its channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._decoder = Decoder(FRAME_BYTES)
        self._calls = Calls(_MOST_CALLS)
        self._pending: dict[int, Pending] = {}
        self._subscriptions: dict[int, Subscription] = {}

    @property
    def outgoing(self) -> bytearray:
        """What is to be written to the socket, by whoever cuts off what was written."""
        return self._channel.outgoing

    @property
    def is_ready(self) -> bool:
        """Whether the peer has shown who it is; calls may be made before, and wait for it."""
        return self._channel.is_ready

    @property
    def calls(self) -> int:
        """How many calls have no reply yet."""
        return len(self._calls)

    @property
    def streams(self) -> int:
        """How many streams are pushed, or asked for."""
        asked = sum(call.subscription is not None for call in self._pending.values())
        return asked + len(self._subscriptions)

    def call(
        self,
        method: str,
        params: Mapping[str, Any],
        wake: Callable[[], None] = _asleep,
        subscription: Subscription | None = None,
    ) -> Pending:
        """Begin a call. `wake` is called when it is over; a success of it begins `subscription`.

        Raises SpecError: params that no frame can hold.
        """
        msgid = self._calls.begin_next()
        try:
            frame = self._frame(Request(msgid, method, (params,) if params else ()))
        except BaseException:
            self._calls.finish(msgid)
            raise
        pending = self._pending[msgid] = Pending(msgid, wake, subscription)
        self._channel.send(frame)
        return pending

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send what nobody answers."""
        self._channel.send(self._frame(Notification(method, (params,))))

    def receive(self, data: bytes) -> None:
        """Take what the socket gave. Wakes whoever waits for what it brings.

        Raises ProtocolError: this is no server of ours; UntrustedError: see TlsChannel.
        """
        self._decoder.feed(self._channel.receive(data))
        while (message := self._decoder.next_message()) is not None:
            if isinstance(message, Response):
                self._settle(message)
            elif isinstance(message, Notification):
                self._push(message)
            else:
                raise ProtocolError(f"the server calls {message.method}; it may only answer")

    def fail(self, error: SandboxError) -> None:
        """The connection is gone: every call and subscription of it ends with `error`."""
        pending, self._pending = self._pending, {}
        for call in pending.values():
            call.settle(None, error)
        subscriptions, self._subscriptions = self._subscriptions, {}
        for subscription in subscriptions.values():
            subscription.fail(error)

    def grant(self, subscription: Subscription) -> None:
        """Let the server send as much more as was taken off `subscription`, if that is much."""
        if (credit_bytes := subscription.owed_bytes()) and subscription.id in self._subscriptions:
            params = {"subscription": subscription.id, "credit_bytes": credit_bytes}
            self.notify("stream.grant", params)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Nobody reads it any more; what comes of it is dropped."""
        subscription.is_abandoned = True
        if subscription.id in self._subscriptions:
            # It stays known until the server has answered: data may be under way.
            number = subscription.id

            def forget(_: Any) -> None:
                if self._subscriptions.get(number) is subscription:  # not another of that name
                    del self._subscriptions[number]

            self.call("stream.close", {"subscription": number}).abandon(forget)

    def _frame(self, message: Request | Notification) -> bytes:
        try:
            frame = encode(message)
        except (ValueError, TypeError, OverflowError) as error:
            raise SpecError(message.method, f"cannot be sent: {error}") from error
        if len(frame) > FRAME_BYTES:
            raise SpecError(
                message.method,
                f"is {len(frame)} bytes of at most {FRAME_BYTES}; upload what is large as a blob",
            )
        return frame

    def _settle(self, response: Response) -> None:
        self._calls.finish(response.msgid)
        pending = self._pending[response.msgid]  # until nothing can go wrong: `fail` must find it
        if pending.subscription is not None and response.error is None:
            self._subscribe(pending.subscription, response.result)
        del self._pending[response.msgid]
        pending.settle(response)

    def _subscribe(self, subscription: Subscription, result: Any) -> None:
        # Here and not where the reply is read: the first push may be in the bytes behind it.
        subscription.begin(result)
        if subscription.id in self._subscriptions:  # whose reader nobody would tell of its end
            raise ProtocolError(f"the server calls two streams {subscription.id}")
        self._subscriptions[subscription.id] = subscription
        if subscription.is_abandoned:
            self.unsubscribe(subscription)

    def _push(self, message: Notification) -> None:
        params = message.params[0] if len(message.params) == 1 else None
        if message.method == "error":  # its last word
            raise ProtocolError(str(error_from_map(params)))
        if not isinstance(params, dict):
            return
        number = params.get("subscription")
        subscription = self._subscriptions.get(number) if type(number) is int else None
        if subscription is None:
            return  # of a newer server, or closed while this was under way
        subscription.push(message.method, params)
        if subscription.is_over:
            del self._subscriptions[subscription.id]
