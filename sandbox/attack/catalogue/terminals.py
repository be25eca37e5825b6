"""Terminals: typing for whoever reads from one, and the drivers behind them."""

import os
import struct

from sandbox.attack.attack import BARE, attack
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

_KIND = "terminals"
_TIOCSTI, _TIOCLINUX, _TIOCSCTTY, _TIOCSETD = 0x5412, 0x541C, 0x540E, 0x5423
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441
_HIGH = 1 << 32
_N_TTY = 0
_FS_IOC_GETFLAGS = 0x80086601
_EPERM = 1


def _terminal(script: AttackScript) -> int:
    """A terminal of its own, which controls it."""
    master = script.open_path(b"/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    script.call("ioctl", master, _TIOCSPTLCK, script.data(bytes(4)))
    fd = script.open("ioctl", master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
    script.call("setsid", tolerated=_EPERM)
    script.call("ioctl", fd, _TIOCSCTTY, 0)
    return fd


@attack(_KIND, BARE)
def typed(script: AttackScript, targets: Targets) -> None:
    """Types into a terminal (TIOCSTI, CVE-2017-5226)."""
    script.call("ioctl", _terminal(script), _TIOCSTI, b"x")


@attack(_KIND, BARE)
def typed_with_high_bits(script: AttackScript, targets: Targets) -> None:
    """The same, with high bits set that the kernel does not read (CVE-2019-10063)."""
    script.call("ioctl", _terminal(script), _HIGH | _TIOCSTI, b"x")


@attack(_KIND, BARE)
def pasted(script: AttackScript, targets: Targets) -> None:
    """Pastes into a console (TIOCLINUX, CVE-2023-28339)."""
    script.call("ioctl", 0, _TIOCLINUX, b"\2")


@attack(_KIND, BARE)
def line_discipline(script: AttackScript, targets: Targets) -> None:
    """Changes the line discipline of a terminal, which loads drivers (CVE-2017-2636)."""
    script.call("ioctl", _terminal(script), _TIOCSETD, script.data(struct.pack("<i", _N_TTY)))


@attack(_KIND, BARE)
def file_flags(script: AttackScript, targets: Targets) -> None:
    """Reads the flags of a file by ioctl(2), which every file system answers by code of its own."""
    fd = script.open_path(b"/tmp", os.O_RDONLY)
    script.call("ioctl", fd, _FS_IOC_GETFLAGS, script.space(8))
