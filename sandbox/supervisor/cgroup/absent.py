"""No cgroups: what is left where a caller accepts that (`--allow-degraded`). Nothing is counted as
a group; rlimits bound each process, and the wall clock bounds the job."""

import contextlib
import os
from collections.abc import Mapping

from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup.interface import Usage

__all__ = ["AbsentBackend"]

_TICKS = os.sysconf("SC_CLK_TCK")


class AbsentJob:
    """A job without cgroups; `JobCgroup` says what each part means."""

    born_in = False
    entry_fds: tuple[int, ...] = ()
    oom_fd: int | None = None

    def __init__(self) -> None:
        self._payload_pid = 0
        self._user = self._system = 0.0
        self._before = (0.0, 0.0)

    def limit(self, limits: Limits, *, disk_apart: bool = False) -> None:
        """There are none."""

    def close_entries(self) -> None:
        """There are none."""

    def begin(self) -> None:
        """See `JobCgroup.begin`."""
        self.cpu_seconds()
        self._before = (self._user, self._system)

    def cpu_seconds(self) -> float:
        """CPU time of the payload's first process and of children that it has waited for."""
        with contextlib.suppress(OSError):  # it is gone: what was seen last
            with open(f"/proc/{self._payload_pid}/stat", "rb") as file:  # its name: any bytes
                fields = file.read().rsplit(b")", 1)[1].split()
            user, system, waited_user, waited_system = map(int, fields[11:15])  # proc_pid_stat(5)
            self._user = (user + waited_user) / _TICKS
            self._system = (system + waited_system) / _TICKS
        return self._user + self._system - sum(self._before)

    def memory_split(self) -> Mapping[str, int]:
        """Not known."""
        return {}

    def sample(self) -> Usage:
        """Only CPU time is known."""
        total = self.cpu_seconds()
        return Usage(
            cpu_seconds=total,
            cpu_user_seconds=self._user - self._before[0],
            cpu_system_seconds=self._system - self._before[1],
            memory_peak_bytes=None,
            oom_events=0,
            oom_kills=0,
            processes_peak=None,
            fork_refusals=0,
            throttled_seconds=None,
            is_whole=False,
        )

    def holds_payload(self, pid: int, cgroups: bytes) -> bool:
        """Nothing to hold it; takes note of whose CPU time is read."""
        self._payload_pid = pid
        return True

    def kill(self) -> bool:
        """Not possible here: kill through init."""
        return False

    def pids(self) -> list[int]:
        """Not known."""
        return []

    def destroy(self) -> None:
        """Nothing to remove."""

    def abandon(self) -> None:
        """Nothing to leave."""


class AbsentBackend:
    """Stands in for a subtree; `why` is what kept us from one, with its fix."""

    version = 0
    how = "none"
    path = ""
    hierarchies: tuple[str, ...] = ()

    def __init__(self, why: str, *, own_ids: bool) -> None:
        self.grades: Mapping[str, str] = {
            "memory": "none",
            # RLIMIT_NPROC counts per uid, so it bounds a job only where the job has its own.
            "processes": "rlimit" if own_ids else "none",
            "cpus": "none",
            "cpu_time": "rlimit",
            "core": "none",
        }
        self.gaps: Mapping[str, str] = dict.fromkeys(self.grades, why)
        self.stand_ins: Mapping[str, str] = {}

    def create(
        self, name: str, limits: Limits, *, disk_apart: bool = False, shown: bool = False
    ) -> AbsentJob:
        """See `Backend.create`."""
        return AbsentJob()

    def sweep(self) -> list[str]:
        """Nothing can have been left."""
        return []

    def close(self) -> None:
        """Nothing was taken."""
