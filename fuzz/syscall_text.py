"""What a job is told to be killed for: the kernel's notification, whose registers are the job's.

An input is a struct seccomp_notif, or whatever is there of it.
"""

import struct

from fuzz.driver import main
from sandbox.supervisor.seccomp import ARCH, decode, syscall_name
from sandbox.supervisor.syscall_text import _SHAPES, syscall_text

__all__ = ["TOKENS", "target"]

_LAYOUT = struct.Struct("=QIIiIQ6Q")
_MOST_LENGTH = 1000  # of a line of evidence
_NAMES = sorted(_SHAPES)
TOKENS = (
    struct.pack("=iI", 101, ARCH), struct.pack("=iI", 16, ARCH), struct.pack("=iI", 56, ARCH),
    struct.pack("=iI", -1, ARCH), struct.pack("=i", 0x40000000), struct.pack("=I", 0x40000003),
    struct.pack("=Q", 0x5412), struct.pack("=Q", 0xDEAD00005412), bytes(8), b"\xff" * 8,
)  # fmt: skip


def target(data: bytes) -> None:
    """One printable line, which says the call and every register that it has a word for."""
    notification = data[: _LAYOUT.size].ljust(_LAYOUT.size, b"\0")
    violation = decode(notification)
    number, pid, _, syscall, arch, _, *registers = _LAYOUT.unpack(notification)
    assert (violation.id, violation.pid, violation.arch) == (number, pid, arch)
    assert violation.arguments == tuple(registers)
    assert violation.syscall == syscall_name(syscall)
    assert violation.text.startswith(f"{violation.syscall}(")
    for name in (violation.syscall, _NAMES[registers[0] % len(_NAMES)]):
        text = syscall_text(name, registers)
        assert text.isprintable() and len(text) < _MOST_LENGTH
        shown = text[len(name) + 1 : -1].split(", ") if text[-2] != "(" else []
        assert len(shown) == len(_SHAPES.get(name, range(6)))
        assert all(shown)


if __name__ == "__main__":
    main("syscall_text", target, TOKENS)
