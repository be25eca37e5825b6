"""Where things are mounted, as this process sees it."""

import os

from sandbox.supervisor.cgroup.files import read
from sandbox.supervisor.cgroup.parse import plain

__all__ = ["mount_point_of", "mount_points"]


def mount_points(below: str) -> list[str]:
    """The mount points below this directory, it not being one of them."""
    return [point for point in _all() if point.startswith(below.rstrip("/") + "/")]


def mount_point_of(path: str) -> str:
    """The mount point of the file system that `path` is on."""
    real = os.path.realpath(path)
    holders = [p for p in _all() if p == real or real.startswith(p.rstrip("/") + "/")]
    return max(holders, key=len, default="/")


def _all() -> list[str]:
    # proc_pid_mountinfo(5): the fifth field; splitlines() would obey what a name may hold.
    lines = os.fsdecode(read("/proc/self/mountinfo")).split("\n")
    return [plain(line.split(" ")[4]) for line in lines if line]
