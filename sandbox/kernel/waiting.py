"""Waits that are shorter than the library's, which count in milliseconds."""

from __future__ import annotations

import ctypes
import struct

from sandbox.kernel.call import check, libc

__all__ = ["poll_briefly"]


def poll_briefly(fd: int, seconds: float) -> bool:
    """Whether `fd` becomes readable within less than a second, or a signal. ppoll(2)"""
    events = ctypes.create_string_buffer(struct.pack("ihh", fd, 1, 0), 8)  # POLLIN
    try:
        return bool(check(libc.ppoll(events, 1, struct.pack("qq", 0, int(seconds * 1e9)), None)))
    except InterruptedError:
        return False
