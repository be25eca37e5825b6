"""The program of an attack: our machine with the attack's script embedded. elf(5).

A static executable of some kilobytes, which needs no interpreter, library or compiler. The code is
that of init and stub (sandbox/inside/machine.py), entered where a script has been read already.
"""

from __future__ import annotations

import os
import struct

from sandbox.inside.machine import CODE_OFFSET, headers, machine_image
from sandbox.inside.script import SCRIPT_AT

__all__ = ["MACHINES", "SCRIPT_OFFSET", "code_image", "script_image"]

# Where the machine executes the entry that a register points to: `run` in its listing.
_RUN_AT = {"x86_64": 0x2AB, "aarch64": 0x2A4}
MACHINES = tuple(_RUN_AT)
_PRELUDE_AT = 0x1E0  # between the headers and the code
SCRIPT_OFFSET = 0x10000  # as far from a page as SCRIPT_AT is, whatever the size of one


def script_image(script: bytes, machine: str = os.uname().machine) -> bytes:
    """The executable that makes the calls of a packed script."""
    plain = machine_image(machine)
    image = headers(_PRELUDE_AT, len(plain), (SCRIPT_OFFSET, len(script)), machine)
    image = image.ljust(_PRELUDE_AT, b"\0")
    image += _prelude(machine)
    image = image.ljust(CODE_OFFSET, b"\0") + plain[CODE_OFFSET:]
    return image.ljust(SCRIPT_OFFSET, b"\0") + script


def code_image(code: bytes, machine: str = os.uname().machine) -> bytes:
    """The executable of some instructions, for what no script can do."""
    image = headers(CODE_OFFSET, CODE_OFFSET + len(code), None, machine)
    return image.ljust(CODE_OFFSET, b"\0") + code


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
