"""What all jobs together may take, where the configuration does not say: shares of this host."""

import os
import resource
from pathlib import Path

from sandbox.server.admission import Demand
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.startup import Ground
from sandbox.supervisor.sysctls import read_sysctl

__all__ = ["host_budget"]

_JOBS = 1000
_MEMORY_SHARE = 0.75  # the rest is the host's, ours, and the page cache's
_CPUS_A_CORE = 2.0  # a job is built up, waits and is taken down half of its time
_PROCESS_SHARE = 0.5
_DISK_SHARE = 0.5
_FD_SHARE = 0.5  # the rest is for clients
_FDS_A_JOB = 24
_LEAST_PID_MAX = 32768  # where /proc does not tell; the kernel's own default, proc_sys_kernel(5)


def host_budget(ground: Ground, state: Path) -> Demand:
    """What jobs may take of this host. `state`: where outputs and artifacts are spooled."""
    ranges = ground.base.ranges
    fds = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    disk = os.statvfs(state)
    pid_max = read_sysctl("kernel.pid_max") or _LEAST_PID_MAX
    return Demand(
        jobs=max(1, min(_JOBS, int(fds * _FD_SHARE) // _FDS_A_JOB)),
        memory_bytes=int(_memory_bytes() * _MEMORY_SHARE),
        cpus=CORES * _CPUS_A_CORE,
        processes=int(pid_max * _PROCESS_SHARE),
        uids=_JOBS if ranges is None else ranges.count,
        disk_bytes=int(disk.f_bavail * disk.f_frsize * _DISK_SHARE),
    )


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
