"""Memory of the kernel that no memory limit counts: huge pages, and locks of ranges."""

import pyseccomp
import pytest
from supervisor.bpf import Call, run

from sandbox.spec.policy import load_policy, policy_names
from sandbox.supervisor.seccomp import ARCH, compile_filter

ALLOW = 0x7FFF0000
ANONYMOUS, HUGE = 0x22, 0x40000
WITHOUT_LOCKS = ("strict", "native", "jvm", "node")  # others have programs that need them


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


@pytest.mark.parametrize("policy", WITHOUT_LOCKS)
def test_no_policy_of_one_process_but_python_s_gives_locks_of_ranges(policy: str) -> None:
    for command in (6, 7, 37, 38):  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
        assert answer(policy, "fcntl", 3, command) != ALLOW
        assert answer(policy, "fcntl", 3, command | 1 << 32) != ALLOW
    for command in (5, 3, 1030):  # F_GETLK, F_GETFL, F_DUPFD_CLOEXEC
        assert policy == "strict" or answer(policy, "fcntl", 3, command) == ALLOW
