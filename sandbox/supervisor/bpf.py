"""Classic BPF for seccomp: one search tree over syscall numbers, with a return in each leaf.

The kernel evaluates a filter once a number when it is loaded (its bitmap of allowed calls), so a
short program is what makes loading cheap. seccomp(2), struct sock_filter in <linux/filter.h>.
"""

import struct
from collections.abc import Mapping

__all__ = ["replace_returned", "search_tree"]

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, k
_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4  # offsets in struct seccomp_data
_X32_BIT = 0x40000000  # asm/unistd.h: x32 calls bear the arch of x86_64 and this bit
_NEAR = 255  # conditional jumps have eight bits

Leaf = int | bytes  # a SECCOMP_RET_* value, or a program that decides by the arguments
_Line = tuple[int, int, int, int] | bytes  # an instruction, or a jump to that program


def search_tree(arch: int, leaves: Mapping[int, Leaf], otherwise: Leaf, foreign: int) -> bytes:
    """The filter that gives each syscall number its leaf, and `otherwise` to all other numbers.

    Calls of another architecture than `arch` (AUDIT_ARCH_*), x32 calls and negative numbers
    return `foreign`.
    """
    lines: list[_Line] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, foreign),
        (_LOAD, 0, 0, _NUMBER_AT),
        *_branch([*_ranges(leaves, otherwise), (_X32_BIT, foreign)]),
    ]
    programs = list(dict.fromkeys(line for line in lines if isinstance(line, bytes)))
    starts, end = {}, len(lines)
    for program in programs:
        starts[program] = end
        end += len(program) // _INSTRUCTION.size
    tree = b"".join(
        _INSTRUCTION.pack(_JUMP, 0, 0, starts[line] - at - 1)
        if isinstance(line, bytes)
        else _INSTRUCTION.pack(*line)
        for at, line in enumerate(lines)
    )
    return tree + b"".join(programs)


def replace_returned(program: bytes, old: int, new: int) -> bytes:
    """The same program, returning `new` wherever it returned `old`."""
    returns_old = _INSTRUCTION.pack(_RETURN, 0, 0, old)
    returns_new = _INSTRUCTION.pack(_RETURN, 0, 0, new)
    return b"".join(
        returns_new if line == returns_old else line
        for at in range(0, len(program), _INSTRUCTION.size)
        for line in (program[at : at + _INSTRUCTION.size],)
    )


def _ranges(leaves: Mapping[int, Leaf], otherwise: Leaf) -> list[tuple[int, Leaf]]:
    """(first number, leaf) of each run of numbers with the same leaf, in order, from 0."""
    ranges: list[tuple[int, Leaf]] = []
    for number in range(max(leaves, default=0) + 2):
        leaf = leaves.get(number, otherwise)
        if not ranges or ranges[-1][1] != leaf:
            ranges.append((number, leaf))
    return ranges


def _branch(ranges: list[tuple[int, Leaf]]) -> list[_Line]:
    if len(ranges) == 1:
        leaf = ranges[0][1]
        return [leaf if isinstance(leaf, bytes) else (_RETURN, 0, 0, leaf)]
    middle = len(ranges) // 2
    start = ranges[middle][0]
    below, above = _branch(ranges[:middle]), _branch(ranges[middle:])
    if len(below) <= _NEAR:
        return [(_JUMP_AT_LEAST, len(below), 0, start), *below, *above]
    return [(_JUMP_AT_LEAST, 0, 1, start), (_JUMP, 0, 0, len(below)), *below, *above]
