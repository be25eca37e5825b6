"""How a sandbox's first process is made: as vfork(2) and execve(2) make one, in new namespaces.

What runs between the two is machine code: an interpreter's own must not, in a memory that the
parent still has.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

from sandbox.boundary.archive import write_all
from sandbox.kernel.processes import (
    CAP_CHOWN,
    CAP_DAC_OVERRIDE,
    CAP_FOWNER,
    CAP_FSETID,
    CAP_SETGID,
    CAP_SETPCAP,
    CAP_SETUID,
    CAP_SYS_ADMIN,
    CAP_SYS_RESOURCE,
    CAPABILITY_VERSION_3,
    CLONE_PIDFD,
    CloneArgs,
    map_code,
)

__all__ = ["ExecFailed", "Spawner", "move_up"]

_HIGH_FD = 64  # the zygote's own are here and above: what arrives for a sandbox has fixed numbers

_MFD_EXEC = 0x10  # <linux/memfd.h>, Linux 6.3
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
# What init needs before it gives it up. execve(2) keeps only what is ambient: the ids of the new
# user namespace are not mapped yet, so nobody is root there.
_KEPT = (
    CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN, CAP_SYS_RESOURCE,
    # An overlay writes to its upper as who has mounted it, in directories that are closed to all.
    CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
)  # fmt: skip


class _Birth(ctypes.Structure):  # what the machine's spawn() reads, and writes where it fails
    _fields_ = [
        ("version", ctypes.c_uint32), ("pid", ctypes.c_uint32), ("sets", ctypes.c_uint32 * 6),
        ("kept", ctypes.c_ubyte * 16), ("failure", ctypes.c_int64),
        ("argv", ctypes.c_uint64), ("path", ctypes.c_uint64),
    ]  # fmt: skip


def move_up(fd: int) -> int:
    """The same under a high number, close-on-exec."""
    high_fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    os.close(fd)
    return high_fd


class ExecFailed(OSError):
    """The clone was made, and could not execute the program."""


class Spawner:
    """Makes processes that execute one program, which nobody can change any more."""

    def __init__(self, image: bytes, spawn_at: int) -> None:
        """`spawn_at`: where in the image, and in its first page, is the machine's spawn()."""
        self._program_fd = _keep(image)
        function = ctypes.CFUNCTYPE(
            ctypes.c_long, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_long, ctypes.c_void_p
        )
        self._spawn = function(map_code(self._program_fd) + spawn_at)
        self._pidfd = ctypes.c_int(-1)
        self._arguments = CloneArgs(pidfd=ctypes.addressof(self._pidfd), exit_signal=17)  # SIGCHLD
        self._birth = _Birth(CAPABILITY_VERSION_3)
        for index, capability in enumerate(_KEPT):
            self._birth.kept[index] = capability
            for which in range(3):
                self._birth.sets[which] |= 1 << capability
        self._birth.kept[len(_KEPT)] = 255

    def spawn(self, flags: int) -> tuple[int, int]:
        """Clone with these flags, and execute; the pid and its close-on-exec pidfd.

        The new process has the fds that are not close-on-exec. Raises OSError: there is none;
        ExecFailed: this host lets nobody execute a memfd. clone(2), Linux 5.3.
        """
        self._arguments.flags = flags | CLONE_PIDFD
        self._birth.failure = 0
        pid = self._spawn(
            ctypes.addressof(self._arguments), ctypes.sizeof(self._arguments),
            self._program_fd, ctypes.addressof(self._birth),
        )  # fmt: skip
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        if self._birth.failure:  # seen only where the memory was shared, by CLONE_VM
            os.close(self._pidfd.value)
            raise ExecFailed(-self._birth.failure, os.strerror(-self._birth.failure))
        return pid, self._pidfd.value


def _keep(image: bytes) -> int:
    """An fd of a program that nobody can change any more, to be executed. memfd_create(2)."""
    try:
        fd = os.memfd_create("machine", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    except OSError:  # EINVAL: before Linux 6.3 there was no need to say so
        fd = os.memfd_create("machine", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(fd, image)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return move_up(fd)
