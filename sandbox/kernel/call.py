"""The one way into the kernel that the Python library does not offer: libc, checked."""

from __future__ import annotations

import ctypes
import os

from sandbox.kernel.numbers import NUMBERS

__all__ = ["check", "libc", "syscall"]

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def check(value: int, *context: bytes) -> int:
    """The value of a libc call, or the OSError it stands for; `context` is the path concerned."""
    if value < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), *context)
    return value


def syscall(name: str, *arguments: object, path: bytes | None = None) -> int:
    """Make one system call by number. Plain integers are passed as 64 bits.

    Raises OSError with the call's errno, and `path` as its file name. syscall(2).
    """
    # c_long on every integer: ctypes passes a bare int as 32 bits, syscall(2) reads 64.
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    value = libc.syscall(ctypes.c_long(NUMBERS[name]), *wide)
    return check(value, *(() if path is None else (path,)))
