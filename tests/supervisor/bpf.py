"""A small interpreter for the part of classic BPF that seccomp filters are made of."""

import functools
import struct
from typing import NamedTuple

__all__ = ["KILL_PROCESS", "Call", "run"]

KILL_PROCESS = 0x80000000
_ALL = 0xFFFFFFFF


class Call(NamedTuple):
    """struct seccomp_data, without the instruction pointer."""

    arch: int
    number: int
    arguments: tuple[int, ...] = (0,) * 6


def run(program: bytes, call: Call) -> int:
    """What the filter returns for `call`. Raises IndexError or ValueError on a broken program."""
    lines = _lines(program)
    words: list[int] | None = None
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = lines[at]
        at += 1
        if code == 0x15:  # jeq k
            at += if_true if accumulator == k else if_false
        elif code == 0x35:  # jge k
            at += if_true if accumulator >= k else if_false
        elif code == 0x20:  # ld [k]
            if words is None:
                words = _words(call)
            if k % 4:
                raise ValueError(f"a load from {k}, at {at - 1}")
            accumulator = words[k // 4]
        elif code == 0x06:  # ret k
            return k
        elif code == 0x54:  # and k
            accumulator &= k
        elif code == 0x05:  # ja k
            at += k
        elif code == 0x25:  # jgt k
            at += if_true if accumulator > k else if_false
        elif code == 0x45:  # jset k
            at += if_true if accumulator & k else if_false
        else:
            raise ValueError(f"instruction {code:#x} at {at - 1}")


@functools.lru_cache(64)
def _lines(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("=HBBI", program))


def _words(call: Call) -> list[int]:
    words = [call.number & _ALL, call.arch, 0, 0]
    for argument in (*call.arguments, 0, 0, 0, 0, 0, 0)[:6]:
        words += (argument & _ALL, argument >> 32)
    return words
