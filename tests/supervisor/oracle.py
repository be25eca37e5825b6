"""What a policy file means, read by somebody who knows neither our compiler nor libseccomp.

Only the documented rules of such files are used (`load_policy`, seccomp(2)), each in the most naive
way: from the top, one rule after the other. What number a system call has, and how wide the kernel
reads an argument, are tables of its own.
"""

import functools
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["ARCHES", "EXPECTED", "Case", "Meaning", "Test", "meaning", "numbers"]

EXPECTED = Path(__file__).resolve().parent / "expected"
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*, <linux/audit.h>
_POLICIES = Path(__file__).resolve().parents[2] / "policies"
_INT, _LONG = (1 << 32) - 1, (1 << 64) - 1

# The index of an argument that a policy names, and the bits of its register that the kernel reads:
# the SYSCALL_DEFINE of each call. An int is the low half of a register, whatever is in the other.
_ARGUMENTS = {
    ("arch_prctl", "code"): (0, _INT),  # arch/x86/kernel/process_64.c: int option
    ("clone", "flags"): (0, _INT),  # kernel/fork.c: unsigned long, then lower_32_bits(clone_flags)
    ("fcntl", "cmd"): (1, _INT),  # fs/fcntl.c: unsigned int cmd
    ("kill", "0"): (0, _INT),  # kernel/signal.c: pid_t, in all of these
    ("tgkill", "0"): (0, _INT),
    ("tgkill", "tgid"): (0, _INT),
    ("tkill", "0"): (0, _INT),
    ("rt_sigqueueinfo", "0"): (0, _INT),
    ("rt_tgsigqueueinfo", "0"): (0, _INT),
    ("pidfd_open", "0"): (0, _INT),  # kernel/pid.c: pid_t
    ("madvise", "advice"): (2, _INT),  # mm/madvise.c: int behavior
    ("shmget", "2"): (2, _INT),  # ipc/shm.c: int shmflg
    ("ioctl", "request"): (1, _INT),  # fs/ioctl.c: unsigned int cmd
    ("memfd_create", "flags"): (1, _INT),  # mm/memfd.c: unsigned int
    ("mmap", "flags"): (3, _INT),  # mm/mmap.c: unsigned long, of which the low half has meaning
    ("mmap", "prot"): (2, _INT),
    ("mprotect", "prot"): (2, _INT),  # mm/mprotect.c: unsigned long, likewise
    ("open", "flags"): (1, _INT),  # fs/open.c: int
    ("openat", "flags"): (2, _INT),
    ("mount", "3"): (3, _LONG),  # fs/namespace.c: unsigned long flags
    ("personality", "persona"): (0, _INT),  # kernel/exec_domain.c: unsigned int
    ("prctl", "option"): (0, _INT),  # kernel/sys.c: int option
    ("prlimit64", "pid"): (0, _INT),  # kernel/sys.c: pid_t
    ("prlimit64", "resource"): (1, _INT),  # unsigned int
    ("prlimit64", "new_limit"): (2, _LONG),  # pointers
    ("prlimit64", "old_limit"): (3, _LONG),
    ("sched_setaffinity", "pid"): (0, _INT),  # kernel/sched/syscalls.c: pid_t
    ("sched_setscheduler", "policy"): (1, _INT),  # kernel/sched/syscalls.c: int policy
    ("recvfrom", "3"): (3, _INT),  # net/socket.c: unsigned int
    ("recvmmsg", "3"): (3, _INT),
    ("recvmsg", "2"): (2, _INT),
    ("sendmmsg", "3"): (3, _INT),  # net/socket.c: unsigned int
    ("sendmsg", "2"): (2, _INT),
    ("sendto", "3"): (3, _INT),
    ("setsockopt", "1"): (1, _INT),  # int
    ("setsockopt", "2"): (2, _INT),
    ("setrlimit", "resource"): (0, _INT),  # kernel/sys.c: unsigned int
    ("setpriority", "which"): (0, _INT),  # kernel/sys.c: int
    ("setpriority", "who"): (1, _INT),
    ("socket", "domain"): (0, _INT),  # net/socket.c: int family
    ("socketpair", "domain"): (0, _INT),
}

# <bits/socket.h>, <linux/fcntl.h>, <linux/mman.h>, <linux/memfd.h>, <asm-generic/ioctls.h>,
# <asm/prctl.h>, <linux/prctl.h>, <asm-generic/resource.h>
_VALUES = {
    "SCHED_OTHER": 0,
    "AF_UNIX": 1,
    "ARCH_GET_FS": 0x1003, "ARCH_GET_GS": 0x1004, "ARCH_SET_FS": 0x1002, "ARCH_SET_GS": 0x1001,
    "F_NOTIFY": 0x402, "F_OFD_SETLK": 37, "F_OFD_SETLKW": 38, "F_SETLEASE": 0x400, "F_SETLK": 6,
    "F_SETLKW": 7, "F_SETPIPE_SZ": 0x407, "MADV_MERGEABLE": 12,
    "FIOASYNC": 0x5452, "FIOCLEX": 0x5451, "FIONBIO": 0x5421, "FIONCLEX": 0x5450,
    "FIONREAD": 0x541B,
    "MAP_HUGETLB": 0x40000, "MFD_HUGETLB": 4, "MSG_OOB": 1,
    "PR_CAPBSET_READ": 23, "PR_GET_DUMPABLE": 3, "PR_GET_NAME": 16, "PR_GET_NO_NEW_PRIVS": 39,
    "PR_GET_PDEATHSIG": 2, "PR_GET_SECCOMP": 21, "PR_GET_THP_DISABLE": 42, "PR_GET_TIMERSLACK": 30,
    "PR_SET_NAME": 15, "PR_SET_NO_NEW_PRIVS": 38, "PR_SET_PDEATHSIG": 1, "PR_SET_THP_DISABLE": 41,
    "PR_SET_TIMERSLACK": 29, "PR_SET_VMA": 0x53564D41,
    "RLIMIT_CORE": 4,
    "TCFLSH": 0x540B, "TCGETS": 0x5401, "TCSBRK": 0x5409, "TCSETS": 0x5402, "TCSETSF": 0x5404,
    "TCSETSW": 0x5403, "TCXONC": 0x540A,
    "TIOCGPGRP": 0x540F, "TIOCGPTN": 0x80045430, "TIOCGPTPEER": 0x5441, "TIOCGSID": 0x5429,
    "TIOCGWINSZ": 0x5413, "TIOCLINUX": 0x541C, "TIOCNOTTY": 0x5422, "TIOCOUTQ": 0x5411,
    "TIOCSCTTY": 0x540E, "TIOCSPGRP": 0x5410, "TIOCSPTLCK": 0x40045431, "TIOCSTI": 0x5412,
    "TIOCSWINSZ": 0x5414,
}  # fmt: skip


class Test(NamedTuple):
    """(the register of argument `index`) & `mask` == `value`, or `is_unlike` it."""

    __test__ = False  # pytest would collect it

    index: int
    mask: int
    value: int
    words: str  # as the policy says it
    is_unlike: bool = False

    def fits(self, arguments: tuple[int, ...]) -> bool:
        return (arguments[self.index] & self.mask == self.value) is not self.is_unlike


class Case(NamedTuple):
    """What happens to a call whose arguments pass all tests."""

    tests: tuple[Test, ...]
    action: str


class Meaning(NamedTuple):
    """What a policy does with each system call: the first case that fits, else the plain action."""

    default: str  # of calls that no rule names
    plain: dict[str, str]  # syscall -> "allow", "kill", "answer 0", or an errno
    cases: dict[str, list[Case]]

    def action(self, name: str, arguments: tuple[int, ...]) -> str:
        """What becomes of one call."""
        for case in self.cases.get(name, ()):
            if all(test.fits(arguments) for test in case.tests):
                return case.action
        return self.plain.get(name, self.default)


@functools.cache
def numbers(arch: str) -> dict[str, int]:
    """The system calls of an architecture, from the kept table."""
    column = 1 + list(ARCHES).index(arch)
    found = {}
    for line in (EXPECTED / "syscalls.tbl").read_text().splitlines():
        cells = line.split()
        if not line.startswith("#") and cells[column] != "-":
            found[cells[0]] = int(cells[column])
    return found


@functools.cache
def meaning(name: str) -> Meaning:
    """What policies/NAME.toml says, or expected/NAME.toml for the filter of a process of ours."""
    inside = EXPECTED / f"{name}.toml"
    table = _read(inside if inside.exists() else _POLICIES / f"{name}.toml")
    rules = list(_rules(table))
    default = table.get("default_action")
    if "extends" in table:
        parent = _read(_POLICIES / f"{table['extends']}.toml")
        own = {syscall for syscall, _, _ in rules}
        rules += [rule for rule in _rules(parent) if rule[0] not in own]
        default = default or parent["default_action"]
    found = Meaning(default, {}, {})
    for syscall, tests, action in rules:
        if tests:
            found.cases.setdefault(syscall, []).append(Case(tests, action))
        else:
            assert found.plain.setdefault(syscall, action) == action, f"{syscall} has two actions"
    return found


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def _rules(table: dict[str, Any]) -> Iterator[tuple[str, tuple[Test, ...], str]]:
    for entry in table["syscalls"]:
        names = entry.get("allow") or entry.get("kill") or entry["names"]
        action = "allow" if "allow" in entry else "kill" if "kill" in entry else entry.get("errno")
        action = f"answer {entry['answer']}" if "answer" in entry else action
        for name in names:
            for tests in _ways(name, list(entry.get("where", {}).items())):
                yield name, tests, action


def _ways(name: str, where: list[tuple[str, dict[str, Any]]]) -> Iterable[tuple[Test, ...]]:
    if not where:
        return [()]
    (argument, condition), *rest = where
    index, read = _ARGUMENTS[name, argument]
    mask = condition.get("mask", _LONG)
    mask = _VALUES[mask] if isinstance(mask, str) else mask
    unlike = "not_equals" in condition
    values = condition.get("one_of") or [condition["not_equals" if unlike else "equals"]]
    sign = "!=" if unlike else "="
    first = [
        Test(
            index,
            mask & read,
            value & mask & read,
            _words(argument, mask & read, read, sign, said),
            unlike,
        )
        for said in values
        for value in [_VALUES[said] if isinstance(said, str) else said]
    ]
    return [(test, *others) for test in first for others in _ways(name, rest)]


def _words(argument: str, mask: int, read: int, sign: str, said: str | int) -> str:
    masked = argument if mask == read else f"{argument} & {mask:#x}"
    value = f"{said} ({_VALUES[said]:#x})" if isinstance(said, str) else f"{said:#x}"
    return f"{masked} {sign} {value}"
