"""Policy: what a job may do; the validated form of a file in policies/."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ArgumentCheck", "Policy", "SyscallRule"]


@dataclass(frozen=True, slots=True)
class ArgumentCheck:
    """A condition on one syscall argument: (argument & mask) == value, both 64 bits."""

    index: int
    mask: int
    value: int
    negated: bool = False  # True: != instead of ==


@dataclass(frozen=True, slots=True)
class SyscallRule:
    """What happens to some syscalls, where all of `where` holds for their arguments."""

    names: tuple[str, ...]
    action: str  # "allow", "kill", or an errno name such as "EPERM" or "ENOSYS"
    where: tuple[ArgumentCheck, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """Syscalls, view, limits and environment of a job. `limits` is complete: field of Limits -> value."""

    name: str
    why: str
    syscalls: tuple[SyscallRule, ...]
    default_action: str  # errno name for syscalls no rule names: "ENOSYS" or "EPERM"
    limits: Mapping[str, Any]
    environment: Mapping[bytes, bytes]
    proc: str = "pid"  # "pid": only processes (proc(5) subset=pid); "masked": all of it, masked
    cgroup_files: bool = False  # show the job its own cgroup, read-only, under /sys/fs/cgroup
    root: str = "read-only"  # or "writable": a per-job upper over the whole root
    etc: tuple[bytes, ...] = ()  # of the host's /etc: names that root "host" shows
    optional_walls: frozenset[str] = frozenset({"landlock", "time"})
