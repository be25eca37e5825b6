"""The program of an attack: our machine with the attack's script embedded. elf(5).

A static executable of some kilobytes, which needs no interpreter, library or compiler. The code is
that of init and stub (sandbox/inside/machine.py), entered where a script has been read already.
"""

from __future__ import annotations

import os
import struct

from sandbox.inside.machine import machine_image
from sandbox.inside.script import LATE_AT, MOST_LATE_BYTES, SCRIPT_AT

__all__ = ["CODE_AT", "MACHINES", "SCRIPT_OFFSET", "code_image", "script_image"]

CODE_AT = 0x400000
# Where the machine executes the entry that a register points to: `run` in its listing.
_RUN_AT = {"x86_64": 0x2AB, "aarch64": 0x2A4}
MACHINES = tuple(_RUN_AT)
_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
_PRELUDE_AT = 0x1E0  # between the headers and the code
_CODE_OFFSET = 0x200
SCRIPT_OFFSET = 0x10000  # as far from a page as SCRIPT_AT is, whatever the size of one
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD, _STACK = 1, 0x6474E551  # PT_LOAD, PT_GNU_STACK
_EXECUTE, _WRITE, _READ = 1, 2, 4


def script_image(script: bytes, machine: str = os.uname().machine) -> bytes:
    """The executable that makes the calls of a packed script."""
    plain = machine_image(machine)
    size = len(plain)
    segments = (
        (_LOAD, _READ | _EXECUTE, 0, CODE_AT, CODE_AT, size, size, 0x1000),
        (
            *(_LOAD, _READ | _WRITE, SCRIPT_OFFSET, SCRIPT_AT, SCRIPT_AT),
            *(len(script), LATE_AT + MOST_LATE_BYTES - SCRIPT_AT, 0x1000),
        ),
        (_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16),
    )
    image = _headers(CODE_AT + _PRELUDE_AT, segments, machine).ljust(_PRELUDE_AT, b"\0")
    image += _prelude(machine)
    image = image.ljust(_CODE_OFFSET, b"\0") + plain[_CODE_OFFSET:]
    return image.ljust(SCRIPT_OFFSET, b"\0") + script


def code_image(code: bytes, machine: str = os.uname().machine) -> bytes:
    """The executable of some instructions, for what no script can do."""
    size = _CODE_OFFSET + len(code)
    segments = (
        (_LOAD, _READ | _EXECUTE, 0, CODE_AT, CODE_AT, size, size, 0x1000),
        (_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16),
    )
    headers = _headers(CODE_AT + _CODE_OFFSET, segments, machine)
    return headers.ljust(_CODE_OFFSET, b"\0") + code


def _prelude(machine: str) -> bytes:
    """Point the machine at the first entry, behind the eight bytes that say how many follow."""
    first = SCRIPT_AT + 8
    if machine == "x86_64":  # mov ebx, first; jmp run
        return struct.pack("<BIBi", 0xBB, first, 0xE9, _RUN_AT[machine] - (_PRELUDE_AT + 10))
    return struct.pack(  # mov x19, #low; movk x19, #high, lsl 16; b run
        "<3I",
        0xD2800013 | (first & 0xFFFF) << 5,
        0xF2A00013 | (first >> 16) << 5,
        0x14000000 | (_RUN_AT[machine] - (_PRELUDE_AT + 8)) // 4,
    )


def _headers(entry: int, segments: tuple[tuple[int, ...], ...], machine: str) -> bytes:
    header = _HEADER.pack(
        *(b"\x7fELF\x02\x01\x01", 2, _ELF_MACHINE[machine], 1, entry, _HEADER.size, 0, 0),
        *(_HEADER.size, _SEGMENT.size, len(segments), 0, 0, 0),
    )
    return header + b"".join(_SEGMENT.pack(*segment) for segment in segments)
