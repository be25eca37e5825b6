"""Where things are mounted, as this process sees it."""

import os
import re

from sandbox.supervisor.cgroup.files import read

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
    # proc_pid_mountinfo(5): the fifth field, with blanks and the like as octal escapes.
    lines = os.fsdecode(read("/proc/self/mountinfo")).splitlines()
    return [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines]
