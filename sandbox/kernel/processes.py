"""Processes and their rights: one function a syscall. Each succeeds or raises OSError."""

from __future__ import annotations

import ctypes

from sandbox.kernel.call import check, libc, syscall

__all__ = [
    "CAPABILITY_VERSION_3",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_ADMIN",
    "CAP_SYS_RESOURCE",
    "CLONE_INTO_CGROUP",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWTIME",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "CLONE_PIDFD",
    "CLONE_VFORK",
    "CLONE_VM",
    "KEYCTL_JOIN_SESSION_KEYRING",
    "PR_CAPBSET_DROP",
    "PR_CAP_AMBIENT",
    "PR_CAP_AMBIENT_CLEAR_ALL",
    "PR_GET_DUMPABLE",
    "PR_GET_NO_NEW_PRIVS",
    "PR_SET_DUMPABLE",
    "PR_SET_NAME",
    "PR_SET_NO_NEW_PRIVS",
    "PR_SET_PDEATHSIG",
    "PR_SET_SECUREBITS",
    "SECUREBITS",
    "CloneArgs",
    "capset",
    "clone3",
    "close_range",
    "fork_sibling",
    "map_code",
    "pidfd_getfd",
    "pidfd_send_signal",
    "prctl",
    "session_keyring",
    "setns",
    "unshare",
]

# <linux/sched.h>
CLONE_NEWTIME, CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x80, 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER = 0x8000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
KEYCTL_JOIN_SESSION_KEYRING = 1  # <linux/keyctl.h>
CLONE_VM, CLONE_VFORK, CLONE_PIDFD, CLONE_INTO_CGROUP = 0x100, 0x4000, 0x1000, 0x200000000
CLONE_PARENT = 0x8000
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID = 0, 1, 3, 4
CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN, CAP_SYS_RESOURCE = 6, 7, 8, 21, 24
# <linux/prctl.h>
PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE, PR_SET_NAME = 1, 3, 4, 15
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 24, 28, 38, 39
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522
# SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked, and KEEP_CAPS locked off:
# no uid, not even 0, means capabilities again (capabilities(7)).
SECUREBITS = 0xEF


class CloneArgs(ctypes.Structure):  # struct clone_args, clone(2)
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid")),
        *((name, ctypes.c_uint64) for name in ("exit_signal", "stack", "stack_size", "tls")),
        *((name, ctypes.c_uint64) for name in ("set_tid", "set_tid_size", "cgroup")),
    ]


class _CapHeader(ctypes.Structure):  # capget(2)
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_CapData = ctypes.c_uint32 * 6  # two of struct __user_cap_data_struct


def clone3() -> tuple[int, int]:
    """Fork: (0, -1) in the child, (pid, its close-on-exec pidfd) in the parent.

    Only for a process of one thread: libc's fork handlers do not run, so the child must neither
    start threads nor return from main. clone(2), Linux 5.3.
    """
    pidfd = ctypes.c_int(-1)
    arguments = CloneArgs(flags=CLONE_PIDFD, exit_signal=17)  # SIGCHLD
    arguments.pidfd = ctypes.addressof(pidfd)
    pid = syscall("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    return pid, (pidfd.value if pid else -1)


def fork_sibling() -> int:
    """Fork a child of our own parent's: 0 in the child, its pid here. clone(2)

    Not by clone3, which containers let nobody call: then what comes tells that there is no sandbox.
    """
    return syscall("clone", CLONE_PARENT, 0, 0, 0, 0)  # its exit signal is ours


def unshare(flags: int) -> None:
    """Leave the named namespaces for new ones. EINVAL: CLONE_NEWUSER in a threaded process."""
    check(libc.unshare(flags))


def setns(fd: int, flags: int) -> None:
    """Enter the namespaces behind a namespace fd or (Linux 5.8) a pidfd. setns(2)."""
    check(libc.setns(fd, flags))


def session_keyring() -> int:
    """The serial number of ours; keyctl(2) with KEYCTL_GET_KEYRING_ID."""
    return syscall("keyctl", 0, -3, 0)


def prctl(option: int, *arguments: int | bytes) -> int:
    """One prctl(2); missing arguments are zero."""
    wide = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    wide += [ctypes.c_ulong(0)] * (4 - len(wide))
    return check(libc.prctl(option, *wide))


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's capability sets, as bit masks. capset(2)."""
    sets = (effective, permitted, inheritable)
    data = _CapData(*(s & 0xFFFFFFFF for s in sets), *(s >> 32 for s in sets))
    check(libc.capset(ctypes.byref(_CapHeader(CAPABILITY_VERSION_3, 0)), ctypes.byref(data)))


def close_range(first: int, last: int = 0xFFFFFFFF) -> None:
    """Close every fd from `first` to `last`. close_range(2), Linux 5.9."""
    syscall("close_range", first, last, 0)


def map_code(fd: int) -> int:
    """The address of the first page of the file, mapped to be executed. mmap(2)."""
    libc.mmap.restype = ctypes.c_void_p
    address: int = libc.mmap(None, ctypes.c_size_t(1), 0x5, 0x2, fd, ctypes.c_long(0))
    return check(-1 if address == ctypes.c_void_p(-1).value else address)


def pidfd_send_signal(pidfd: int, signal: int) -> None:
    """Signal the process behind `pidfd`. ESRCH: it is gone. Linux 5.1."""
    syscall("pidfd_send_signal", pidfd, signal, None, 0)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A copy of another process's fd; needs ptrace rights over it. pidfd_getfd(2), Linux 5.6."""
    return syscall("pidfd_getfd", pidfd, fd, 0)
