"""Attacks as scripts of our machine: each call is known beforehand, with the result it must have.

A script of an attack is embedded in its program (image.py). It ends by saying that it got through,
or at the first call that went otherwise, with that call's step and errno, both on stdout.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sandbox.attack.numbers import NUMBERS
from sandbox.boundary.report import REPORT_BYTES, Kind, Report
from sandbox.inside.script import ANY, AT_FDCWD, Pointer, Script

__all__ = ["ANY", "AT_FDCWD", "THROUGH", "AttackScript", "Made", "Stop", "read_output"]

THROUGH = b"got through\n"
_STDOUT = 1
_MOST_STEPS = 255  # a step is a byte of an entry
_MASK = (1 << 64) - 1

_Argument = int | bytes | Pointer


class Made(NamedTuple):
    """One step of an attack: a call, or one that is made again and again."""

    call: str
    arguments: list[tuple[int | None, ...]]  # None: an address


class Stop(NamedTuple):
    """Where an attack ended before its end."""

    step: int
    errno: int  # 0: the call succeeded, and its result was not the attacker's


class AttackScript(Script):
    """A script whose every call is a step of its own."""

    def __init__(self) -> None:
        super().__init__(_STDOUT, range(3))
        self.made: list[Made] = []
        self._is_loop = False

    @contextlib.contextmanager
    def loop(self) -> Iterator[None]:
        """In here calls of one name are one step: there are no more steps than a byte can tell."""
        self._is_loop = True
        yield
        self._is_loop = False

    def call(self, name: str, *arguments: _Argument, result: int = ANY, tolerated: int = 0) -> None:
        """Make a system call of any name in numbers.py."""
        self._make(NUMBERS[name], name, arguments, result, tolerated)

    def call_number(self, number: int, name: str, *arguments: _Argument) -> None:
        """Make a call that this architecture has no name for."""
        self._make(number, name, arguments, ANY, 0)

    def check(self, name: str, *arguments: _Argument, result: int = ANY) -> None:
        """Make a call that must have this very result, where others are no error either."""
        self._make(NUMBERS[name], name, arguments, result, 0)

    def open_path(self, path: bytes, flags: int) -> int:
        """openat(2) from the working directory; the fd."""
        return self.open("openat", AT_FDCWD, path, flags, 0)

    def read_one(self, fd: int) -> None:
        """There is at least a byte to be read."""
        self.check("pread64", fd, self.space(8), 1, 0, result=1)

    def read_all(self, fd: int, expected: bytes) -> None:
        """What is read is this."""
        found = self.space(len(expected))
        self.check("read", fd, found, len(expected), result=len(expected))
        self.expect(found, expected)

    def iovec(self, address: int | Pointer, size: int) -> Pointer:
        """One struct iovec, readv(2)."""
        is_known = isinstance(address, int)
        piece = self.memory(struct.pack("<2Q", address if is_known else 0, size))
        if isinstance(address, Pointer):
            self.point(piece, address)
        return piece

    def finish(self) -> bytes:
        """End it; the script as the machine reads it."""
        if len(self.made) > _MOST_STEPS:
            raise ValueError(f"{len(self.made)} steps")
        self.step = 0
        said = self.data(THROUGH)
        self._add(NUMBERS["write"], (_STDOUT, said, len(THROUGH)), len(THROUGH))
        self._add(NUMBERS["exit_group"], (0,), ANY)
        return self.pack()

    def _make(
        self, number: int, name: str, arguments: Sequence[_Argument], result: int, tolerated: int
    ) -> None:
        plain = tuple(a & _MASK if isinstance(a, int) else None for a in arguments)
        before = [n for n, made in enumerate(self.made, 1) if self._is_loop and made.call == name]
        if before:
            self.step = before[-1]
            self.made[self.step - 1].arguments.append(plain)
        else:
            self.made.append(Made(name, [plain]))
            self.step = len(self.made)
        self._add(number, arguments, result, tolerated)


def read_output(output: bytes) -> Stop | None:
    """Where an attack ended that did not get through; None: it does not say.

    Of several processes that it became, the first that met an errno.
    """
    reports = [
        Report.unpack(output[at : at + REPORT_BYTES])
        for at in range(0, len(output) - REPORT_BYTES + 1, REPORT_BYTES)
    ]
    stops = [Stop(r.first, r.second) for r in reports if r.kind == Kind.FAILED]
    return next((stop for stop in stops if stop.errno), stops[0] if stops else None)
