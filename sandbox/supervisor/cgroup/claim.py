"""Started as root: take a subtree for the uid that the runner is about to become."""

from sandbox.supervisor.cgroup.delegate_v1 import delegate_v1
from sandbox.supervisor.cgroup.delegate_v2 import delegate_v2, enter_v2
from sandbox.supervisor.cgroup.files import cgroup_mounts

__all__ = ["claim"]


def claim(uid: int, gid: int, *children: int) -> None:
    """Make what `find_backend(uid)` will find once we are `uid`; processes `children` come along.

    Raises HostError: the mounts are read-only, or somebody else's processes are in the way.
    """
    if any("memory" in mount.controllers for mount in cgroup_mounts()):
        delegate_v1(uid, gid)
        return
    delegate_v2(uid, gid)
    # A process is moved only by who has rights over both ends, so now or never.
    for pid in (0, *children):
        enter_v2(uid, pid)
