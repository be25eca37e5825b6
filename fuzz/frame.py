"""The decoder: any bytes are messages or a ProtocolError, and chunks do not change which.

The first byte of an input says how the rest is cut; the cap on frames is 4 KiB.
"""

import msgpack

from fuzz.driver import MSGPACK_TOKENS as TOKENS
from fuzz.driver import main
from sandbox.spec.errors import ProtocolError
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, encode
from sandbox.wire.scan import Scanner

__all__ = ["TOKENS", "decode", "target"]


def target(data: bytes) -> None:
    """Decode whole and in pieces; hold each message, and the scanner, to msgpack itself."""
    stream = data[1:]
    messages, complaint = decode([stream])
    size = 1 + (data[0] if data else 0)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    chunked, chunked_complaint = decode(pieces)
    # Compared as text: NaN is not equal to itself.
    assert (repr(messages), complaint) == (repr(chunked), chunked_complaint)
    for message in messages:
        _compare_encoded(message)
    _compare_end(stream)
    if data[:1] and data[0] % 8 == 0:
        decode([stream + b"\xc0" * STRANGER_FRAME_BYTES])  # what it waits for must fit


def decode(
    chunks: list[bytes], most_bytes: int = STRANGER_FRAME_BYTES
) -> tuple[list[Message], str]:
    """The messages of a stream, and the complaint that ended it."""
    decoder = Decoder(most_bytes)
    messages: list[Message] = []
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            while (message := decoder.next_message()) is not None:
                messages.append(message)
            assert len(decoder._received) <= most_bytes
        decoder.end()
    except ProtocolError as error:
        assert str(error).isprintable()
        return messages, str(error)
    return messages, ""


def _compare_encoded(message: Message) -> None:
    try:
        encoded = encode(message)
    except UnicodeEncodeError:  # old raw that was no UTF-8
        return
    ((again,), complaint) = decode([encoded], FRAME_BYTES)  # a float of 4 bytes has 8 now
    assert (repr(again), complaint) == (repr(message), "")


def _compare_end(stream: bytes) -> None:
    try:
        end = Scanner(STRANGER_FRAME_BYTES).end(stream)
    except ProtocolError:
        return
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False)
    unpacker.feed(stream)
    try:
        unpacker.skip()
    except msgpack.OutOfData:
        assert end is None
    else:
        assert end == unpacker.tell()


if __name__ == "__main__":
    main("frame", target, TOKENS)
