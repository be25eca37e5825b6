"""Filters, interpreted call by call, and a few that are really loaded."""

import ctypes
import errno
import os
import select
import signal
import struct
from collections.abc import Callable

import pyseccomp
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from supervisor.bpf import KILL_PROCESS, Call, run

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule
from sandbox.supervisor.seccomp import (
    ARCH,
    REQUIRED,
    collector_filter,
    compile_filter,
    decode,
    init_filter,
    receive,
    syscall_name,
)

pytestmark = pytest.mark.usefixtures("nothing_kept")

ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
ALL_BITS = (1 << 64) - 1
I386, X32_BIT = 0x40000003, 0x40000000
HIGH = 1 << 32
NEEDED = SyscallRule(REQUIRED, "allow")


def number(name: str) -> int:
    return pyseccomp.resolve_syscall(ARCH, name)


def policy(*rules: SyscallRule, default: str = "ENOSYS") -> Policy:
    return Policy("test", "test", (NEEDED, *rules), default, {}, {})


def compiled(*rules: SyscallRule, listener: bool = False, default: str = "ENOSYS") -> bytes:
    return compile_filter(policy(*rules, default=default), listener=listener).program


def equals(index: int, value: int, mask: int = ALL_BITS) -> ArgumentCheck:
    return ArgumentCheck(index, mask, value)


def outcome(program: bytes, name: str, *arguments: int) -> int:
    return run(program, Call(ARCH, number(name), arguments))


def test_every_number_gets_the_action_of_its_rule_and_all_others_the_default() -> None:
    program = compiled(SyscallRule(("ptrace",), "kill"), SyscallRule(("fork", "kill"), "EPERM"))
    expected = {number(name): ALLOW for name in REQUIRED}
    expected |= {number("ptrace"): KILL_PROCESS, number("fork"): EPERM, number("kill"): EPERM}
    for at in (*range(2000), X32_BIT - 1):
        assert run(program, Call(ARCH, at)) == expected.get(at, ENOSYS), syscall_name(at)


@pytest.mark.parametrize("listener", [False, True])
def test_calls_by_a_foreign_abi_kill_the_process(listener: bool) -> None:
    program = compiled(SyscallRule(("ptrace",), "kill"), listener=listener)
    for at in range(600):
        assert run(program, Call(I386, at)) == KILL_PROCESS
        assert run(program, Call(ARCH, X32_BIT | at)) == KILL_PROCESS
    assert run(program, Call(ARCH, -1)) == KILL_PROCESS


@given(
    allowed=st.sets(st.integers(0, 450)),
    denied=st.sets(st.integers(0, 450)),
)
@settings(max_examples=25, deadline=None)
def test_any_set_of_numbers_is_told_apart_from_its_neighbours(
    allowed: set[int], denied: set[int]
) -> None:
    def names(numbers: set[int]) -> tuple[str, ...]:
        known = (syscall_name(n) for n in numbers)
        return tuple(n for n in known if not n.startswith("syscall_") and n not in REQUIRED)

    allow, deny = names(allowed - denied), names(denied)
    program = compiled(SyscallRule(allow, "allow"), SyscallRule(deny, "EPERM"))
    for at in range(460):
        name = syscall_name(at)
        expected = ALLOW if name in REQUIRED or name in allow else EPERM if name in deny else ENOSYS
        assert run(program, Call(ARCH, at)) == expected


def test_kill_notifies_where_there_is_a_listener() -> None:
    rules = (
        SyscallRule(("ptrace",), "kill"),
        SyscallRule(("ioctl",), "kill", (equals(1, 0x5412),)),
        SyscallRule(("ioctl",), "EPERM"),
        SyscallRule(("prctl",), "allow", (equals(0, 15),)),
        SyscallRule(("prctl",), "kill"),
    )
    for listener, kill in ((False, KILL_PROCESS), (True, NOTIFY)):
        filter_ = compile_filter(policy(*rules), listener=listener)
        assert filter_.notifies == listener
        assert outcome(filter_.program, "ptrace") == kill
        assert outcome(filter_.program, "ioctl", 0, 0x5412) == kill
        assert outcome(filter_.program, "ioctl", 0, 0x5413) == EPERM
        assert outcome(filter_.program, "prctl", 16) == kill
        assert outcome(filter_.program, "prctl", 15) == ALLOW


def test_a_policy_that_kills_for_nothing_needs_no_listener() -> None:
    assert not compile_filter(policy(), listener=True).notifies


@pytest.mark.parametrize("action", ["allow", "kill", "answer 0", "EPERM"])
def test_high_bits_that_the_kernel_does_not_read_hide_nothing_from_a_check(action: str) -> None:
    words = {"allow": ALLOW, "kill": KILL_PROCESS, "answer 0": 0x50000, "EPERM": EPERM}
    word = words[action]
    program = compiled(SyscallRule(("ioctl",), action, (equals(1, 0x5412),)))
    for request in (0x5412, HIGH | 0x5412, (ALL_BITS ^ 0xFFFFFFFF) | 0x5412):
        assert outcome(program, "ioctl", 0, request) == word
    for request in (0x5413, 0x5411, HIGH | 0x5413, 0x5412 << 32, 0):
        assert outcome(program, "ioctl", 0, request) == ENOSYS


def test_a_negated_check_is_not_met_by_high_bits() -> None:
    # The kernel runs TIOCSTI for HIGH | TIOCSTI: an "anything but" that compares 64 bits lets it.
    unequal = ArgumentCheck(1, ALL_BITS, 0x5412, negated=True)
    program = compiled(SyscallRule(("ioctl",), "allow", (unequal,)))
    for request in (0x5412, HIGH | 0x5412):
        assert outcome(program, "ioctl", 0, request) == ENOSYS
    for request in (0x5413, 0x5402, 0, HIGH | 0x5413, 0x80005412):
        assert outcome(program, "ioctl", 0, request) == ALLOW


def test_all_bits_of_a_long_argument_count() -> None:
    program = compiled(SyscallRule(("unshare",), "allow", (equals(0, 0x10000000),)))
    assert outcome(program, "unshare", 0x10000000) == ALLOW
    assert outcome(program, "unshare", HIGH | 0x10000000) == ENOSYS


def test_threads_are_told_from_processes_and_from_namespaces() -> None:
    thread, new_user, vm_vfork = 0x3D0F00, 0x10000000, 0x4100 | signal.SIGCHLD
    namespaces = 0x7E020000
    program = compiled(
        SyscallRule(("clone",), "allow", (equals(0, 0x10000, 0x10000 | namespaces),)),
        SyscallRule(("clone",), "EPERM"),
    )
    assert outcome(program, "clone", thread) == ALLOW
    assert outcome(program, "clone", HIGH | thread) == ALLOW
    for flags in (signal.SIGCHLD, vm_vfork, new_user | signal.SIGCHLD, 0x10000 << 32):
        assert outcome(program, "clone", flags) == EPERM
    for bit in range(32):
        if namespaces >> bit & 1:
            assert outcome(program, "clone", thread | 1 << bit) == EPERM


_checks = st.builds(
    ArgumentCheck,
    st.integers(0, 2),
    st.sampled_from([ALL_BITS, 0xFFFFFFFF, 0xFF, 1 << 31, 3, 0xFFFF0000, 0]),
    st.sampled_from([0, 1, 3, 0x5412, 1 << 31, 0xFFFFFFFF, 0x10000]),
    st.booleans(),
)
_values = st.sampled_from([0, 1, 2, 3, 0x5412, 1 << 31, 0xFFFFFFFF, 0x10000]).flatmap(
    lambda low: st.sampled_from([low, low | HIGH, low | 1 << 63])
)


@given(
    st.lists(st.lists(_checks, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.tuples(_values, _values, _values), min_size=20, max_size=20),
    st.sampled_from(["socket", "ptrace", "prctl"]),  # narrow, wide, mixed arguments
)
@settings(max_examples=60, deadline=None)
def test_the_compiled_checks_decide_as_their_definition_does(
    conditions: list[list[ArgumentCheck]], calls: list[tuple[int, int, int]], name: str
) -> None:
    narrow = {"socket": {0, 1, 2}, "ptrace": set(), "prctl": {0}}[name]

    def meets(check: ArgumentCheck, arguments: tuple[int, ...]) -> bool:
        width = 0xFFFFFFFF if check.index in narrow else ALL_BITS
        equal = arguments[check.index] & check.mask & width == check.value & width
        return equal != check.negated

    try:
        program = compiled(*(SyscallRule((name,), "allow", tuple(where)) for where in conditions))
    except SpecError as error:
        assert "to be compiled" in str(error)
        reject()  # too many negated conditions
    for arguments in calls:
        allowed = any(all(meets(check, arguments) for check in where) for where in conditions)
        assert outcome(program, name, *arguments) == (ALLOW if allowed else ENOSYS)


def test_a_filter_longer_than_a_conditional_jump_decides_as_a_short_one() -> None:
    actions = ("allow", "EPERM", "kill")
    words = {"allow": ALLOW, "EPERM": EPERM, "kill": KILL_PROCESS}
    requests = {request: actions[request // 7 % 3] for request in range(0, 3500, 7)}
    program = compiled(
        *(SyscallRule(("ioctl",), a, (equals(1, r), equals(2, HIGH))) for r, a in requests.items())
    )
    assert len(program) // 8 > 2 * 255
    for request in range(-1, 3510):
        expected = words[requests[request]] if request in requests else ENOSYS
        registers = (0, request & ALL_BITS)
        assert outcome(program, "ioctl", *registers, HIGH) == expected, request
        assert outcome(program, "ioctl", *registers, HIGH | 1) == ENOSYS, request
    for name in REQUIRED:
        assert outcome(program, name) == ALLOW, name


def test_a_filter_longer_than_the_kernel_takes_is_refused() -> None:
    names = ("ioctl", "fcntl", "prctl", "kill", "socket", "openat", "mmap", "futex", "tgkill")
    rules = [
        SyscallRule((name,), "EPERM", (equals(0, 1000 * at + value),))
        for at, name in enumerate(names)
        for value in range(0, 1000, 2)
    ]
    with pytest.raises(SpecError, match="4096"):
        compiled(*rules)


@pytest.mark.parametrize(
    ("rules", "field", "problem"),
    [
        ([SyscallRule(("ptrce",), "kill")], "syscalls", "did you mean ptrace"),
        ([SyscallRule(("fork",), "EPREM")], "syscalls.fork", "EPREM"),
        ([SyscallRule(("fork",), "kill"), SyscallRule(("fork",), "allow")], "syscalls.fork", "two"),
        (
            [
                SyscallRule(("ioctl",), "allow", (equals(1, 0x5400, 0xFF00),)),
                SyscallRule(("ioctl",), "kill", (equals(1, 0x5412),)),
            ],
            "syscalls.ioctl",
            "different actions",
        ),
        ([SyscallRule(("pread64",), "kill", (equals(0, 1),))], "syscalls.pread64", "widths"),
        (
            [SyscallRule(("ptrace",), "kill", (ArgumentCheck(0, ALL_BITS, 1, True),) * 4)],
            "syscalls.ptrace",
            "too many",
        ),
    ],
    ids=["unknown syscall", "unknown errno", "contradiction", "overlap", "unknown width", "bomb"],
)
def test_a_rule_that_cannot_be_meant_is_refused(
    rules: list[SyscallRule], field: str, problem: str
) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        compiled(*rules)
    assert caught.value.field == field


@pytest.mark.parametrize("name", REQUIRED)
def test_a_policy_under_which_nothing_can_start_is_refused(name: str) -> None:
    others = tuple(other for other in REQUIRED if other != name)
    for rules in ((), (SyscallRule((name,), "EPERM"),)):
        with pytest.raises(SpecError, match=name):
            compile_filter(
                Policy("t", "t", (SyscallRule(others, "allow"), *rules), "ENOSYS", {}, {}),
                listener=False,
            )


def test_syscalls_of_other_architectures_only_are_skipped() -> None:
    assert compiled(SyscallRule(("socketcall", "recv"), "allow")) == compiled()


@pytest.mark.parametrize("make", [init_filter, collector_filter])
def test_our_own_processes_die_of_any_call_that_they_never_make(make: Callable[[], bytes]) -> None:
    program = make()
    for name in ("execve", "clone", "clone3", "fork", "socket", "ptrace", "setns", "mount", "bpf"):
        assert outcome(program, name) == KILL_PROCESS, name
    for name in ("read", "write", "close", "exit_group"):
        assert outcome(program, name) == ALLOW, name
    assert outcome(program, "ioctl", 0, 0x5412) == KILL_PROCESS
    assert {run(program, Call(ARCH, at)) for at in range(600)} == {ALLOW, KILL_PROCESS}


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("ptrace", (16, 7), "ptrace(PTRACE_ATTACH, 7, 0x0, 0x0)"),
        ("ptrace", (HIGH | 0, ALL_BITS), "ptrace(PTRACE_TRACEME, -1, 0x0, 0x0)"),
        ("socket", (2, 0o2004001), "socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK|SOCK_CLOEXEC, 0)"),
        ("socket", (77, 9, 5), "socket(0x4d, 9, 5)"),
        ("clone", (0x10000011,), "clone(SIGCHLD|CLONE_NEWUSER, 0x0, 0x0, 0x0, 0x0)"),
        ("unshare", (0x10020000,), "unshare(CLONE_NEWNS|CLONE_NEWUSER)"),
        ("mount", (0x7FFD1234, 0x7FFD5678), "mount(0x7ffd1234, 0x7ffd5678, 0x0, 0x0, 0x0)"),
        ("ioctl", (0, 0x5412, 0x7FFD0000), "ioctl(0, TIOCSTI, 0x7ffd0000)"),
        ("keyctl", (11,), "keyctl(KEYCTL_READ, 0x0, 0x0, 0x0, 0x0)"),
        ("bpf", (5, 0x1000, 120), "bpf(BPF_PROG_LOAD, 0x1000, 120)"),
        ("vhangup", (), "vhangup()"),
        ("mincore", (1, 2, 3), "mincore(0x1, 0x2, 0x3, 0x0, 0x0, 0x0)"),
    ],
)
def test_a_violation_reads_like_the_call(name: str, arguments: tuple[int, ...], text: str) -> None:
    registers = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    violation = decode(struct.pack("=QIIiIQ6Q", 42, 7, 0, number(name), ARCH, 0, *registers))
    assert violation == (42, 7, ARCH, name, registers, text)


@given(st.binary(min_size=80, max_size=80))
def test_no_notification_is_unreadable(notification: bytes) -> None:
    assert decode(notification).text.endswith(")")


_libc = ctypes.CDLL(None, use_errno=True)
_PTRACE_ATTACH = 16


class _Program(ctypes.Structure):  # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def load(program: bytes, flags: int) -> int:
    """Load a filter over this process; the listener's fd, if `flags` ask for one."""
    assert _libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    fprog = _Program(len(program) // 8, program)
    return _libc.syscall(number("seccomp"), 1, flags, ctypes.byref(fprog))


def test_a_loaded_filter_tells_the_call_and_its_arguments() -> None:
    filter_ = compile_filter(policy(SyscallRule(("ptrace",), "kill")), listener=True)
    told_fd, tell_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        listener_fd = load(filter_.program, 8)  # SECCOMP_FILTER_FLAG_NEW_LISTENER
        os.write(tell_fd, b"%d" % listener_fd)
        _libc.syscall(number("ptrace"), _PTRACE_ATTACH, 7, None, None)
        os._exit(1)
    pidfd = os.pidfd_open(pid)
    try:
        inside_fd = int(os.read(told_fd, 9))
        listener_fd = _libc.syscall(number("pidfd_getfd"), pidfd, inside_fd, 0)
        assert listener_fd >= 0, os.strerror(ctypes.get_errno())
        select.select([listener_fd], [], [])
        violation = receive(listener_fd)
        assert violation is not None
        assert (violation.pid, violation.text) == (pid, "ptrace(PTRACE_ATTACH, 7, 0x0, 0x0)")
        assert receive(listener_fd) is None, "it was the only one"
    finally:
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert select.select([listener_fd], [], [], 0)[0], "a listener without processes hangs up"
    assert receive(listener_fd) is None
    for fd in (listener_fd, pidfd, told_fd, tell_fd):
        os.close(fd)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x32 exists on x86_64 only")
def test_an_x32_call_really_ends_the_process() -> None:
    def attack(program: bytes | None) -> int:
        pid = os.fork()
        if pid == 0:
            if program is not None:
                load(program, 0)
            _libc.syscall(X32_BIT | number("getpid"))
            os._exit(0)
        return os.waitpid(pid, 0)[1]

    assert attack(None) == 0, "control: without a filter it is ENOSYS at worst"
    assert attack(compiled(SyscallRule(("getpid",), "allow"))) & 0x7F == signal.SIGSYS
