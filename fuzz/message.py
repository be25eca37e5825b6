"""What is in a message: params by every typed reader, error objects, results.

An input is one value of msgpack: params, an error object or a result, whatever it looks like.
"""

from typing import Any

from fuzz.driver import MSGPACK_TOKENS as TOKENS
from fuzz.driver import main
from sandbox.spec.errors import ProtocolError, SandboxError, SpecError
from sandbox.wire.errors import InvalidParamsError, error_from_map, error_to_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Notification, Response, encode
from sandbox.wire.params import read_params
from sandbox.wire.result import result_from_map, result_to_map
from sandbox.wire.values import Fields

__all__ = ["TOKENS", "target", "value_of"]

_KEYS = ("job", "stream", "data", "offset", "wait_seconds", "eof", "ids", "options")


def target(data: bytes) -> None:
    """Each reader gives what it says or refuses, in printable words; what it took, it can send."""
    decoded = value_of(data)
    if decoded is None:
        return
    value = decoded[0]
    for params in ((value,), value if isinstance(value, tuple) else ()):
        try:
            with read_params(params, _KEYS) as fields:
                _read_all(fields)
        except InvalidParamsError as error:
            assert str(error).isprintable()
    _read_error(value)
    try:
        result = result_from_map(value)
    except ProtocolError as error:
        assert str(error).isprintable()
    else:
        again = value_of(encode(Response(1, None, result_to_map(result)))[4:])
        assert again is not None
        assert repr(result_from_map(again[0])) == repr(result)


def value_of(data: bytes) -> tuple[Any] | None:
    """The value that `data` begins with, read as part of a message; None if it is refused."""
    decoder = Decoder(FRAME_BYTES)
    decoder.feed(b"\x93\x02\xa1m\x91" + data)
    try:
        message = decoder.next_message()
    except ProtocolError:
        return None
    return message.params if isinstance(message, Notification) else None


def _read_all(fields: Fields) -> None:
    assert isinstance(fields.text("job", "", most_bytes=64), str)
    assert fields.choice("stream", ("stdout", "stderr"), "stdout") in ("stdout", "stderr")
    assert len(fields.data("data", b"", most_bytes=1024)) <= 1024
    assert 0 <= fields.integer("offset", 0) < 1 << 63
    assert 0 <= fields.number("wait_seconds", 0.0, least=0, most=60) <= 60
    assert fields.flag("eof", False) in (True, False)
    assert len(fields.array("ids", (), most_items=9)) <= 9
    Fields(fields.table("options", _KEYS, {}), _KEYS, "options").integer("offset", 0)


def _read_error(value: Any) -> None:
    try:
        error: SandboxError = error_from_map(value)
    except ProtocolError as refusal:
        assert str(refusal).isprintable()
        return
    again = error_from_map(error_to_map(error))
    assert type(again) is type(error)
    assert not isinstance(error, SpecError) or isinstance(again, SpecError)


if __name__ == "__main__":
    main("message", target, TOKENS)
