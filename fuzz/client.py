"""What a hostile server sends to a client: replies, pushes and bytes of its choice.

An input is decisions: which calls are made, and what comes of each. Values are mostly what a server
would say, with something changed.
"""

from collections.abc import Callable
from typing import Any

import msgpack

from fuzz.choices import Choices
from fuzz.driver import MSGPACK_TOKENS, main
from sandbox.client import calls, operations
from sandbox.client.channel import Channel
from sandbox.client.conversation import Conversation, Pending
from sandbox.client.errors import DisconnectedError
from sandbox.client.sources import source_of_bytes
from sandbox.client.subscription import WINDOW_BYTES, Subscription
from sandbox.spec.errors import ProtocolError, SandboxError
from sandbox.supervisor.lifecycle import not_started
from sandbox.wire.result import result_to_map

__all__ = ["TOKENS", "target"]

_SHA256 = "ab" * 32
_CONTEXT: dict[str, Any] = {
    name: {} for name in ("walls", "grades", "artifacts", "identity", "host")
}
_RESULT = result_to_map(not_started(**_CONTEXT))
_STATUS = {
    "job": "j", "state": "ended", "label": "l", "key": None, "priority": 0, "created_at": 1.5,
    "started_at": None, "ended_at": 2.5, "runs": 1, "result": _RESULT, "error": None,
    "stdout": {"bytes": 3, "is_complete": True, "data": b"abc"},
    "stderr": {"bytes": 9, "is_complete": True}, "artifacts": {"out": {"bytes": 2}},
}  # fmt: skip
_ERROR = {"code": "busy", "message": "m", "field": None, "retry_after_seconds": 0.5}
_PIECE = {"offset": 0, "data": b"ab", "is_end": False, "eof": True}
_USAGE = {"cpu_seconds": 1.0, "memory_bytes": 1, "processes": 1, "wall_seconds": 1.0}
_REPLIES: tuple[Any, ...] = (
    _STATUS, {**_STATUS, "state": "failed", "error": _ERROR, "result": None},
    {"jobs": [_STATUS]}, {"jobs": [{"job": "j", "state": "running", **_USAGE}]}, _PIECE, _ERROR,
    {"offset": 3, "is_complete": True}, {"offset": 0, "is_complete": False}, {"subscription": 1},
    {"sha256": _SHA256, "bytes": 3, "is_complete": True, "expires_at": 1.0}, {"text": "m"},
    {"blobs": [{"sha256": _SHA256, "bytes": 3, "is_complete": True}]}, {}, None,
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1 << 63, 1e308, float("nan"), "", "j", "\x1b[2J", b"\xff", [], {}, [[]],
    {"a": 1}, "x" * 300,
)  # fmt: skip
_CALLS: tuple[Callable[[], calls.Call], ...] = (
    lambda: calls.hello("t"), calls.info, calls.metrics, lambda: calls.drain(1.0), calls.reload,
    lambda: calls.blob_put(_SHA256, 3, 0, b"abc"), lambda: calls.blob_stat(_SHA256),
    lambda: calls.blob_list(None), lambda: calls.submit(["x"], {"key": "k"}),
    lambda: calls.pipeline([["x"], ["y"]], [(0, 1)], {"key": "k"}), lambda: calls.status("j"),
    lambda: calls.wait("j", 1.0), lambda: calls.read("j", "stdout", 0),
    lambda: calls.write("j", 0, b"a"), lambda: calls.jobs(None, None),
    lambda: calls.read_artifact("j", "out", 0), lambda: calls.stats(None),
)  # fmt: skip
TOKENS = MSGPACK_TOKENS
_CLOSED = DisconnectedError("the connection was closed")


def target(data: bytes) -> None:
    """Nothing but our own errors; and at the end nobody waits any more."""
    choices = Choices(data)
    choices.one_of([_converse, _operate])(choices)


def _converse(choices: Choices) -> None:
    conversation = Conversation(Channel())
    asked: list[tuple[calls.Call, Pending]] = []
    streams: list[Subscription] = []
    openings: list[Pending] = []  # of each stream
    failure: SandboxError = _CLOSED
    try:
        while not choices.is_over:
            _step(choices, conversation, asked, streams)
            openings += [pending for _, pending in asked[-1:] if len(openings) < len(streams)]
    except ProtocolError as error:
        failure = error
    conversation.fail(failure)
    for call, pending in asked:
        assert pending.is_over, "its caller waits for ever"
        _read(call, pending.result)
    for subscription, opening in zip(streams, openings, strict=True):
        is_read = not subscription.is_abandoned and not _fails(opening)
        assert subscription.is_over or not is_read, "its reader waits for ever"
        start = subscription.offset
        taken = _take_all(subscription)
        assert subscription.offset == start + taken


def _step(
    choices: Choices,
    conversation: Conversation,
    asked: list[tuple[calls.Call, Pending]],
    streams: list[Subscription],
) -> None:
    match choices.below(8):
        case 0:
            call = choices.one_of(_CALLS)()
            asked.append((call, conversation.call(call.method, call.params)))
        case 1:
            subscription = Subscription(choices.below(3), lambda: None)
            call = calls.open_stream("j", "stdout", subscription.offset, WINDOW_BYTES)
            pending = conversation.call(call.method, call.params, subscription=subscription)
            asked.append((call, pending))
            streams.append(subscription)
        case 2 if streams:
            conversation.unsubscribe(choices.one_of(streams))
        case 3 if streams:
            subscription = choices.one_of(streams)
            if subscription.is_ready:
                _read(None, subscription.take)
            conversation.grant(subscription)
        case 4:
            conversation.receive(choices.data(40))
        case 5:
            conversation.receive(_encoded([2, *_push(choices)]))
        case _:
            # To one that waits, or would have.
            msgid = choices.below(len(asked) + 2)
            error = _changed(choices, _ERROR) if choices.below(4) == 0 else None
            reply = {"subscription": choices.below(3)} if choices.flag() else _reply(choices)
            conversation.receive(_encoded([1, msgid, error, None if error else reply]))
    conversation.outgoing.clear()


def _push(choices: Choices) -> list[Any]:
    method = choices.one_of(["stream.data", "stream.data", "stream.end", "error", "other"])
    if method == "error":
        return [method, [_changed(choices, _ERROR)]]
    offset = choices.one_of([0, 1, 2, 3, choices.integer()])
    params: dict[str, Any] = {"subscription": choices.below(3), "offset": offset}
    params["data"] = b"a" * choices.one_of([0, 1, 2, 600_000])
    if choices.below(4) == 0:
        params["error"] = _changed(choices, _ERROR)
    return [method, [_changed(choices, params)] * choices.one_of([1, 1, 1, 2])]


def _operate(choices: Choices) -> None:
    """Operations of several calls: each ends, or goes on only while the server lets it."""
    steps: Any = choices.one_of(
        [
            lambda: operations.submit_job(["x"], {"stdin": b"s"}),
            lambda: operations.end_of("j", lambda: 0.0),
            lambda: operations.result_of("j", lambda: 0.0),
            lambda: operations.complete("j", lambda: 0.0),
            lambda: operations.upload(source_of_bytes(b"abc")),
            lambda: operations.write_all("j", None, b"abc", end=True),
        ]
    )()

    def ask(call: calls.Call) -> Any:
        if choices.is_over:
            raise _CLOSED
        found = _reply(choices)
        return call.read(msgpack.unpackb(msgpack.packb(found), use_list=False))

    _read(None, lambda: operations.carry_out(steps, ask))


def _read(call: calls.Call | None, result: Callable[[], Any]) -> None:
    try:
        value = result()
        if call is not None:
            value = call.read(value)
            if call.undo is not None:
                assert call.undo(value).method
    except SandboxError as error:
        assert str(error)


def _fails(pending: Pending) -> bool:
    try:
        pending.result()
    except SandboxError:
        return True
    return False


def _take_all(subscription: Subscription) -> int:
    taken = 0
    while subscription.is_ready:
        try:
            piece = subscription.take()
        except SandboxError:
            return taken
        if not piece:
            return taken
        taken += len(piece)
    return taken


def _reply(choices: Choices) -> Any:
    return _changed(choices, choices.one_of(_REPLIES))


def _changed(choices: Choices, value: Any) -> Any:
    """The value, perhaps with something in it that is not as it should be."""
    if choices.below(3) or not isinstance(value, dict) or not value:
        return value if choices.below(8) else choices.one_of(_ODD)
    key = choices.one_of(list(value))
    inner = value[key]
    if isinstance(inner, list) and inner:
        return {**value, key: [_changed(choices, inner[0]), *inner[1:]]}
    if choices.flag() and isinstance(inner, dict):
        return {**value, key: _changed(choices, inner)}
    match choices.below(3):
        case 0:
            return {other: item for other, item in value.items() if other != key}
        case 1:
            return {**value, choices.data(6): choices.one_of(_ODD)}
        case _:
            return {**value, key: choices.one_of(_ODD)}


def _encoded(message: Any) -> bytes:
    encoded: bytes = msgpack.packb(message)
    return encoded


if __name__ == "__main__":
    main("client", target, TOKENS)
