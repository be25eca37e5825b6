"""Where a msgpack value ends, and whether it may be unpacked: told from its headers alone."""

from __future__ import annotations

from sandbox.spec.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = ["MOST_DEPTH", "MOST_OBJECTS", "Scanner"]

MOST_DEPTH = 32  # arrays and maps within each other
MOST_OBJECTS = 1 << 16  # of every kind, keys and containers too


class _Header(NamedTuple):
    """What a first byte says. The number follows in `width` bytes, or is `number` if that is 0."""

    width: int = 0
    number: int = 0
    objects_each: int = 0  # 0: it counts bytes; 1: an array's items; 2: a map's pairs
    refusal: str = ""


def _headers() -> tuple[_Header, ...]:
    # https://github.com/msgpack/msgpack/blob/master/spec.md, "Formats"
    headers = [_Header()] * 256  # positive and negative fixint, nil, false, true: nothing follows
    for count in range(16):
        headers[0x80 + count] = _Header(number=count, objects_each=2)
        headers[0x90 + count] = _Header(number=count, objects_each=1)
    for count in range(32):
        headers[0xA0 + count] = _Header(number=count)
    headers[0xC1] = _Header(refusal="0xc1 begins no value")
    for first in (*range(0xC7, 0xCA), *range(0xD4, 0xD9)):
        headers[first] = _Header(refusal="ext types are not accepted")
    for first, width in ((0xC4, 1), (0xC5, 2), (0xC6, 4), (0xD9, 1), (0xDA, 2), (0xDB, 4)):
        headers[first] = _Header(width)  # bin and str
    for first, count in ((0xCA, 4), (0xCB, 8), *((0xCC + n, 1 << n % 4) for n in range(8))):
        headers[first] = _Header(number=count)  # floats and integers
    for first, width, objects_each in ((0xDC, 2, 1), (0xDD, 4, 1), (0xDE, 2, 2), (0xDF, 4, 2)):
        headers[first] = _Header(width, objects_each=objects_each)
    return tuple(headers)


_HEADERS = _headers()


class Scanner:
    """Walks the headers of one value while its bytes arrive; one number for each level of depth.

    Each header is judged by what must still come after it, an object being a byte at least: so
    what cannot be accepted is refused at the first header that says so, and never allocated.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._next = 0  # where the next header begins; the body before it may not be here yet
        self._pending = 1  # objects that are announced, and begin at or after `_next`
        self._objects = 1
        self._open: list[int] = []  # objects that each open container still lacks

    def end(self, received: bytes | bytearray) -> int | None:
        """How many bytes the value has, or None while `received`, all so far, is not all of it.

        Raises ProtocolError naming the offset: over `most_bytes`, MOST_OBJECTS or MOST_DEPTH, an
        ext type, or 0xc1.
        """
        while self._pending:
            at = self._next
            if at >= len(received):
                return None
            width, number, objects_each, refusal = _HEADERS[received[at]]
            if refusal:
                raise ProtocolError(f"byte {at}: {refusal}")
            body = at + 1 + width
            if width:
                if body > len(received):
                    return None
                number = int.from_bytes(received[at + 1 : body], "big")
            objects = number * objects_each
            self._next = body if objects_each else body + number
            self._pending += objects - 1
            self._objects += objects
            if self._next + self._pending > self._most_bytes:
                raise ProtocolError(f"byte {at}: over {self._most_bytes} bytes")
            if self._objects > MOST_OBJECTS:
                raise ProtocolError(f"byte {at}: over {MOST_OBJECTS} objects")
            self._nest(at, objects, is_container=objects_each > 0)
        return self._next if self._next <= len(received) else None

    def _nest(self, at: int, objects: int, *, is_container: bool) -> None:
        levels = self._open
        if is_container and len(levels) == MOST_DEPTH:
            raise ProtocolError(f"byte {at}: over {MOST_DEPTH} levels of arrays and maps")
        if objects:
            levels.append(objects)
            return
        while levels:  # the object is whole, and with it each container that it is the last of
            levels[-1] -= 1
            if levels[-1]:
                return
            levels.pop()
