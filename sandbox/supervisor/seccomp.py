"""Filters for policies and for our own processes, and what a filter's listener tells.

A filter is compiled once and kept, by a hash of all that decides it, in memory and on disk.
libseccomp knows the numbers of syscalls. Loading it takes longer than all the rest, so it is loaded
only to compile, or to name the call that a job is killed for. seccomp(2), Linux 4.14.
"""

import fcntl
import functools
import os
import select
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

from sandbox.spec.errors import HostError, SpecError
from sandbox.spec.fields import suggestion
from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule
from sandbox.supervisor import filter_cache
from sandbox.supervisor.filter_key import filter_key, names_loaded_library

__all__ = [
    "ARCH",
    "REQUIRED",
    "Filter",
    "Violation",
    "collector_filter",
    "compile_filter",
    "decode",
    "init_filter",
    "own_filter",
    "receive",
    "syscall_name",
]

# AUDIT_ARCH_* of this machine, <linux/audit.h>
ARCH: int = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[os.uname().machine]

_MEMORY = (
    "mmap", "munmap", "mprotect", "brk", "mremap", "madvise", "rt_sigprocmask", "futex",
)  # fmt: skip

# What the stub still calls between its filter and the exec: its reports, the job, execve for each
# directory of PATH, the exit if none works.
REQUIRED = ("read", "write", "execve", "exit_group")

_LAST_NUMBER = 1023  # above every syscall number of the architectures that we run on
_MOST_KEPT = 64  # filters in memory
_ALL_BITS = (1 << 64) - 1

# struct sock_filter of "return SECCOMP_RET_USER_NOTIF"
_RETURN_NOTIFY = struct.pack("=HBBI", 0x06, 0, 0, 0x7FC00000)

_REMOUNT_SCRATCH = 0x26  # MS_REMOUNT | MS_NOSUID | MS_NODEV: no new mount, no other attribute

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif, seccomp_unotify(2)
_NOTIF_RECV = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV, <linux/seccomp.h>


class Filter(NamedTuple):
    """A compiled policy, ready to be loaded."""

    program: bytes  # struct sock_filter[]
    notifies: bool  # some call returns SECCOMP_RET_USER_NOTIF: load it with a listener


class Violation(NamedTuple):
    """A call that the policy kills for, as the kernel told it; pointers are numbers."""

    id: int
    pid: int  # in the reader's pid namespace; 0: not visible there
    arch: int
    syscall: str
    arguments: tuple[int, ...]  # all six registers, used or not
    text: str  # "ptrace(PTRACE_ATTACH, 7, 0x0, 0x0)"


def compile_filter(policy: Policy, *, listener: bool, arch: int = ARCH) -> Filter:
    """Compile a policy's syscall rules for one ABI (AUDIT_ARCH_*); a call by another one kills.

    Of the rules for one syscall, those with conditions may not contradict each other, and the one
    without says what happens when none of them matches (else: the policy's default action).
    "kill" notifies where there is a listener, and kills the process where there is none.

    Raises SpecError: an unknown syscall or errno, rules that contradict each other, a check on an
    argument whose width is not known, a policy under which nothing can be executed.
    """
    _require_exec(policy.syscalls)
    return _filter(policy.syscalls, policy.default_action, listener, arch)


def init_filter() -> bytes:
    """The filter of a sandbox's pid 1 once its walls stand; every other call kills it, and so all.

    It bounds what a payload could make of init by a kernel bug: no new process, no exec, no socket,
    no namespace, no memory.
    """
    return _closed_filter(
        "exit_group", "ppoll", "recvmsg", "read", "write", "sendmsg",  # orders in, reports out
        "close", "close_range", "openat",  # /proc/PID/comm of the payload
        "wait4", "waitid", "kill",  # reaps, and ends the payload
        "move_mount", "mkdirat", "openat2", "statx",  # late binds
        mount={3: _REMOUNT_SCRATCH},  # to another size
    )  # fmt: skip


def collector_filter() -> bytes:
    """The filter of the artifact collector: it opens below a directory it holds, reads, sends."""
    return _closed_filter(
        *_MEMORY, "rt_sigreturn", "exit_group", "openat2", "read", "pread64", "write", "sendmsg",
        "sendfile", "getdents64", "fstat", "newfstatat", "lseek", "close",
    )  # fmt: skip


def own_filter(rules: tuple[SyscallRule, ...], default_action: str) -> bytes:
    """The filter of a process of ours outside of a sandbox, for this machine's own ABI."""
    return _filter(rules, default_action, False, ARCH).program


def syscall_name(number: int, arch: int = ARCH) -> str:
    """The name of a syscall, by default on this machine; `syscall_N` where nobody knows one."""
    try:
        name: str = _pyseccomp().resolve_syscall(arch, number).decode()
    except ValueError:
        return f"syscall_{number}"
    return name


def decode(notification: bytes) -> Violation:
    """Read a struct seccomp_notif (80 bytes). seccomp_unotify(2)."""
    from sandbox.supervisor.syscall_text import syscall_text

    notification_id, pid, _, number, arch, _, *arguments = _NOTIFICATION.unpack(notification)
    name = syscall_name(number)
    return Violation(
        notification_id, pid, arch, name, tuple(arguments), syscall_text(name, arguments)
    )


def receive(listener_fd: int) -> Violation | None:
    """Take one notification off the listener; None if there is none, or its caller is dead.

    It is never answered: the caller waits inside the call until it is killed. Never blocks.
    seccomp_unotify(2), Linux 5.0.
    """
    # Readable is a listener too whose last process is gone (POLLHUP), and before Linux 6.11 the
    # ioctl would wait there for ever. Once POLLIN was seen it returns: ENOENT for a dead caller.
    poll = select.poll()
    poll.register(listener_fd, select.POLLIN)
    if not any(events & select.POLLIN for _, events in poll.poll(0)):
        return None
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener_fd, _NOTIF_RECV, buffer)
    except (FileNotFoundError, InterruptedError):
        return None
    return decode(bytes(buffer))


def _require_exec(rules: Iterable[SyscallRule]) -> None:
    free = {name for rule in rules if rule.action == "allow" and not rule.where
            for name in rule.names}  # fmt: skip
    if missing := [name for name in REQUIRED if name not in free]:
        raise SpecError("syscalls", f"without {', '.join(missing)} no program can be started")


def _closed_filter(*names: str, **arguments: dict[int, int]) -> bytes:
    """Allows `names`, and calls in `arguments` with those values; anything else kills."""
    rules = [SyscallRule(names, "allow")]
    for name, values in arguments.items():
        checks = tuple(ArgumentCheck(index, _ALL_BITS, v) for index, v in values.items())
        rules.append(SyscallRule((name,), "allow", checks))
    return _filter(tuple(rules), "kill", False, ARCH).program


@functools.lru_cache(_MOST_KEPT)
def _filter(
    rules: tuple[SyscallRule, ...], default_action: str, listener: bool, arch: int
) -> Filter:
    key = filter_key(rules, default_action, listener, arch)
    program = None if key is None else filter_cache.load(key)
    if program is None:
        from sandbox.supervisor.compiler import compile_rules

        number_of = functools.partial(_number, arch)
        program = compile_rules(
            rules, default_action, arch=arch, listener=listener, number_of=number_of
        )
        if key is not None and names_loaded_library():
            filter_cache.store(key, program)
    lines = [program[at : at + 8] for at in range(0, len(program), 8)]
    return Filter(program, _RETURN_NOTIFY in lines)


def _number(arch: int, name: str) -> int | None:
    """None: a syscall of other architectures, which libseccomp gives a negative number here."""
    number: int = _pyseccomp().resolve_syscall(arch, name)
    if number == -1:
        names = (syscall_name(known, arch) for known in range(_LAST_NUMBER))
        near = suggestion(name, [known for known in names if not known.startswith("syscall_")])
        raise SpecError("syscalls", f'"{name}" is no system call that libseccomp knows{near}')
    return number if number >= 0 else None


@functools.cache
def _pyseccomp() -> Any:
    """The module, told what its libraries are called: to search for them it would start programs,
    which a supervisor that has locked itself must not."""
    import ctypes.util

    search = ctypes.util.find_library
    ctypes.util.find_library = {"c": None, "seccomp": "libseccomp.so.2"}.get  # None: this program
    try:
        import pyseccomp
    except OSError as error:
        raise HostError(f"libseccomp cannot be loaded ({error}); fix: install it") from error
    finally:
        ctypes.util.find_library = search
    return pyseccomp
