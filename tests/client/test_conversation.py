"""What a client sends and takes, without a socket: replies in any order, pushes, lies."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.client.channel import Channel
from sandbox.client.conversation import Conversation, Pending
from sandbox.client.errors import DisconnectedError
from sandbox.client.subscription import WINDOW_BYTES, Subscription
from sandbox.spec.errors import ProtocolError, RefusedError, SandboxError, SpecError
from sandbox.wire.errors import error_to_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, Notification, Request, Response, encode


class Wire:
    """A conversation, and the bytes of both directions."""

    def __init__(self) -> None:
        self.conversation = Conversation(Channel())
        self._decoder = Decoder(FRAME_BYTES)

    def call(self, method: str = "server.info", **params: Any) -> Pending:
        return self.conversation.call(method, params)

    def sent(self) -> list[Message]:
        outgoing = self.conversation.outgoing
        self._decoder.feed(bytes(outgoing))
        outgoing.clear()
        messages = []
        while (message := self._decoder.next_message()) is not None:
            messages.append(message)
        return messages

    def answer(self, msgid: int, result: Any = None, error: SandboxError | None = None) -> None:
        shown = None if error is None else error_to_map(error)
        self.conversation.receive(encode(Response(msgid, shown, result)))

    def push(self, method: str, **params: Any) -> None:
        self.conversation.receive(encode(Notification(method, (params,))))

    def subscribe(self, offset: int = 0) -> Subscription:
        subscription = Subscription(offset, lambda: None)
        self.conversation.call("stream.open", {}, subscription=subscription)
        opened = self.sent()[-1]
        assert isinstance(opened, Request)
        self.answer(opened.msgid, {"subscription": 7})
        return subscription


def test_replies_come_in_any_order_and_chunking() -> None:
    wire = Wire()
    first, second = wire.call(), wire.call()
    data = encode(Response(second.msgid, None, 2)) + encode(Response(first.msgid, None, 1))
    for number in range(len(data)):
        wire.conversation.receive(data[number : number + 1])
    assert (first.result(), second.result()) == (1, 2)


def test_an_error_is_raised_as_what_it_was() -> None:
    wire = Wire()
    pending = wire.call()
    wire.answer(pending.msgid, error=RefusedError("busy", 1.5))
    with pytest.raises(RefusedError) as caught:
        pending.result()
    assert caught.value.retry_after_seconds == 1.5


def test_without_params_the_array_is_empty() -> None:
    wire = Wire()
    wire.call()
    wire.call("job.status", job="a")
    assert [message.params for message in wire.sent()] == [(), ({"job": "a"},)]


def test_a_late_reply_to_an_abandoned_call_is_dropped() -> None:
    wire = Wire()
    abandoned, other = wire.call(), wire.call()
    abandoned.abandon()
    wire.answer(abandoned.msgid, 1)
    wire.answer(other.msgid, 2)
    assert other.result() == 2


@pytest.mark.parametrize("is_early", [True, False])
def test_what_an_abandoned_call_has_brought_is_told_once(is_early: bool) -> None:
    wire = Wire()
    pending, late = wire.call(), []
    if is_early:
        wire.answer(pending.msgid, 1)
    pending.abandon(late.append)
    if not is_early:
        wire.answer(pending.msgid, 1)
    assert late == [1]


def test_the_failure_of_an_abandoned_call_brings_nothing() -> None:
    wire = Wire()
    pending, late = wire.call(), []
    pending.abandon(late.append)
    wire.answer(pending.msgid, error=RefusedError("busy"))
    assert late == []


def test_a_lost_connection_ends_every_call_and_stream() -> None:
    wire = Wire()
    pending, subscription = wire.call(), wire.subscribe()
    wire.push("stream.data", subscription=7, offset=0, data=b"abc")
    wire.conversation.fail(DisconnectedError("gone"))
    with pytest.raises(DisconnectedError):
        pending.result()
    assert subscription.take() == b"abc"
    with pytest.raises(DisconnectedError):
        subscription.take()


@pytest.mark.parametrize(
    "message",
    [
        Request(1, "server.info"),
        Response(99, None, 1),
        Notification("error", (error_to_map(ProtocolError("nonsense")),)),
        Notification("error", (5,)),
    ],
)
def test_what_no_server_says_is_a_protocol_error(message: Message) -> None:
    with pytest.raises(ProtocolError):
        Wire().conversation.receive(encode(message))


def test_a_frame_that_no_server_takes_is_not_sent() -> None:
    wire = Wire()
    with pytest.raises(SpecError, match="upload what is large as a blob"):
        wire.call("job.submit", stdin=bytes(FRAME_BYTES))
    with pytest.raises(SpecError, match="cannot be sent"):
        wire.call("job.submit", job=object())
    assert wire.sent() == []
    assert wire.conversation.calls == 0


def test_data_behind_the_reply_in_the_same_bytes_is_the_streams() -> None:
    wire = Wire()
    subscription = Subscription(5, lambda: None)
    opened = wire.conversation.call("stream.open", {}, subscription=subscription)
    push = {"subscription": 3, "offset": 5, "data": b"abc"}
    wire.conversation.receive(
        encode(Response(opened.msgid, None, {"subscription": 3}))
        + encode(Notification("stream.data", (push,)))
    )
    assert (subscription.take(), subscription.offset) == (b"abc", 8)


def test_credit_is_granted_again_when_half_is_taken() -> None:
    wire = Wire()
    subscription = wire.subscribe()
    for offset in (0, WINDOW_BYTES // 2):
        wire.push("stream.data", subscription=7, offset=offset, data=bytes(WINDOW_BYTES // 2))
    assert wire.sent() == []
    subscription.take()
    wire.conversation.grant(subscription)
    (granted,) = wire.sent()
    assert granted.params == ({"subscription": 7, "credit_bytes": WINDOW_BYTES // 2},)


def test_the_end_of_a_stream_is_the_end() -> None:
    wire = Wire()
    subscription = wire.subscribe()
    wire.push("stream.data", subscription=7, offset=0, data=b"a")
    wire.push("stream.end", subscription=7, offset=1)
    assert [subscription.take(), subscription.take()] == [b"a", b""]
    assert wire.conversation.streams == 0


@pytest.mark.parametrize(
    "push",
    [
        {"offset": 1, "data": b"a"},  # a gap
        {"offset": 0, "data": bytes(WINDOW_BYTES // 2 + 1)},  # the second is over the credit
        {"data": b"a"},
        {"offset": 0, "data": 5},
    ],
)
def test_a_stream_that_lies_is_a_protocol_error(push: dict[str, Any]) -> None:
    wire = Wire()
    wire.subscribe()
    with pytest.raises(ProtocolError):
        for number in range(2):
            size = len(push["data"]) if isinstance(push.get("data"), bytes) else 0
            again = {**push, "offset": push["offset"] + number * size} if "offset" in push else push
            wire.push("stream.data", subscription=7, **again)


def test_what_comes_after_unsubscribing_is_dropped_until_the_server_knows() -> None:
    wire = Wire()
    subscription = wire.subscribe()
    wire.conversation.unsubscribe(subscription)
    (close,) = wire.sent()
    assert isinstance(close, Request)
    assert (close.method, close.params) == ("stream.close", ({"subscription": 7},))
    wire.push("stream.data", subscription=7, offset=0, data=b"late")
    assert not subscription.is_ready
    wire.answer(close.msgid, {})
    assert wire.conversation.streams == 0
    wire.push("stream.data", subscription=7, offset=4, data=b"later")


def test_a_stream_that_nobody_waited_for_is_closed_when_it_opens() -> None:
    wire = Wire()
    subscription = Subscription(0, lambda: None)
    opened = wire.conversation.call("stream.open", {}, subscription=subscription)
    wire.conversation.unsubscribe(subscription)
    wire.sent()
    wire.answer(opened.msgid, {"subscription": 3})
    assert [message.method for message in wire.sent()] == ["stream.close"]


def test_pushes_of_a_newer_server_are_ignored() -> None:
    wire = Wire()
    wire.push("job.news", job="a")
    wire.conversation.receive(encode(Notification("what", (1, 2))))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_our_errors(data: bytes) -> None:
    wire = Wire()
    wire.call()
    try:
        wire.conversation.receive(data)
    except SandboxError:
        return


def test_a_stream_that_is_called_as_another_is_refused_and_both_readers_are_told() -> None:
    wire = Wire()
    first, second = wire.subscribe(), Subscription(0, lambda: None)
    opening = wire.conversation.call("stream.open", {}, subscription=second)
    with pytest.raises(ProtocolError, match="two streams 7"):
        wire.answer(opening.msgid, {"subscription": 7})
    wire.conversation.fail(DisconnectedError("gone"))
    for take in (first.take, opening.result):
        with pytest.raises(DisconnectedError):
            take()


def test_an_opening_that_is_answered_with_nonsense_is_over_when_the_connection_is() -> None:
    wire = Wire()
    opening = wire.conversation.call("stream.open", {}, subscription=Subscription(0, lambda: None))
    with pytest.raises(ProtocolError):
        wire.answer(opening.msgid, {"subscription": -1})
    wire.conversation.fail(DisconnectedError("gone"))
    with pytest.raises(DisconnectedError):
        opening.result()


def test_the_end_of_one_stream_is_not_that_of_another_of_its_name() -> None:
    wire = Wire()
    first = wire.subscribe()
    wire.conversation.unsubscribe(first)
    (closing,) = wire.sent()
    assert isinstance(closing, Request)
    wire.push("stream.end", subscription=7, offset=0, data=b"")
    second = wire.subscribe()
    wire.answer(closing.msgid, {})
    wire.push("stream.data", subscription=7, offset=0, data=b"more")
    assert second.take() == b"more"
