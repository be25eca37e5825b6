"""What the kernel asks of a seccomp filter before it takes it, and what a filter then decides.

bpf_check_classic() in net/core/filter.c and seccomp_check_filter() in kernel/seccomp.c, for the
instructions that our compiler writes; any other is refused here.
"""

import struct
from collections.abc import Sequence

__all__ = ["check", "decide"]

_LOAD, _AND, _RETURN, _JUMP, _EQUAL, _AT_LEAST = 0x20, 0x54, 0x06, 0x05, 0x15, 0x35
_DATA_BYTES = 64  # struct seccomp_data
_MOST_INSTRUCTIONS = 4096

Lines = Sequence[tuple[int, int, int, int]]


def check(program: bytes) -> Lines:
    """Its instructions, if the kernel would take it: code, jump if true, jump if false, k."""
    assert 0 < len(program) <= 8 * _MOST_INSTRUCTIONS and len(program) % 8 == 0
    lines = list(struct.iter_unpack("=HBBI", program))
    last = len(lines) - 1
    for at, (code, if_true, if_false, k) in enumerate(lines):
        assert code in (_LOAD, _AND, _RETURN, _JUMP, _EQUAL, _AT_LEAST), f"{code:#x} at {at}"
        if code == _LOAD:
            assert k % 4 == 0 and k < _DATA_BYTES, f"a load from {k} at {at}"
        if code in (_EQUAL, _AT_LEAST):
            assert at + 1 + max(if_true, if_false) <= last, f"a jump beyond the end at {at}"
        if code == _JUMP:
            assert at + 1 + k <= last, f"a jump beyond the end at {at}"
    assert lines[last][0] == _RETURN
    return lines


def decide(lines: Lines, arch: int, number: int, arguments: Sequence[int]) -> int:
    """What it returns for a call."""
    words = [number & 0xFFFFFFFF, arch, 0, 0]
    for argument in arguments:
        words += (argument & 0xFFFFFFFF, argument >> 32)
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = lines[at]
        at += 1
        if code == _RETURN:
            return k
        if code == _LOAD:
            accumulator = words[k // 4]
        elif code == _AND:
            accumulator &= k
        elif code == _JUMP:
            at += k
        else:
            holds = accumulator == k if code == _EQUAL else accumulator >= k
            at += if_true if holds else if_false
