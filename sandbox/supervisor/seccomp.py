"""Policies to filters: an allow-list of syscalls, compiled to BPF. seccomp(2), Linux 4.14.

libseccomp knows the numbers and compiles the argument checks, one small program a syscall; which of
them a call runs through is decided by a search tree of ours. That gives each syscall an action for
"arguments that no rule matched", which libseccomp has only for a filter as a whole, and it loads
several times as fast as one compare a syscall.
"""

import difflib
import errno
import fcntl
import functools
import itertools
import os
import select
import struct
from collections.abc import Iterable
from typing import NamedTuple

import pyseccomp

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule
from sandbox.supervisor.arguments import ALL_BITS, Cube, cubes_of, intersection
from sandbox.supervisor.bpf import Leaf, replace_returned, search_tree
from sandbox.supervisor.syscall_text import syscall_text

__all__ = [
    "ARCH",
    "REQUIRED",
    "Filter",
    "Violation",
    "collector_filter",
    "compile_filter",
    "decode",
    "init_filter",
    "receive",
    "syscall_name",
]

ARCH: int = pyseccomp.system_arch()  # AUDIT_ARCH_* of this machine

_MEMORY = (
    "mmap", "munmap", "mprotect", "brk", "mremap", "madvise", "rt_sigprocmask", "futex",
)  # fmt: skip

# What the stub still calls between its filter and the exec: its last report, execve for each
# directory of PATH, the exit if none works, and CPython's memory meanwhile.
REQUIRED = ("read", "write", "execve", "exit_group", *_MEMORY)

_KILL: int = pyseccomp.KILL_PROCESS
_LAST_NUMBER = 1023  # above every syscall number of the architectures that we run on

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif, seccomp_unotify(2)
_NOTIF_RECV = 0xC0502100  # SECCOMP_IOCTL_NOTIF_RECV, <linux/seccomp.h>

_MOST_CUBES = 512  # of one syscall; every pair of them is compared


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


def compile_filter(policy: Policy, *, listener: bool) -> Filter:
    """Compile a policy's syscall rules for this machine's own ABI; a call by another one kills.

    Of the rules for one syscall, those with conditions may not contradict each other, and the one
    without says what happens when none of them matches (else: the policy's default action).
    "kill" notifies where there is a listener, and kills the process where there is none.

    Raises SpecError: an unknown syscall or errno, rules that contradict each other, a check on an
    argument whose width is not known, a policy under which nothing can be executed.
    """
    _require_exec(policy.syscalls)
    default = _action("default_action", policy.default_action)
    leaves = _leaves(policy.syscalls, default)
    notifies = False
    if listener:
        heard = {number: _notifying(leaf) for number, leaf in leaves.items()}
        notifies, leaves = heard != leaves, heard
    return Filter(search_tree(ARCH, leaves, default, _KILL), notifies)


@functools.cache
def init_filter() -> bytes:
    """The filter of a sandbox's pid 1 once its walls stand; every other call kills it, and so all.

    It bounds what a payload could make of init by a kernel or interpreter bug: no new process,
    no exec, no socket, no namespace.
    """
    return _closed_filter(
        *_MEMORY, "rt_sigaction", "rt_sigreturn", "exit_group",
        "getpid", "gettid", "clock_gettime", "getrandom",  # CPython's own
        # orders in, reports and fds out
        "read", "write", "recvmsg", "recvfrom", "sendmsg", "close", "close_range", "poll", "ppoll",
        "wait4", "waitid", "kill",  # reaps, and ends the payload
        "openat", "fstat", "newfstatat", "lseek",  # /proc/PID/comm of the payload
        "move_mount", "mkdirat", "openat2", "mount_setattr", "umount2",  # late mounts
        ioctl={1: 0x5401},  # TCGETS: CPython's open() asks whether the file is a terminal
    )  # fmt: skip


@functools.cache  # compiled once, not for each job with artifacts
def collector_filter() -> bytes:
    """The filter of the artifact collector: it opens below a directory it holds, reads, sends."""
    return _closed_filter(
        *_MEMORY, "rt_sigreturn", "exit_group", "openat2", "read", "pread64", "write", "sendmsg",
        "sendfile", "getdents64", "fstat", "newfstatat", "lseek", "close",
    )  # fmt: skip


def syscall_name(number: int) -> str:
    """The name of a syscall on this machine, or `syscall_N` where libseccomp knows none."""
    try:
        return pyseccomp.resolve_syscall(ARCH, number).decode()
    except ValueError:
        return f"syscall_{number}"


def decode(notification: bytes) -> Violation:
    """Read a struct seccomp_notif (80 bytes). seccomp_unotify(2)."""
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


def _leaves(rules: Iterable[SyscallRule], default: int) -> dict[int, Leaf]:
    by_name: dict[str, list[SyscallRule]] = {}
    for rule in rules:
        for name in rule.names:
            by_name.setdefault(name, []).append(rule)
    numbers = {name: _number(name) for name in by_name}
    return {
        number: _leaf(name, number, by_name[name], default)
        for name, number in numbers.items()
        if number is not None
    }


def _leaf(name: str, number: int, rules: list[SyscallRule], default: int) -> Leaf:
    field = f"syscalls.{name}"
    plain = {_action(field, rule.action) for rule in rules if not rule.where}
    if len(plain) > 1:
        raise SpecError(field, "two rules without conditions give it different actions")
    otherwise = plain.pop() if plain else default
    cubes = [
        (_action(field, rule.action), cube)
        for rule in rules
        if rule.where
        for cube in cubes_of(name, rule.where)
    ]
    if len(cubes) > _MOST_CUBES:
        raise SpecError(field, "its rules have too many conditions to be compiled")
    for (one, here), (other, there) in itertools.combinations(cubes, 2):
        if one != other and intersection(here, there) is not None:
            raise SpecError(field, "two rules match the same arguments and give different actions")
    return _argument_program(number, cubes, otherwise) if cubes else otherwise


def _argument_program(number: int, cubes: list[tuple[int, Cube]], otherwise: int) -> bytes:
    """libseccomp's filter for one syscall. Always for "kill" as KILL_PROCESS: libseccomp refuses
    a notifying default, and asks the kernel that it runs on before it lets a rule notify."""
    program = pyseccomp.SyscallFilter(otherwise)
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, _KILL)
    for action, cube in cubes:
        if action != otherwise:
            checks = (
                pyseccomp.Arg(index, pyseccomp.MASKED_EQ, mask, value)
                for index, (mask, value) in cube.items()
            )
            program.add_rule_exactly(action, number, *checks)
    with os.fdopen(os.memfd_create("filter", os.MFD_CLOEXEC), "w+b") as file:
        program.export_bpf(file)
        file.seek(0)
        return file.read()


def _notifying(leaf: Leaf) -> Leaf:
    if isinstance(leaf, bytes):  # its foreign-ABI kills are never reached: the tree asks first
        return replace_returned(leaf, _KILL, pyseccomp.NOTIFY)
    return pyseccomp.NOTIFY if leaf == _KILL else leaf


def _closed_filter(*names: str, **arguments: dict[int, int]) -> bytes:
    """Allows `names`, and calls in `arguments` with those values; anything else kills."""
    rules = [SyscallRule(names, "allow")]
    for name, values in arguments.items():
        checks = tuple(ArgumentCheck(index, ALL_BITS, v) for index, v in values.items())
        rules.append(SyscallRule((name,), "allow", checks))
    return search_tree(ARCH, _leaves(rules, _KILL), _KILL, _KILL)


def _number(name: str) -> int | None:
    """None: a syscall of other architectures, which libseccomp gives a negative number here."""
    number = pyseccomp.resolve_syscall(ARCH, name)
    if number == -1:
        known = filter(None, map(_known_name, range(_LAST_NUMBER)))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise SpecError("syscalls", f'"{name}" is no system call that libseccomp knows{hint}')
    return number if number >= 0 else None


def _known_name(number: int) -> str | None:
    name = syscall_name(number)
    return None if name.startswith("syscall_") else name


def _action(field: str, action: str) -> int:
    if action == "allow":
        return pyseccomp.ALLOW
    if action == "kill":
        return _KILL
    code = getattr(errno, action, None)
    if not isinstance(code, int):
        raise SpecError(field, f'"{action}" is no action: allow, kill, or the name of an errno')
    return pyseccomp.ERRNO(code)
