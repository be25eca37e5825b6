"""Scripts that remember what they were told to hold, so that their memory can be checked.

The layout is worked out here once more: entries, then data, then space.
"""

import contextlib
import struct
from collections.abc import Iterator
from typing import Any

from sandbox.inside import init, late
from sandbox.inside.script import LATE_AT, MOST_LATE_BYTES, SCRIPT_AT, Pointer, Script

__all__ = ["KeptScript", "check_memory", "kept_scripts"]

_ENTRY = struct.Struct("<IBBH6Qq")
_COMPARE = 0x80000002
_ENDS = {SCRIPT_AT: LATE_AT, LATE_AT: LATE_AT + MOST_LATE_BYTES}  # of each script's memory


class KeptScript(Script):
    """A script that remembers what it was told to hold."""

    written: list["KeptScript"]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.pieces: dict[str, list[tuple[int, int]]] = {"data": [], "space": []}
        self.calls: list[tuple[Any, ...]] = []
        KeptScript.written.append(self)

    def memory(self, content: bytes) -> Pointer:
        pointer = super().memory(content)
        self.pieces["data"].append((pointer.offset, len(content)))
        return pointer

    def space(self, size: int) -> Pointer:
        pointer = super().space(size)
        self.pieces["space"].append((pointer.offset, size))
        return pointer

    def _add(self, number: int, arguments: Any, result: int, tolerated: int = 0) -> None:
        arguments = tuple(arguments)
        super()._add(number, arguments, result, tolerated)
        self.calls.append((number, arguments))


@contextlib.contextmanager
def kept_scripts() -> Iterator[list[KeptScript]]:
    """Inside, all that is written is one of these; they are in the list."""
    KeptScript.written = []
    init.Script = late.Script = KeptScript  # type: ignore[misc]
    try:
        yield KeptScript.written
    finally:
        init.Script = late.Script = Script  # type: ignore[misc]


def check_memory(script: KeptScript, packed: bytes) -> None:
    """Every pointer leads to what it was made for, and all of that is in the script's memory."""
    at, count = script._at, len(script.calls)
    assert struct.unpack_from("<Q", packed)[0] == len(packed) - 8
    bases = {"entries": at + 8, "data": at + 8 + 64 * count, "space": at + -(-len(packed) // 8) * 8}
    ends = [bases["space"] + start + size for start, size in script.pieces["space"]]
    assert max(ends, default=at + len(packed)) <= _ENDS[at], "it reaches behind its memory"
    _check_pieces(script, len(packed) - 8 - 64 * count)
    found = _ENTRY.iter_unpack(packed[8 : 8 + 64 * count])
    for (number, asked), (packed_number, _, _, _, *values, _) in zip(
        script.calls, found, strict=True
    ):
        assert number == packed_number
        for argument, value in zip(asked, values, strict=False):
            if isinstance(argument, bytes):
                assert packed.startswith(argument + b"\0", value - at)
            elif isinstance(argument, Pointer):
                scale = 64 if argument.section == "entries" else 1
                assert value == bases[argument.section] + scale * argument.offset
            else:
                assert value == argument & (1 << 64) - 1
        if number == _COMPARE:
            for pointer in asked[:2]:
                assert asked[2] <= _room(script, pointer), "it compares what is not its own"
    for place, pointer in script._pointers:
        (value,) = struct.unpack_from("<Q", packed, bases["data"] - at + place)
        assert value == bases[pointer.section] + pointer.offset


def _check_pieces(script: KeptScript, data_bytes: int) -> None:
    """No two are one over the other, and all data is there."""
    for section, pieces in script.pieces.items():
        end = 0
        for start, size in pieces:
            assert start >= end and start % 8 == 0, f"two pieces of {section} overlap"
            end = start + size
        assert section == "space" or end <= data_bytes


def _room(script: KeptScript, pointer: Pointer) -> int:
    """How many bytes there are from the pointer to the end of what it points into."""
    return max(
        start + size - pointer.offset
        for start, size in script.pieces[pointer.section]
        if start <= pointer.offset <= start + size
    )
