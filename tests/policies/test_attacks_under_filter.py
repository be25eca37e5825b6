"""Calls that no job should get through, really made: under each filter, and without it."""

import errno
import functools
import os
from typing import NamedTuple

import pyseccomp
import pytest
from policies.filtered import ARCH, errno_of, libc_syscall

PROCESSES = ("compile", "default", "shell")
THREADS = ("jvm", "native", "node", "python")
ALL = (*PROCESSES, *THREADS, "strict")
LOCAL_SOCKETS = ("compile", "default", "jvm", "node", "shell")
BAD = 1 << 47  # no address of a process: the kernel answers EFAULT where it would read there
NEW_USER, THREAD, SIGCHLD = 0x10000000, 0x10000, 17
MSG_OOB, F_SETLK, F_OFD_SETLK, SHM_HUGETLB, RLIMIT_CORE = 1, 6, 37, 0o4000, 4
MAP_FIXED_HUGE, MFD_HUGETLB = 0x40032, 4  # MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_HUGETLB
F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ = 0x400, 0x402, 0x407
TIOCSTI, TIOCLINUX, SIOCGIFCONF = 0x5412, 0x541C, 0x8912
HIGH = 1 << 32
OTHER = os.getpid()  # a process of the same uid, as init is to the payload


class Attack(NamedTuple):
    """A system call, and what it meets under the policies named."""

    call: str
    arguments: tuple[int, ...]
    refusal: int | str
    policies: tuple[str, ...] = ALL


KILLED = [
    Attack("ptrace", (0, 0, 0, 0), "kill"),
    Attack("process_vm_readv", (1, BAD, 1, BAD, 1, 0), "kill"),
    Attack("process_vm_writev", (1, BAD, 1, BAD, 1, 0), "kill"),
    Attack("pidfd_getfd", (-1, 0, 0), "kill"),
    Attack("mount", (0, BAD, 0, 0, 0), "kill"),
    Attack("umount2", (BAD, 0), "kill"),
    Attack("pivot_root", (BAD, BAD), "kill"),
    Attack("move_mount", (-1, BAD, -1, BAD, 0), "kill"),
    Attack("open_tree", (-1, BAD, 0), "kill"),
    Attack("fsopen", (BAD, 0), "kill"),
    Attack("fsmount", (-1, 0, 0), "kill"),
    Attack("fsconfig", (-1, 0, 0, 0, 0), "kill"),
    Attack("fspick", (-1, BAD, 0), "kill"),
    Attack("mount_setattr", (-1, BAD, 0, BAD, 32), "kill"),
    Attack("setns", (-1, 0), "kill"),
    Attack("unshare", (NEW_USER,), "kill"),
    Attack("bpf", (0, BAD, 64), "kill"),
    Attack("keyctl", (0, -3, 0, 0, 0), "kill"),
    Attack("add_key", (BAD, BAD, 0, 0, 0), "kill"),
    Attack("request_key", (BAD, BAD, 0, 0), "kill"),
    Attack("userfaultfd", (0x1000,), "kill"),
    Attack("open_by_handle_at", (-1, BAD, 0), "kill"),
    Attack("kexec_load", (0, 0, 0, 0), "kill"),
    Attack("init_module", (BAD, 0, BAD), "kill"),
    Attack("finit_module", (-1, BAD, 0), "kill"),
    Attack("delete_module", (BAD, 0), "kill"),
    Attack("reboot", (0, 0, 0, 0), "kill"),  # wrong magic numbers: EPERM or EINVAL, never more
    Attack("swapon", (BAD, 0), "kill"),
    Attack("swapoff", (BAD,), "kill"),
    Attack("settimeofday", (BAD, 0), "kill"),
    Attack("clock_settime", (0, BAD), "kill"),
    Attack("acct", (BAD,), "kill"),
    Attack("quotactl", (-1, BAD, 0, 0), "kill"),
    Attack("iopl", (3,), "kill"),
    Attack("ioperm", (0, 1, 1), "kill"),
    Attack("ioctl", (-1, TIOCSTI, BAD), "kill"),
    Attack("ioctl", (-1, HIGH | TIOCSTI, BAD), "kill"),
    Attack("ioctl", (-1, TIOCLINUX, BAD), "kill"),
]

REFUSED = [
    Attack("clone3", (BAD, 88), errno.ENOSYS),
    Attack("io_uring_setup", (1, BAD), errno.ENOSYS),
    Attack("clone", (NEW_USER | SIGCHLD, 0, 0, 0, 0), errno.EPERM),
    Attack("clone", (NEW_USER | THREAD, 0, 0, 0, 0), errno.EPERM),
    Attack("clone", (HIGH | SIGCHLD, 0, 0, 0, 0), errno.EPERM, (*THREADS, "strict")),
    Attack("clone", (SIGCHLD, 0, 0, 0, 0), errno.EPERM, (*THREADS, "strict")),
    Attack("fork", (), errno.EPERM, (*THREADS, "strict")),
    Attack("setsockopt", (-1, 1, 26, BAD, 16), errno.ENOPROTOOPT, (*LOCAL_SOCKETS, "python")),
    Attack("setsockopt", (-1, HIGH | 1, 26, BAD, 16), errno.ENOPROTOOPT, LOCAL_SOCKETS),
    Attack("sendto", (-1, BAD, 1, MSG_OOB, 0, 0), errno.EOPNOTSUPP, (*LOCAL_SOCKETS, "python")),
    Attack("sendmsg", (-1, BAD, MSG_OOB), errno.EOPNOTSUPP, (*LOCAL_SOCKETS, "python")),
    Attack("sendmmsg", (-1, BAD, 1, MSG_OOB), errno.EOPNOTSUPP, PROCESSES),
    # Where a page would be, so that the kernel itself has another complaint.
    Attack("mmap", (1, 4096, 0, MAP_FIXED_HUGE, -1, 0), errno.ENOMEM),
    Attack("memfd_create", (BAD, MFD_HUGETLB), errno.ENOSYS, (*PROCESSES, *THREADS)),
    Attack("shmget", (1, 4096, SHM_HUGETLB), errno.ENOMEM, ("default",)),
    Attack("fcntl", (0, F_SETLK, BAD), 0, THREADS),
    Attack("fcntl", (0, F_OFD_SETLK, BAD), errno.ENOLCK, THREADS),
    Attack("pidfd_open", (1, 0), errno.EPERM, PROCESSES),
    Attack("inotify_init1", (0,), errno.ENOSYS, (*PROCESSES, *THREADS)),
    Attack("fcntl", (0, F_NOTIFY, 1), errno.EINVAL, (*PROCESSES, *THREADS)),
    Attack("fcntl", (0, HIGH | F_NOTIFY, 1), errno.EINVAL, (*PROCESSES, *THREADS)),
    Attack("fcntl", (0, F_SETLEASE, 0), errno.EINVAL, (*PROCESSES, *THREADS)),
    Attack("fcntl", (0, F_SETPIPE_SZ, 1), errno.EPERM, (*PROCESSES, *THREADS)),
    Attack("prlimit64", (OTHER, 7, 0, 0), errno.EPERM),
    Attack("prlimit64", (0, RLIMIT_CORE, BAD, 0), 0),
    Attack("prlimit64", (HIGH, HIGH | RLIMIT_CORE, BAD, 0), 0),
    Attack("prlimit64", (0, RLIMIT_CORE, BAD, BAD), errno.EPERM),
    Attack("setrlimit", (RLIMIT_CORE, BAD), 0, (*PROCESSES, *THREADS)),
    Attack("personality", (0x400000,), errno.EPERM),
    Attack("personality", (8,), errno.EPERM),
    Attack("ioctl", (-1, SIOCGIFCONF, BAD), errno.ENOTTY),
    Attack("prctl", (22, 2, BAD, 0, 0), errno.EINVAL, (*PROCESSES, *THREADS)),  # PR_SET_SECCOMP
    Attack("seccomp", (1, 0, BAD), errno.ENOSYS, (*PROCESSES, *THREADS)),
    Attack("arch_prctl", (0x1011, 0), errno.EINVAL),  # ARCH_GET_CPUID
    Attack("chroot", (BAD,), errno.EPERM),
    Attack("perf_event_open", (BAD, 0, -1, -1, 0), errno.EPERM),
    Attack("socket", (2, 1, 0), errno.EAFNOSUPPORT, (*PROCESSES, *THREADS)),
    Attack("socket", (10, 2, 0), errno.EAFNOSUPPORT, (*PROCESSES, *THREADS)),
    Attack("socket", (16, 3, 0), errno.EAFNOSUPPORT, (*PROCESSES, *THREADS)),  # netlink
    Attack("socket", (HIGH | 2, 1, 0), errno.EAFNOSUPPORT, (*PROCESSES, *THREADS)),
    Attack("socket", (1, 1, 0), errno.EAFNOSUPPORT, ("native", "python")),
    Attack("socket", (1, 1, 0), errno.EPERM, ("strict",)),
    Attack("socketpair", (2, 1, 0, BAD), errno.EAFNOSUPPORT, (*PROCESSES, *THREADS)),
    Attack("openat", (-100, BAD, 0, 0), errno.EACCES, ("strict",)),
    Attack("sched_setaffinity", (1, 8, BAD), errno.EPERM),
    Attack("setpriority", (0, OTHER, 0), errno.EPERM, ("default", "shell", "strict")),
]

PERMITTED = [
    Attack("socket", (1, 1, 0), 0, LOCAL_SOCKETS),
    Attack("prlimit64", (0, 7, 0, 0), 0),
    Attack("prlimit64", (HIGH, 7, 0, 0), 0),  # the kernel reads pid 0
    Attack("prlimit64", (0, RLIMIT_CORE, 0, 0), 0),
    Attack("getpid", (), 0),
    Attack("clone", (SIGCHLD, 0, 0, 0, 0), 0, PROCESSES),
    Attack("personality", (0xFFFFFFFF,), 0, (*PROCESSES, *THREADS)),
]


def _rows(attacks: list[Attack]) -> list[object]:
    return [
        pytest.param(attack, policy, id=f"{policy}-{attack.call}-{attack.arguments}")
        for attack in attacks
        for policy in attack.policies
    ]


@functools.cache
def _without(attack: Attack) -> int | str:
    return errno_of(_call(attack), None)


def _call(attack: Attack) -> functools.partial[int]:
    number = pyseccomp.resolve_syscall(ARCH, attack.call)
    if number < 0:
        pytest.skip(f"{attack.call} is no system call of this architecture")
    return functools.partial(libc_syscall, number, *attack.arguments)


@pytest.mark.parametrize(("attack", "policy"), _rows(KILLED))
def test_a_call_of_no_honest_program_kills(attack: Attack, policy: str) -> None:
    assert _without(attack) != "kill", "control: without a filter the kernel answers"
    assert errno_of(_call(attack), policy) == "kill"


@pytest.mark.parametrize(("attack", "policy"), _rows(REFUSED))
def test_a_call_that_runtimes_try_meets_its_errno(attack: Attack, policy: str) -> None:
    if _without(attack) == attack.refusal:
        pytest.skip("control: this host refuses it without a filter too")
    assert errno_of(_call(attack), policy) == attack.refusal


@pytest.mark.parametrize(("attack", "policy"), _rows(PERMITTED))
def test_a_call_that_is_allowed_works(attack: Attack, policy: str) -> None:
    assert errno_of(_call(attack), policy) == 0
