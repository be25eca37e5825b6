"""Where the cgroups of this user's supervisors are, for those that measure beside them."""

import os
from contextlib import closing
from pathlib import Path

from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.cgroup.files import cgroup_mounts, process_cgroups

__all__ = ["v1_directories", "v2_run"]


def v1_directories() -> list[Path]:
    """The directory that is delegated to us in each hierarchy; empty where v2 has the limits."""
    if not any("memory" in mount.controllers for mount in cgroup_mounts()):
        return []
    with closing(find_backend(os.getuid())) as backend:
        return [Path(base) for base in backend.path.split(" ")]


def v2_run() -> Path:
    """Where this process's supervisor, which must run, has its jobs: it is in a leaf beside them.

    It cannot be asked for once more: a second one would have its cgroups in the leaf of the first.
    """
    own = process_cgroups()[""]
    shown = (mount.shown(own) for mount in cgroup_mounts() if mount.version == 2)
    return Path(next(filter(None, shown))).parent
