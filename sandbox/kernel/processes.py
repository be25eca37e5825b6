"""Processes and their rights: one function a syscall. Each succeeds or raises OSError."""

from __future__ import annotations

import ctypes
import os

from sandbox.kernel.call import check, libc, syscall

__all__ = [
    "CAP_SYS_ADMIN",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWTIME",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "PR_CAPBSET_DROP",
    "PR_CAP_AMBIENT",
    "PR_CAP_AMBIENT_CLEAR_ALL",
    "PR_GET_DUMPABLE",
    "PR_GET_NO_NEW_PRIVS",
    "PR_SET_DUMPABLE",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECUREBITS",
    "capget",
    "capset",
    "clone3",
    "close_range",
    "pidfd_getfd",
    "pidfd_send_signal",
    "prctl",
    "sethostname",
    "setns",
    "signalfd",
    "unshare",
]

# <linux/sched.h>
CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER = 0x8000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
_CLONE_PIDFD, _CLONE_INTO_CGROUP = 0x1000, 0x200000000
CAP_SYS_ADMIN = 21
# <linux/prctl.h>
PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 3, 4
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 24, 28, 38, 39
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522


class _CloneArgs(ctypes.Structure):  # struct clone_args, clone(2)
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid")),
        *((name, ctypes.c_uint64) for name in ("exit_signal", "stack", "stack_size", "tls")),
        *((name, ctypes.c_uint64) for name in ("set_tid", "set_tid_size", "cgroup")),
    ]


class _CapHeader(ctypes.Structure):  # capget(2)
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_CapData = ctypes.c_uint32 * 6  # two of struct __user_cap_data_struct


def clone3(flags: int, into_cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork with `flags`: (0, -1) in the child, (pid, its close-on-exec pidfd) in the parent.

    Only for a process of one thread: libc's fork handlers do not run, so the child must neither
    start threads nor return from main. `into_cgroup_fd`: a v2 directory to be born in (Linux 5.7).
    clone(2), Linux 5.3.
    """
    pidfd = ctypes.c_int(-1)
    arguments = _CloneArgs(flags=flags | _CLONE_PIDFD, exit_signal=17)  # SIGCHLD
    arguments.pidfd = ctypes.addressof(pidfd)
    if into_cgroup_fd is not None:
        arguments.flags |= _CLONE_INTO_CGROUP
        arguments.cgroup = into_cgroup_fd
    pid = syscall("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    return pid, (pidfd.value if pid else -1)


def unshare(flags: int) -> None:
    """Leave the named namespaces for new ones. EINVAL: CLONE_NEWUSER in a threaded process."""
    check(libc.unshare(flags))


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces behind a namespace fd or (Linux 5.8) a pidfd. setns(2)."""
    check(libc.setns(fd, flags))


def sethostname(name: bytes) -> None:
    """Set this uts namespace's host name. sethostname(2)."""
    check(libc.sethostname(name, len(name)))


def prctl(option: int, *arguments: int | bytes) -> int:
    """One prctl(2); missing arguments are zero."""
    wide = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    wide += [ctypes.c_ulong(0)] * (4 - len(wide))
    return check(libc.prctl(option, *wide))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, as bit masks. capset(2)."""
    sets = (effective, permitted, inheritable)
    data = _CapData(*(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    check(libc.capset(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref(data)))


def capget() -> tuple[int, int, int]:
    """This thread's effective, permitted and inheritable capabilities, as bit masks. capget(2)."""
    data = _CapData()
    check(libc.capget(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref(data)))
    low, high = data[:3], data[3:]
    return low[0] | high[0] << 32, low[1] | high[1] << 32, low[2] | high[2] << 32


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close every fd from `first` to `last`. close_range(2), Linux 5.9."""
    syscall("close_range", first, last, 0)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """Signal the process behind `pidfd`. ESRCH: it is gone. Linux 5.1."""
    syscall("pidfd_send_signal", pidfd, signal, None, 0)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of another process's fd; needs ptrace rights over it. pidfd_getfd(2), Linux 5.6."""
    return syscall("pidfd_getfd", pidfd, fd, 0)


def signalfd(signal: int) -> int:
    """A close-on-exec fd that is readable while the blocked `signal` is pending. signalfd(2)."""
    mask = ctypes.create_string_buffer((1 << (signal - 1)).to_bytes(8, "little") + bytes(120), 128)
    return check(libc.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK))
