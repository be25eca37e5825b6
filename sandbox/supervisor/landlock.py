"""The Landlock wall, decided outside: what this kernel can deny, and where we allow it.

It repeats in other code what the mounts say, so that one mistake there is not an escape.
"""

from sandbox.kernel.confinement import landlock_abi
from sandbox.supervisor.host import ask

__all__ = [
    "allowed_paths",
    "changing_accesses",
    "handled_accesses",
    "reading_accesses",
    "removing_accesses",
]

# LANDLOCK_ACCESS_FS_*, landlock(7)
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_BLOCK = 1 << 6, 1 << 7, 1 << 8, 1 << 11
_ALL_OF_ABI_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15  # from ABI 2, 3, 5
_TCP = 0b11  # bind and connect, ABI 4
_SCOPES = 0b11  # abstract unix sockets and signals, ABI 6


def handled_accesses() -> tuple[int, int, int] | None:
    """The fs, net and scope accesses that a ruleset can deny; None: a kernel without Landlock."""
    abi = ask(landlock_abi)
    if abi is None:
        return None
    fs = _ALL_OF_ABI_1
    for since, access in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        fs |= access if abi >= since else 0
    return fs, _TCP if abi >= 4 else 0, _SCOPES if abi >= 6 else 0


def reading_accesses() -> int:
    """To read, and to execute nothing."""
    return _READ_FILE | _READ_DIR


def changing_accesses(handled_fs: int) -> int:
    """To make, write, move and remove files and directories; no links, sockets or devices."""
    removing = _REMOVE_DIR | _REMOVE_FILE
    return (_WRITE_FILE | _TRUNCATE | _MAKE_DIR | _MAKE_REG | removing | _REFER) & handled_fs


def removing_accesses() -> int:
    """To remove files."""
    return _REMOVE_FILE


def allowed_paths(handled_fs: int, writable: tuple[bytes, ...]) -> tuple[tuple[bytes, int], ...]:
    """(path, accesses) of every rule. Device nodes may be made nowhere."""
    read = _EXECUTE | _READ_FILE | _READ_DIR
    write = handled_fs & ~(_MAKE_CHAR | _MAKE_BLOCK)
    devices = (read | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV) & handled_fs
    return (
        (b"/", read),
        (b"/proc", (read | _WRITE_FILE | _TRUNCATE) & handled_fs),
        (b"/dev", devices),
        *((path, write & ~_IOCTL_DEV) for path in writable),
    )
