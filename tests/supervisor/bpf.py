"""A small interpreter for the part of classic BPF that seccomp filters are made of."""

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
    padded = (*call.arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("=iIQ6Q", _signed(call.number), call.arch, 0, *padded)
    lines = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = lines[at]
        at += 1
        if code == 0x06:  # ret k
            return k
        if code == 0x20:  # ld [k]
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif code == 0x54:  # and k
            accumulator &= k
        elif code == 0x05:  # ja k
            at += k
        elif code in _JUMPS:
            at += if_true if _JUMPS[code](accumulator, k) else if_false
        else:
            raise ValueError(f"instruction {code:#x} at {at - 1}")


_JUMPS = {
    0x15: lambda a, k: a == k,
    0x25: lambda a, k: a > k,
    0x35: lambda a, k: a >= k,
    0x45: lambda a, k: bool(a & k),
}


def _signed(number: int) -> int:
    return (number & _ALL ^ 0x80000000) - 0x80000000
