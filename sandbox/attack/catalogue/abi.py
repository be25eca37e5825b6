"""Foreign ABIs: system calls by other numbers than those that a filter for this one knows."""

import struct

from sandbox.attack.attack import BARE, Attack, add, attack
from sandbox.attack.numbers import NUMBERS
from sandbox.attack.script import THROUGH, AttackScript
from sandbox.attack.targets import Targets

_KIND = "abi"
_X32 = 1 << 30


@attack(_KIND, BARE, machine="x86_64")
def x32(script: AttackScript, targets: Targets) -> None:
    """Calls getpid(2) by its number of the x32 ABI."""
    script.call_number(_X32 | NUMBERS["getpid"], "getpid")


@attack(_KIND, BARE, machine="x86_64")
def x32_exec(script: AttackScript, targets: Targets) -> None:
    """Calls execve(2) by its number of the x32 ABI, with the arguments of this one."""
    script.call_number(_X32 | 520, "execve", 0, 0, 0)


@attack(_KIND, BARE)
def unknown_number(script: AttackScript, targets: Targets) -> None:
    """Calls what no kernel has."""
    script.call_number(1000, "syscall_1000")


def _int80() -> bytes:
    """getpid(2) by int 0x80, then the usual way of saying that it got through."""
    code = bytes.fromhex("b814000000cd80")  # mov eax, 20; int 0x80
    code += bytes.fromhex("85c07e18")  # test eax, eax; jle the end
    code += bytes.fromhex("b801000000bf01000000488d3510000000ba")  # write(1, the text,
    code += struct.pack("<I", len(THROUGH)) + bytes.fromhex("0f05")  # its length)
    code += bytes.fromhex("b8e700000031ff0f05")  # exit_group(0)
    return code + THROUGH


def _nothing(script: AttackScript, targets: Targets) -> None:
    """The program is instructions of its own."""


add(
    Attack(
        "int80", _KIND, "Calls getpid(2) by the 32-bit ABI (int 0x80).", BARE, _nothing,
        code=_int80(),
    ),
    machine="x86_64",
)  # fmt: skip
