"""What root does once, so that an ordinary user has a cgroup v1 directory: one in each hierarchy.

v1 looks at the destination only: who may write a cgroup.procs may move own processes there. So the
user can leave a memory limit set elsewhere in the tree; a bound on all of a user's jobs belongs
into the files of <hierarchy>/sandbox/<uid>, which stay root's.
"""

import contextlib
import os

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup import runs
from sandbox.supervisor.cgroup.files import (
    cgroup_mounts,
    exists,
    make_directory,
    read,
    write,
)
from sandbox.supervisor.cgroup.parse import Mount
from sandbox.supervisor.cgroup.v1 import CONTROLLERS, REQUIRED

__all__ = ["PREPARED", "delegate_v1", "undelegate_v1", "v1_mounts"]

PREPARED = "sandbox"  # <hierarchy>/sandbox/<uid>


def v1_mounts(mounts: list[Mount]) -> list[Mount]:
    """The v1 mounts whose hierarchies we use. HostError: one that we need is missing."""
    used = [mount for mount in mounts if mount.version == 1 and mount.controllers & {*CONTROLLERS}]
    found = frozenset[str]().union(*(mount.controllers for mount in used))
    if missing := [name for name in REQUIRED if name not in found]:
        raise HostError(
            f'cgroup v1 "{missing[0]}" is not mounted; fix: mount -t cgroup -o {missing[0]} '
            f"cgroup /sys/fs/cgroup/{missing[0]} (as root), or boot with cgroup v2"
        )
    return used


def delegate_v1(uid: int, gid: int) -> list[str]:
    """Give <hierarchy>/sandbox/<uid> to `uid`, as root; the directories made or changed now.

    May be repeated. Lost at reboot. Raises HostError when not root, or a mount is read-only.
    """
    changed = []
    try:
        for mount in v1_mounts(cgroup_mounts()):
            for directory in (f"{mount.point}/{PREPARED}", f"{mount.point}/{PREPARED}/{uid}"):
                if _make(directory, "cpuset" in mount.controllers):
                    changed.append(directory)
            status = os.stat(directory)
            if (status.st_uid, status.st_gid) != (uid, gid):
                os.chown(directory, uid, gid)
                changed += [] if directory in changed else [directory]
    except OSError as error:
        raise HostError(
            f"{error.filename or 'cgroup v1'}: {error.strerror}; fix: run as root, "
            "where the cgroup mounts are writable"
        ) from error
    return changed


def undelegate_v1(uid: int) -> list[str]:
    """Remove what `delegate_v1` made, as root; the directories removed.

    Leftovers of dead runners go too. Raises HostError while a runner of `uid` lives.
    """
    removed = []
    bases = [f"{mount.point}/{PREPARED}/{uid}" for mount in v1_mounts(cgroup_mounts())]
    bases = [base for base in bases if exists(base)]
    try:
        if bases:
            runs.sweep(bases)
        for base in bases:
            os.rmdir(base)
            removed.append(base)
            with contextlib.suppress(OSError):  # another user's is beside it
                os.rmdir(base.rpartition("/")[0])
    except OSError as error:
        raise HostError(
            f"{error.filename}: {error.strerror}; fix: as root, when no job of uid {uid} runs"
        ) from error
    return removed


def _make(directory: str, is_cpuset: bool) -> bool:
    if is_new := not exists(directory):
        make_directory(directory)
    # A new cpuset is empty, and a child can have no more than its parent; cpuset(7).
    for name in ("cpuset.cpus", "cpuset.mems") if is_cpuset else ():
        if not read(f"{directory}/{name}").strip():
            write(f"{directory}/{name}", read(f"{directory}/../{name}").strip())
    return is_new
