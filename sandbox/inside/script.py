"""Scripts: the system calls that a sandbox's processes make, decided outside, call by call.

Nothing decides anything inside. A script is a table of calls with the result that each must have,
and the memory that they point to; the machine (machine.py) makes one call after the other, and ends
at the first that went otherwise. What a call would have to ask for is known ahead: a new fd is the
lowest that is free, the first process in a pid namespace is 1 and the second 2.
"""

from __future__ import annotations

import struct

from sandbox.kernel.numbers import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ANY", "AT_FDCWD", "EEXIST", "LATE_AT", "MOST_LATE_BYTES", "SCRIPT_AT", "SIGSET_BYTES",
    "Pointer", "Script",
]  # fmt: skip

ANY = -(1 << 63)  # the result of a call that may be anything but an error
# Where the machine loads them; to the second address a job, too.
SCRIPT_AT, LATE_AT = 0x700000, 0x800000
MOST_LATE_BYTES = 32 << 20  # of a job, far above what execve(2) takes for it
_MOST_BYTES = {SCRIPT_AT: LATE_AT - SCRIPT_AT, LATE_AT: MOST_LATE_BYTES}
AT_FDCWD = -100
EEXIST = 17
SIGSET_BYTES = 8  # of the kernel, not of libc

_ENTRY = struct.Struct("<IBBH6Qq")  # number, step, report fd, tolerated errno, arguments, result
_MASK = (1 << 64) - 1
# What the machine does beside system calls.
_FORK, _COMPARE, _NEXT, _RETURN, _COPY, _JOB, _SERVE, _AWAIT = range(0x80000001, 0x80000009)


class Pointer:
    """An address that is known when all of the script is: of its data, or of one of its entries."""

    def __init__(self, section: str, offset: int) -> None:
        self.section, self.offset = section, offset

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self.section, self.offset + offset)


class Script:
    """A script that is being written. Calls belong to the step that was begun last."""

    def __init__(self, report_fd: int, open_fds: Iterable[int], at: int = SCRIPT_AT) -> None:
        """`open_fds`: of the process that makes the first call. `at`: SCRIPT_AT or LATE_AT."""
        self.step = 0
        self.report_fd = report_fd  # where a failure is told
        self._at = at
        self._fds = set(open_fds)
        self._entries: list[tuple[int, int, int, int, tuple[int | Pointer, ...], int]] = []
        self._data = bytearray()
        self._space = 0  # bytes behind the data
        self._strings: dict[bytes, Pointer] = {}
        self._pointers: list[tuple[int, Pointer]] = []  # in the data: where, and to what

    def call(
        self, name: str, *arguments: int | bytes | Pointer, result: int = ANY, tolerated: int = 0
    ) -> None:
        """Make a system call, which builds a wall or prepares for it; bytes are a string.

        It must have this result, or fail with the tolerated errno.
        """
        self._add(NUMBERS[name], arguments, result, tolerated)

    def check(self, name: str, *arguments: int | bytes | Pointer, result: int = ANY) -> None:
        """Make a system call that asks the kernel whether the wall of this step stands."""
        self._add(NUMBERS[name], arguments, result)

    def open(self, name: str, *arguments: int | bytes | Pointer) -> int:
        """Make a system call that opens an fd; its number."""
        fd = self.lowest_fd()
        self.call(name, *arguments, result=fd)
        self._fds.add(fd)
        return fd

    def close(self, *fds: int) -> None:
        """Close these."""
        for fd in fds:
            self.call("close", fd)
            self._fds.discard(fd)

    def close_all_but(self, *fds: int) -> None:
        """Close every other one, open or not; these are open."""
        low = 0
        for fd in (*sorted(fds), 0x100000000):
            if low < fd:
                self.call("close_range", low, fd - 1, 0)
            low = fd + 1
        self._fds = set(fds)

    def take_fds(self, count: int) -> list[int]:
        """The numbers of fds that come in with a message."""
        taken = []
        for _ in range(count):
            taken.append(self.lowest_fd())
            self._fds.add(taken[-1])
        return taken

    def open_fds(self) -> frozenset[int]:
        """What is open at this point."""
        return frozenset(self._fds)

    def lowest_fd(self) -> int:
        """What the next open fd will be."""
        return next(fd for fd in range(len(self._fds) + 1) if fd not in self._fds)

    def expect(self, found: Pointer, expected: bytes) -> None:
        """What the kernel has written there must be this."""
        self._add(_COMPARE, (found, self.data(expected), len(expected)), 0)

    def fork(self, arguments: Pointer, size: int, child: Pointer, pid: int) -> None:
        """clone3(2); the child goes on at another entry, in a memory of its own."""
        self._add(_FORK, (arguments, size, child), pid)

    def await_byte(self, fd: int) -> None:
        """Wait for one byte, or end quietly where nobody is left to send it."""
        self._add(_AWAIT, (fd, self.space(8), 1), 0)

    def load_next(self, fd: int, *, returns: bool) -> None:
        """Go on with a script that comes on `fd`; `returns`: what it ends with leads back here."""
        back = Pointer("entries", len(self._entries) + 1) if returns else 0
        self._add(_NEXT, (fd, LATE_AT, back), 0)

    def end(self) -> None:
        """Return to the script that has loaded this one."""
        self._add(_RETURN, (), 0)

    def copy(self, from_fd: int, to_fd: int, size: int) -> None:
        """Copy so many bytes."""
        self._add(_COPY, (from_fd, to_fd, size, self.space(1 << 16)), 0)

    def execute_job(self, fd: int) -> None:
        """Read a job (machine.py) from `fd` and execute it."""
        self._add(_JOB, (fd,), 0)

    def serve(self, *arguments: int | Pointer) -> None:
        """Be pid 1 from here on (init.py)."""
        self._add(_SERVE, arguments, 0)

    def label(self) -> Pointer:
        """An entry that is written later, from `place` on."""
        return Pointer("entries", -1)

    def place(self, label: Pointer, open_fds: Iterable[int]) -> None:
        """What comes next is what the label stands for; it begins with these fds."""
        label.offset = len(self._entries)
        self._fds = set(open_fds)

    def data(self, content: bytes) -> Pointer:
        """Memory with this in it; the same for the same bytes."""
        if content not in self._strings:
            self._strings[content] = self.memory(content)
        return self._strings[content]

    def memory(self, content: bytes) -> Pointer:
        """Memory of its own."""
        self._data += bytes(-len(self._data) % 8)
        start = len(self._data)
        self._data += content
        return Pointer("data", start)

    def point(self, at: Pointer, to: Pointer) -> None:
        """Have a pointer in the data."""
        self._pointers.append((at.offset, to))

    def space(self, size: int) -> Pointer:
        """Empty memory."""
        start = self._space
        self._space += size + -size % 8
        return Pointer("space", start)

    def offset(self, pointer: Pointer) -> int:
        """Where this memory is in the packed script, for who changes it there."""
        return self._address(pointer) - self._at

    def pack(self) -> bytes:
        """The script as the machine reads it: how many bytes follow, the entries, the data.

        Raises ValueError: with the space behind, it would reach out of its memory.
        """
        end = self._address(Pointer("space", self._space)) - self._at
        if end > _MOST_BYTES[self._at]:
            raise ValueError(f"a script of {end} bytes; there is room for {_MOST_BYTES[self._at]}")
        for at, pointer in self._pointers:
            struct.pack_into("<Q", self._data, at, self._address(pointer))
        packed = bytearray()
        for number, step, report_fd, tolerated, arguments, result in self._entries:
            values = [self._address(a) if isinstance(a, Pointer) else a & _MASK for a in arguments]
            values += [0] * (6 - len(values))
            packed += _ENTRY.pack(number, step, report_fd, tolerated, *values, result)
        return struct.pack("<Q", len(packed) + len(self._data)) + packed + self._data

    def _add(
        self,
        number: int,
        arguments: Iterable[int | bytes | Pointer],
        result: int,
        tolerated: int = 0,
    ) -> None:
        plain = tuple(self.data(a + b"\0") if isinstance(a, bytes) else a for a in arguments)
        self._entries.append((number, self.step, self.report_fd, tolerated, plain, result))

    def _address(self, pointer: Pointer) -> int:
        if pointer.section == "entries":
            return self._at + 8 + pointer.offset * _ENTRY.size
        data_at = self._at + 8 + len(self._entries) * _ENTRY.size
        if pointer.section == "data":
            return data_at + pointer.offset
        return data_at + len(self._data) + -len(self._data) % 8 + pointer.offset
