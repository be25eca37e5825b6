"""What root does, so that an unprivileged uid has a cgroup v2 subtree where no systemd gives one.

v2 asks for write access to cgroup.procs of the common ancestor too, so the subtree serves only
processes that root put into it: `enter_v2`.
"""

import contextlib
import os

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup.delegate_v1 import PREPARED
from sandbox.supervisor.cgroup.files import (
    cgroup_mounts,
    exists,
    make_directory,
    remove_tree,
    tree_pids,
    write,
)
from sandbox.supervisor.cgroup.v2 import enable

__all__ = ["delegate_v2", "enter_v2", "undelegate_v2"]

_ENTRY = "entry"  # where root puts processes; never the subtree itself, which holds none
# What a delegatee may write: /sys/kernel/cgroup/delegate, less what jobs never need.
_DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def delegate_v2(uid: int, gid: int) -> str:
    """Give <mount>/sandbox/<uid> to `uid`, as root; its path. May be repeated. Lost at reboot.

    Raises HostError when not root, or a cgroup on the way holds processes.
    """
    directory = _subtree(uid)
    try:
        parent = directory.rpartition("/")[0]
        enable(parent.rpartition("/")[0])
        for path in (parent, directory):
            with contextlib.suppress(FileExistsError):
                make_directory(path)
            enable(path)
        with contextlib.suppress(FileExistsError):
            make_directory(f"{directory}/{_ENTRY}")
        for path in (directory, f"{directory}/{_ENTRY}"):
            os.chown(path, uid, gid)
            for name in _DELEGATED:
                os.chown(f"{path}/{name}", uid, gid)
    except OSError as error:
        raise HostError(
            f"{error.filename or directory}: {error.strerror}; fix: run as root, where the cgroup "
            "mount is writable"
        ) from error
    return directory


def enter_v2(uid: int, pid: int = 0) -> None:
    """Put process `pid`, or the caller, into the subtree of `uid`, as root."""
    write(f"{_subtree(uid)}/{_ENTRY}/cgroup.procs", b"%d" % pid)


def undelegate_v2(uid: int) -> list[str]:
    """Remove what `delegate_v2` made, as root; the directories removed.

    Raises HostError while a process is in it.
    """
    directory = _subtree(uid)
    if not exists(directory):
        return []
    if pids := tree_pids(directory):
        raise HostError(f"{directory} holds {len(pids)} processes; fix: end them first")
    remove_tree(directory)
    with contextlib.suppress(OSError):  # another user's is beside it
        os.rmdir(directory.rpartition("/")[0])
    return [directory]


def _subtree(uid: int) -> str:
    for mount in cgroup_mounts():
        if mount.version == 2:
            return f"{mount.point}/{PREPARED}/{uid}"
    raise HostError("cgroup v2 is not mounted; fix: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
