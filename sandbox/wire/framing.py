"""Bytes in, messages out. No socket, no clock, no task."""

from __future__ import annotations

import msgpack

from sandbox.spec.errors import ProtocolError
from sandbox.spec.fields import shown
from sandbox.wire.messages import Message, message_from, text_from_wire
from sandbox.wire.scan import Scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["FRAME_BYTES", "STRANGER_FRAME_BYTES", "Decoder"]

STRANGER_FRAME_BYTES = 4 << 10  # before the peer is authenticated
FRAME_BYTES = 1 << 20

_MOST_KEY_LENGTH = 4 << 10  # looking for the nearest known key takes time, and a path is no longer
_ARRAYS = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))


class Decoder:
    """Cuts a byte stream into messages. How the stream was chunked never shows in the outcome.

    It holds one frame and one chunk at most, if `next_message` is drained between two feeds. Text
    may be str of msgpack, or the raw of older clients; one that is no UTF-8 has its odd bytes as
    lone surrogates (PEP 383). Keys of maps are text, str and bin alike. Arrays are tuples.
    """

    def __init__(self, most_bytes: int = STRANGER_FRAME_BYTES) -> None:
        self._received = bytearray()  # begins where the frame does
        self._start = 0
        self._most_bytes = most_bytes
        self._scanner = Scanner(most_bytes)
        self._failure = ""

    def accept(self, most_bytes: int) -> None:
        """Let frames have so many bytes, from the next one on: the peer has said who it is.

        To be called between two messages, before `next_message` is asked for the larger one.
        """
        self._most_bytes = most_bytes
        self._scanner = Scanner(most_bytes)  # nothing is lost: it walks the headers again

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add received bytes. After a ProtocolError they are dropped."""
        if not self._failure:
            self._received += data

    def next_message(self) -> Message | None:
        """One whole message, or None until more bytes come.

        Raises ProtocolError naming the message's byte in the stream, and the byte within the
        message where a header told; from then on every call raises the same.
        """
        if self._failure:
            raise ProtocolError(self._failure)
        try:
            end = self._end()
            if end is None:
                return None
            with memoryview(self._received) as received, received[:end] as frame:
                message = message_from(_unpack(frame))
        except ProtocolError as error:
            raise self._fail(str(error)) from error
        del self._received[:end]
        self._start += end
        self._scanner = Scanner(self._most_bytes)
        return message

    @property
    def held_bytes(self) -> int:
        """How much is there of a message that is not whole yet, once `next_message` gave None."""
        return len(self._received)

    def end(self) -> None:
        """Note that the stream has ended. Raises ProtocolError if that cuts a message."""
        if self._received and not self._failure:
            raise self._fail(f"the stream ended after {len(self._received)} bytes of it")

    def _end(self) -> int | None:
        if self._received and self._received[0] not in _ARRAYS:
            # What speaks another protocol is told so at once, not after a frame's worth of it.
            raise ProtocolError("byte 0: no array, so no message of MessagePack-RPC")
        return self._scanner.end(self._received)

    def _fail(self, problem: str) -> ProtocolError:
        self._failure = f"message at byte {self._start}: {problem}; the connection is closed"
        self._received = bytearray()
        return ProtocolError(self._failure)


def _unpack(frame: memoryview) -> Any:
    try:
        return msgpack.unpackb(
            frame,
            use_list=False,
            unicode_errors="surrogateescape",  # old raw may be bytes: their reader wants them back
            strict_map_key=False,  # _table is stricter
            object_pairs_hook=_table,
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ProtocolError(str(error)) from error


def _table(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for sent, value in pairs:
        key = text_from_wire(sent)
        if not isinstance(key, str) or len(key) > _MOST_KEY_LENGTH:
            raise ValueError(f"the key {shown(key)} of a map is no text, or is long")
        if key in table:
            raise ValueError(f"the key {shown(key)} comes twice in a map")
        table[key] = value
    return table
