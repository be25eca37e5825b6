"""The machine: the one program of ours that runs in a sandbox. It executes scripts (script.py).

Some thousand bytes, which no memory is copied for: init is an exec of it, the stub a fork of that,
and a parked sandbox holds a few pages. Its code is in machine_ARCH.S. An image is that code as a
static executable, elf(5): no interpreter, no relocation, nothing to resolve.

It also holds what the zygote calls to be another process: from a fork of an interpreter, a sandbox
would begin with a megabyte of copied pages.
"""

from __future__ import annotations

import os
import struct

from sandbox.inside.script import LATE_AT, MOST_LATE_BYTES, SCRIPT_AT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CODE_AT", "CODE_OFFSET", "SPAWN_AT", "headers", "machine_image", "machine_job"]

_CODE = {
    "x86_64": bytes.fromhex(
        "4989c84189d1b8b30100000f054885c07401c34589cc4d89c54c89ef498d7508b87e0000000f054885c0784c"
        "4d8d7520410fb61681faff000000742149ffc6bf2f000000be020000004531d24531c0b89d0000000f054885"
        "c0781debd34489e7498d7540498d55384989d241b800100000b8420100000f0549894530bf01000000b8e700"
        "00000f05bd0400000041bc0000700041b908000000e8aa0000004c89e34d8b4c24f8e89d0000008b0385c00f"
        "88b2000000e8750000000f05483b433874230fb7530648f7da74054839d074154885c0781648ba0000000000"
        "000080483b533875064883c340ebc0f7d8790231c00fb64b044883ec10c7042401000000894c240489442408"
        "c744240c000000000fb67b054889e6ba10000000b8010000000f05bf01000000b8e70000000f05488b7b0848"
        "8b7310488b53184c8b53204c8b43284c8b4b30c34d85c9741989ef4c89e64c89ca31c00f054885c07ec54901"
        "c44929c1ebe2c3e8c3ffffff3c0174323c02744c3c03745a3c04746c3c0574703c060f84c10000003c070f84"
        "2801000089fd4989f44989d1e8abffffffe943ffffffb8b30100004989d40f054989c64885c00f8504ffffff"
        "4c89e3e9ebfeffff4889d1f3a60f841affffff31c0e919ffffff89fd4989f44885d20f84b3feffff4989d7e9"
        "abfeffff4c89fbe9bbfeffff4989d44d89d54d85e40f84e6feffff488b7b084c89eeba000001004c39e2490f"
        "47d431c00f054885c00f8e04ffffff4929c44989c14c89ee488b7b104c89cab8010000000f054885c00f88ac"
        "feffff4801c64929c175e1ebad89fd41bc0000800041b908000000e8ecfeffff4c8b0c2500008000e8dffeff"
        "ff4c8b2425180080004531f6498b3c244489f04885ff0f846dfeffff4983c408488b342508008000488b1425"
        "10008000b83b0000000f054585f6740c4183fe0274064183fe1475c44189c641f7deebbc4989df4c89cd4889"
        "efbe0200000031d24531d2b80f0100000f0566837d0e0074108b7d08488d7560ba8000000031c00f0566837d"
        "0600745748c74538100400008b7d00488d7510ba00010040b82f0000000f054883f8080f850efeffff4c8b4d"
        "584d85c974184c8b63284983c4088b6d004c89e3e817feffffe975fdffffbfffffffffbe09000000b83e0000"
        "000f054531e431ff31f6488d556041ba050000014531c0b8f70000000f054885c00f88ae0000008b7d7085ff"
        "0f84b20000004439f70f85840000004531f64183cc018b45688b55788995f8000000c785fc00000001000000"
        "31c983f8010f95c1898df400000009d17455bf9cffffff488b7318ba000008004531d2b8010100000f054189"
        "c089c7488db5e0000000ba1000000031c00f054489c7b8030000000f05488b7320488dbde0000000b9100000"
        "00f3a6750ac785fc000000000000008b7d7031f631d24531d2b83d0000000f05e931ffffff4585ed750a41bd"
        "010000004183cc024585e40f847afcffff488db5f0000000ba100000004183fc027215488db500010000740c"
        "488db5f0000000ba200000008b7d00b8010000000f05e944fcffff"
    ),
    "aarch64": bytes.fromhex(
        "e903022aea0303aa683680d2010000d4400000b4c0035fd6e0030aaa41210091680b80d2010000d48002f8b7"
        "4b810091621540385ffc037120010054e00580d2410080d2030080d2040080d2e81480d2010000d42001f8b7"
        "f6ffff17e003092a4101019142e10091e30302aa040082d2282380d2010000d4401900f9200080d2c80b80d2"
        "010000d494008052150ea0d2160180d229000094f30315aab6825ff826000094680240b90806f8371f000094"
        "010000d4691e40f91f0009eb200100546a0e40796a0000341f000aaba0000054c000f8b70a00f0d23f010aeb"
        "6100005473020191f0ffff17e003004b4000f8360000805269124039ff4300d12a008052ea270029e07f0129"
        "60164039e1030091020280d2080880d2010000d4200080d2c80b80d2010000d4608640a9628e41a9649642a9"
        "c0035fd6760100b4e003142ae10315aae20316aae80780d2010000d41f0000f14dfeff54b502008bd60200cb"
        "f6ffff17c0035fd6f0ffff97081d00121f050071400200541f090071e00200541f0d0071a00300541f110071"
        "000400541f150071000400541f190071a00600541f1d007140090054f403002af50301aaf60302aae1ffff97"
        "caffff17683680d2fb0302aa010000d4f803002a40f7ffb5f3031baab4ffff1742f8ffb4091440382a144038"
        "420400d13f010a6b60ffff54000080d2bdffff17f403002af50301aa82f4ffb4f90302aaa2ffff17f30319aa"
        "a5ffff17fb0302aafc0303aa3bf6ffb4600640f9e1031caa2200a0d25f001beb6283829ae80780d2010000d4"
        "1f0000f1edf6ff547b0300cbf60300aa600a40f9e20316aa080880d2010000d460f4ffb72100008bd60200eb"
        "21ffff54ecffff17f403002a1510a0d2fc0315aa160180d2aeffff97960340f9acffff979b0f40f918008052"
        "698740f8e003182ac9f2ffb4e00309aa818b40a9a81b80d2010000d4b80000341f0b0071600000541f530071"
        "a1feff54f803004bf3ffff17f90313aafa0305aae0031aaa410080d2020080d2030080d2280980d2010000d4"
        "491f4079c9000034400b40b941830191021080d2e80780d2010000d4490f4079e9020034098280d2491f00f9"
        "400340b941430091022080520200a872881a80d2010000d41f2000f141efff54562f40f9f60000b4751640f9"
        "b5220091540340b9f30315aa7affff9754ffff1700008092210180d2281080d2010000d41b008052000080d2"
        "010080d242830191a30080520320a072040080d2e80b80d2010000d48005f8b7497340b9a90500343f01186b"
        "21040054180080527b030032496b40b94a7b40b93f050071e9079f1a2b00805249ab1e294bff00b929010a2a"
        "c9020034600c8092610e40f90201a0d2030080d2080780d2010000d4fc03002a41830391020280d2e80780d2"
        "010000d4e0031c2a280780d2010000d4691240f92a2d40a94c374ea95f010ceb60014dfa410000545fff00b9"
        "407340b9010080d2020080d2030080d2882080d2010000d4cdffff1777000035370080527b031f32fbe2ff34"
        "41c30391020280d27f0b0071a3000054410304916000005441c30391020480d2400340b9080880d2010000d4"
        "0bffff17"
    ),
}
_START = {"x86_64": 0x88, "aarch64": 0x88}  # where it starts, behind what the zygote calls
_ELF_MACHINE = {"x86_64": 62, "aarch64": 183}
CODE_AT = 0x400000
CODE_OFFSET = 0x200  # in the file
SPAWN_AT = CODE_OFFSET  # what the zygote calls comes first
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_LOAD, _STACK = 1, 0x6474E551  # PT_LOAD, PT_GNU_STACK
_EXECUTE, _WRITE, _READ = 1, 2, 4


def machine_image(machine: str = os.uname().machine) -> bytes:
    """The executable."""
    code = _CODE[machine]
    image = headers(CODE_OFFSET + _START[machine], CODE_OFFSET + len(code), (0, 0), machine)
    return image.ljust(CODE_OFFSET, b"\0") + code


def headers(start: int, size: int, script: tuple[int, int] | None, machine: str) -> bytes:
    """Of an executable whose first `size` bytes are code, entered at its byte `start`. `script`:
    where in the file one begins, and its bytes, for the memory that scripts have; None: no such.
    """
    segments = [(_LOAD, _READ | _EXECUTE, 0, CODE_AT, CODE_AT, size, size, 0x1000)]
    if script is not None:
        most = LATE_AT + MOST_LATE_BYTES - SCRIPT_AT
        segments.append(
            (_LOAD, _READ | _WRITE, script[0], SCRIPT_AT, SCRIPT_AT, script[1], most, 0x1000)
        )
    segments.append((_STACK, _READ | _WRITE, 0, 0, 0, 0, 0, 16))
    header = _HEADER.pack(
        *(b"\x7fELF\x02\x01\x01", 2, _ELF_MACHINE[machine], 1, CODE_AT + start, _HEADER.size),
        *(0, 0, _HEADER.size, _SEGMENT.size, len(segments), 0, 0, 0),
    )
    return header + b"".join(_SEGMENT.pack(*segment) for segment in segments)


def machine_job(
    argv: Iterable[bytes], environment: Iterable[bytes], paths: Iterable[bytes]
) -> bytes:
    """What a parked machine reads: argv and "NAME=value" strings for whichever of `paths` is
    executed.

    That is how many bytes follow, and the memory that execve(2) is called with, pointers and all.
    Raises ValueError: a string holds a null byte, or it is all more than MOST_LATE_BYTES.
    """
    arrays = [tuple(argv), tuple(environment), tuple(paths)]
    strings = b"".join(text + b"\0" for array in arrays for text in array)
    if strings.count(b"\0") != sum(map(len, arrays)):
        raise ValueError("a string for execve holds a null byte")
    pointers: list[int] = []
    starts = []
    text_at = LATE_AT + 8 * (1 + 3 + sum(len(array) + 1 for array in arrays))
    for array in arrays:
        starts.append(LATE_AT + 8 * (1 + 3 + len(pointers)))
        for text in array:
            pointers.append(text_at)
            text_at += len(text) + 1
        pointers.append(0)
    body = struct.pack(f"<{3 + len(pointers)}Q", *starts, *pointers) + strings
    if 8 + len(body) > MOST_LATE_BYTES:
        raise ValueError("arguments and environment are too long for execve")
    return struct.pack("<Q", len(body)) + body
