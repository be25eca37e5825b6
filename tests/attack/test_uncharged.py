"""Memory of the kernel that no memory limit counts: huge pages, and locks of ranges."""

import errno

import pyseccomp
import pytest
from supervisor.bpf import Call, run

from sandbox.spec.policy import load_policy, policy_names
from sandbox.supervisor.seccomp import ARCH, compile_filter

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
ANONYMOUS, HUGE = 0x22, 0x40000
OF_ONE_PROCESS = ("jvm", "native", "node", "python")  # in others locks of processes conflict
F_GETLK, F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW = 5, 6, 7, 37, 38


def answer(policy: str, call: str, *arguments: int) -> int:
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
    program = compile_filter(load_policy(policy), listener=True).program
    return run(program, Call(ARCH, number, (*arguments, *[0] * (6 - len(arguments)))))


@pytest.mark.parametrize("policy", policy_names())
def test_no_policy_gives_huge_pages(policy: str) -> None:
    assert answer(policy, "mmap", 0, 4096, 3, ANONYMOUS, -1) == ALLOW
    assert answer(policy, "mmap", 0, 4096, 3, ANONYMOUS | HUGE, -1) != ALLOW
    assert answer(policy, "mmap", 0, 4096, 3, ANONYMOUS | HUGE | 21 << 26, -1) != ALLOW
    assert answer(policy, "memfd_create", 0, 4 | 1) != ALLOW
    assert answer(policy, "shmget", 0, 4096, 0o4000 | 0o1600) != ALLOW
    if policy == "default":
        assert answer(policy, "shmget", 0, 4096, 0o1600) == ALLOW
        assert answer(policy, "memfd_create", 0, 1) == ALLOW


@pytest.mark.parametrize("policy", OF_ONE_PROCESS)
def test_no_policy_of_one_process_has_the_kernel_keep_locks_of_ranges(policy: str) -> None:
    for high in (0, 1 << 32):
        for command in (F_SETLK, F_SETLKW):
            assert answer(policy, "fcntl", 3, command | high) == ERRNO
        for command in (F_OFD_SETLK, F_OFD_SETLKW):
            assert answer(policy, "fcntl", 3, command | high) == ERRNO | errno.ENOLCK
    for command in (F_GETLK, 3, 1030):  # F_GETFL, F_DUPFD_CLOEXEC
        assert answer(policy, "fcntl", 3, command) == ALLOW


def test_strict_has_no_locks_at_all() -> None:
    for command in (F_GETLK, F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW):
        assert answer("strict", "fcntl", 3, command) == ERRNO | errno.EPERM
