"""Checks on syscall arguments as cubes: `(argument & mask) == value`, the one form seccomp has."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import ArgumentCheck

__all__ = ["ALL_BITS", "Calls", "Cube", "calls_of", "cubes_of", "intersection"]

ALL_BITS = (1 << 64) - 1
_LOW_BITS = (1 << 32) - 1
_MOST_CUBES = 128  # of one rule

Cube = dict[int, tuple[int, int]]  # argument -> (mask, value): the calls where all of them match

# Arguments of which the kernel reads the low 32 bits only (int, unsigned int; clone(2) cuts its
# long). A check on all 64 would take `high bits + TIOCSTI` for something else (CVE-2019-7303).
# A call that is not here has no checks: nobody has looked up yet how wide its arguments are.
_NARROW = {
    "accept4": {0, 3}, "arch_prctl": {0}, "bpf": {0, 2}, "clock_gettime": {0}, "clone": {0},
    "eventfd2": {0, 1}, "fcntl": {0, 1}, "futex": {1, 2, 5}, "getrandom": {2}, "getrlimit": {0},
    "getsockopt": {0, 1, 2}, "ioctl": {0, 1}, "keyctl": {0}, "kill": {0, 1}, "madvise": {2},
    "memfd_create": {1}, "mmap": {2, 3, 4}, "mount": set(), "mprotect": {2}, "open": {1, 2},
    "openat": {0, 2, 3}, "personality": {0}, "pipe2": {1}, "prctl": {0},
    "pidfd_open": {0, 1}, "prlimit64": {0, 1}, "ptrace": set(), "recvfrom": {0, 3},
    "recvmmsg": {0, 2, 3}, "recvmsg": {0, 2}, "rt_sigqueueinfo": {0, 1},
    "rt_tgsigqueueinfo": {0, 1, 2},
    "sched_getaffinity": {0, 1}, "sched_setaffinity": {0, 1}, "sched_setscheduler": {0, 1},
    "seccomp": {0, 1}, "sendmmsg": {0, 2, 3}, "sendmsg": {0, 2}, "sendto": {0, 3},
    "setns": {0, 1}, "setpriority": {0, 1, 2}, "setrlimit": {0}, "setsockopt": {0, 1, 2, 4},
    "shmget": {0, 2}, "socket": {0, 1, 2}, "socketpair": {0, 1, 2},
    "tgkill": {0, 1, 2}, "tkill": {0, 1}, "unshare": set(),
}  # fmt: skip


class Calls(NamedTuple):
    """The calls in a cube that are in none of some others."""

    cube: Cube
    without: tuple[Cube, ...]


def calls_of(name: str, where: Iterable[ArgumentCheck]) -> Calls | None:
    """The calls of `name` that meet all checks; None if there are none.

    Raises SpecError: the widths of the call's arguments are not known here.
    """
    within: Cube | None = {}
    without = []
    for check in where:
        equal = _equal(name, check)
        if not check.negated:
            within = None if within is None or equal is None else intersection(within, equal)
        elif equal is not None:
            without.append(equal)
    return None if within is None else Calls(within, tuple(without))


def cubes_of(name: str, where: Iterable[ArgumentCheck]) -> Iterator[Cube]:
    """The calls of `name` that meet all checks, as a union of cubes.

    Raises SpecError: the widths of the call's arguments are not known here, or the union would be
    too large to be compared with those of other rules: each negated check multiplies.
    """
    alternatives = [_alternatives(name, check) for check in where]
    if math.prod(map(len, alternatives)) > _MOST_CUBES:
        raise SpecError(f"syscalls.{name}", "its negated conditions are too many to be compiled")
    for choice in itertools.product(*alternatives):
        cube: Cube | None = {}
        for one in choice:
            cube = None if cube is None else intersection(cube, one)
        if cube is not None:
            yield cube


def intersection(one: Cube, other: Cube) -> Cube | None:
    """The calls in both, or None if there are none."""
    both = dict(one)
    for index, (mask, value) in other.items():
        had_mask, had_value = both.get(index, (0, 0))
        if (value ^ had_value) & mask & had_mask:
            return None
        both[index] = (mask | had_mask, value | had_value)
    return both


def _equal(name: str, check: ArgumentCheck) -> Cube | None:
    """Where the argument has the value of the check; None: nowhere."""
    if name not in _NARROW:
        raise SpecError(f"syscalls.{name}", "its arguments cannot be checked: widths not known")
    width = _LOW_BITS if check.index in _NARROW[name] else ALL_BITS
    mask, value = check.mask & width, check.value & width
    return None if value & ~mask else {check.index: (mask, value)}


def _alternatives(name: str, check: ArgumentCheck) -> list[Cube]:
    equal = _equal(name, check)
    if equal is None:
        return [{}] if check.negated else []
    if not check.negated:
        return [equal]
    # Unequal is: some bit under the mask differs.
    mask, value = equal[check.index]
    bits = (1 << n for n in range(64) if mask >> n & 1)
    return [{check.index: (bit, ~value & bit)} for bit in bits]
