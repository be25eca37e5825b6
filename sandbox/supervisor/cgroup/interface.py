"""What the supervisor asks of cgroups, whichever version the host has.

A job's cgroup has the limits, and holds nothing but the payload: init stays where the zygote is. So
the limits bound the payload alone, and init survives its end.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sandbox.spec.limits import Limits

__all__ = ["Backend", "JobCgroup", "Usage"]


class Usage(NamedTuple):
    """What a payload has used so far. None: this kernel does not tell."""

    cpu_seconds: float
    cpu_user_seconds: float | None
    cpu_system_seconds: float | None
    memory_peak_bytes: int | None
    oom_events: int  # times its own limit left no memory to reclaim; v1 tells only 0 or 1
    oom_kills: int  # processes that the kernel killed for that, or for a shortage around it
    processes_peak: int | None
    fork_refusals: int
    throttled_seconds: float | None  # summed over the cores; None without a CPU controller
    is_whole: bool = True  # CPU time is that of all processes, to their end


class JobCgroup(Protocol):
    """The cgroup of one job; on v1, one in each hierarchy."""

    born_in: bool  # the stub is cloned into it, clone3(CLONE_INTO_CGROUP); else it moves itself
    entry_fds: tuple[int, ...]  # v2: the directory. v1: where a lone thread writes "0" to be in
    oom_fd: int | None  # v1: readable once memory has run out, for good; v2: None, see v2.py

    def limit(self, limits: Limits, *, disk_apart: bool = False) -> None:
        """Write and verify those limits that are not in force already.

        Raises SetupError naming the limit that cannot be set or does not hold.
        """
        ...

    def close_entries(self) -> None:
        """Close the entry fds, once the stub is in: 100 jobs are many fds."""
        ...

    def begin(self) -> None:
        """From here on the job's CPU time counts; what was used before was the stub's."""
        ...

    def cpu_seconds(self) -> float:
        """CPU time of the payload so far: one pread of an fd kept open."""
        ...

    def memory_split(self) -> Mapping[str, int]:
        """Bytes of memory now, by kind: anonymous, file, kernel, shmem. The dearest look of all."""
        ...

    def sample(self) -> Usage:
        """All counters, read now. The counters stand still once the payload is gone."""
        ...

    def holds_payload(self, pid: int, cgroups: bytes) -> bool:
        """Whether a process is in the payload's cgroup of every hierarchy in use.

        `cgroups`: its /proc/PID/cgroup, read by the caller, who holds a pidfd against reuse.
        """
        ...

    def kill(self) -> bool:
        """Kill the payload. False: not possible here, kill through init (v1; v2 before 5.14)."""
        ...

    def pids(self) -> list[int]:
        """The processes in it, without order. Zombies are not told."""
        ...

    def destroy(self) -> None:
        """Remove it and close all fds.

        Raises OSError EBUSY while a process is left; nothing is closed then, and the call may be
        repeated. What cannot be removed for another reason is left, as by `abandon`.
        """
        ...

    def abandon(self) -> None:
        """Close all fds; its backend goes on trying to remove it, and after that a sweep."""
        ...


class Backend(Protocol):
    """A cgroup subtree of ours, and what its limits are worth."""

    version: int
    how: str  # the way by which we got the subtree, in words
    path: str  # the subtree, for people
    hierarchies: tuple[str, ...]  # v1: mount options, one a hierarchy ("cpu,cpuacct"); v2: ()
    grades: Mapping[str, str]  # memory, processes, cpus, cpu_time, core
    gaps: Mapping[str, str]  # for each limit whose grade is not "kernel": why, and the fix
    stand_ins: Mapping[str, str]  # what this kernel does not give as others do: what is instead

    def create(
        self, name: str, limits: Limits, *, disk_apart: bool = False, shown: bool = False
    ) -> JobCgroup:
        """Make the cgroup of job `name`, unique in this runner, and write and verify its limits.

        `shown`: the job will see its cgroup's files, so it is put into every hierarchy.
        `disk_apart`: files do not count, so the kernel's limit is memory plus disk.
        Raises SetupError naming the limit that cannot be set or does not hold; nothing is left.
        """
        ...

    def sweep(self) -> list[str]:
        """Remove what dead runners left, kill its processes; the names of the removed runs."""
        ...

    def close(self) -> None:
        """Give the subtree back. Leaves what is still populated to the next runner's sweep."""
        ...
