"""The commands that our messages tell people to run."""

import errno
import os
import pwd

from sandbox.spec.errors import HostError

__all__ = ["refused", "setup_command", "writable_advice"]


def setup_command(uid: int | None = None) -> str:
    """What an administrator runs for `uid`, or for ourselves."""
    uid = os.geteuid() if uid is None else uid
    try:
        return f"sandbox setup --user {pwd.getpwuid(uid).pw_name} (as root)"
    except KeyError:  # a container's uid, or one of root's own range, has no name
        return f"sandbox setup --user {uid} (as root)"


def refused(error: OSError, directory: str) -> HostError:
    """What it means that the kernel refused `error` to us in or at the cgroup `directory`."""
    fix = {
        errno.EROFS: "mount it writable (in a container: with a cgroup namespace of its own)",
        # No other reason is documented for mkdir(2) here; admin-guide/cgroup-v2.
        errno.EAGAIN: "raise cgroup.max.descendants and cgroup.max.depth of it and of those above",
        errno.EOPNOTSUPP: "start in a cgroup that is not threaded (cgroup.type)",
        errno.ENODEV: "whoever removed it while we used it must leave it alone",
        errno.ENOENT: "whoever removed it while we used it must leave it alone",
    }.get(error.errno or 0, setup_command())
    return HostError(f"{error.filename or directory}: {error.strerror}; fix: {fix}")


def writable_advice(point: str) -> str:
    """What whoever made the mount `point` read-only does about it."""
    import shlex

    return (
        "mount it writable: in a unit, ProtectControlGroups=no and Delegate=yes; podman run "
        "--security-opt unmask=ALL, docker run --security-opt writable-cgroups=true; in this "
        f"mount namespace as root: mount -o remount,bind,rw {shlex.quote(point)}"
    )
