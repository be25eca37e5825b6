"""The loader: what a parked stub is. A program of some 300 bytes, which no memory is copied for.

When the stub, a fork of the zygote's interpreter, has raised every wall but the last, it executes
this. So an interpreter's pages are freed while a sandbox is parked, not while a job waits for its
exec, and a parked stub holds a few pages instead of a megabyte. The loader

1. takes the name that it was given as argv[0], by which init tells whether exec has happened,
2. sets close-on-exec on the report's fd, loads the job's filter, and reports LOCKED,
3. reads the job, executes it, and where that fails reports the errno.

From its filter on it needs read(2), write(2), execve(2) and exit_group(2) alone. Its code is in
loader_ARCH.S. An image is that code and the filter as a static executable, elf(5): no interpreter,
no relocation, nothing to resolve.
"""

from __future__ import annotations

import os
import struct

from sandbox.boundary.report import LISTENER_FD, Kind, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MOST_JOB_BYTES", "loader_image", "loader_job"]

MOST_JOB_BYTES = 32 << 20  # far above what execve(2) takes for arguments and environment

_CODE = {
    "x86_64": bytes.fromhex(
        "488b742408bf0f000000b89d0000000f05bf03000000be02000000ba01000000b8480000000f05be01000000"
        "b8480000000f05bd1700000083f8010f859f000000bf010000008b342500046000ba08046000b83d0100000f"
        "05bd1b0000003b0425040460007579be18046000e89900000041bc0000700041bd08000000e89a0000004c8b"
        "2c2500007000e88d000000488b1c25180070004531f6488b3b4885ff74344883c308488b342508007000488b"
        "142510007000b83b0000000f054585f6740c4183fe0274064183fe1475cc4189c641f7deebc4bd1c00000044"
        "89f0f7d8f7d8790231c0892c252c04600089042530046000be28046000e80c000000bf01000000b8e7000000"
        "0f05bf03000000ba10000000b8010000000f05c34d85ed741cbf030000004c89e64c89ea31c00f054885c07e"
        "c94901c44929c5ebdfc3"
    ),
    "aarch64": bytes.fromhex(
        "1c8080d21c0ca0f21b0ea0d2e10740f9e00180d2e81480d2010000d4600080d2410080d2220080d2280380d2"
        "010000d4600080d2210080d2010000d4f40280521f04007141040054200080d2810340b982230091a82280d2"
        "010000d474038052810740b91f00016b210300548163009121000094f5031baa160180d223000094760340f9"
        "21000094770f40f918008052e08640f8800100b4610740f9620b40f9a81b80d2010000d4b80000341f0b0071"
        "600000541f530071c1feff54f803004bf4ffff1794038052e003184be003004b4000f83600008052942f00b9"
        "803300b981a3009104000094200080d2c80b80d2010000d4600080d2020280d2080880d2010000d4c0035fd6"
        "760100b4600080d2e10315aae20316aae80780d2010000d41f0000f12dfeff54b502008bd60200cbf6ffff17"
        "c0035fd6"
    ),
}
_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
_LISTENER_FLAG = 8  # SECCOMP_FILTER_FLAG_NEW_LISTENER, seccomp(2)
_CODE_AT, _DATA_AT, _JOB_AT = 0x400000, 0x600400, 0x700000  # as the .S files have them
_DATA_OFFSET = 0x400  # in the file: code is before it
_FILTER = 64  # from the start of the data
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD, _STACK = 1, 0x6474E551  # PT_LOAD, PT_GNU_STACK
_EXECUTE, _WRITE, _READ = 1, 2, 4


def loader_image(program: bytes, *, notifies: bool) -> bytes:
    """The loader with this filter, struct sock_filter[]; with a listener, if it `notifies`."""
    machine = os.uname().machine
    code = _CODE[machine]
    data = struct.pack(
        "<IIH6xQ",
        _LISTENER_FLAG if notifies else 0,
        LISTENER_FD if notifies else 0,
        len(program) // 8,
        _DATA_AT + _FILTER,
    )
    data += Report(Kind.LOCKED).pack() + Report(Kind.FAILED).pack()
    data = data.ljust(_FILTER, b"\0") + program
    job_end = _JOB_AT + MOST_JOB_BYTES
    start = _HEADER.size + 3 * _SEGMENT.size
    header = _HEADER.pack(
        *(b"\x7fELF\x02\x01\x01", 2, _ELF_MACHINE[machine], 1, _CODE_AT + start),
        *(_HEADER.size, 0, 0, _HEADER.size, _SEGMENT.size, 3, 0, 0, 0),
    )
    size = start + len(code)
    segments = (
        (_LOAD, _READ | _EXECUTE, 0, _CODE_AT, _CODE_AT, size, size, 0x1000),
        (
            *(_LOAD, _READ | _WRITE, _DATA_OFFSET, _DATA_AT, _DATA_AT),
            *(len(data), job_end - _DATA_AT, 0x1000),
        ),
        (_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16),
    )
    image = header + b"".join(_SEGMENT.pack(*segment) for segment in segments) + code
    return image.ljust(_DATA_OFFSET, b"\0") + data


def loader_job(
    argv: Iterable[bytes], environment: Iterable[bytes], paths: Iterable[bytes]
) -> bytes:
    """What a loader reads: argv and "NAME=value" strings for whichever of `paths` is executed.

    That is how many bytes follow, and the memory that execve(2) is called with, pointers and all.
    Raises ValueError: a string holds a null byte, or it is all more than MOST_JOB_BYTES.
    """
    arrays = [tuple(argv), tuple(environment), tuple(paths)]
    strings = b"".join(text + b"\0" for array in arrays for text in array)
    if strings.count(b"\0") != sum(map(len, arrays)):
        raise ValueError("a string for execve holds a null byte")
    pointers: list[int] = []
    starts = []
    text_at = _JOB_AT + 8 * (1 + 3 + sum(len(array) + 1 for array in arrays))
    for array in arrays:
        starts.append(_JOB_AT + 8 * (1 + 3 + len(pointers)))
        for text in array:
            pointers.append(text_at)
            text_at += len(text) + 1
        pointers.append(0)
    body = struct.pack(f"<{3 + len(pointers)}Q", *starts, *pointers) + strings
    if 8 + len(body) > MOST_JOB_BYTES:
        raise ValueError("arguments and environment are too long for execve")
    return struct.pack("<Q", len(body)) + body
