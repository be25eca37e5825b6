"""The ways to a cgroup subtree of our own, tried in order."""

import os

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup.delegate_v1 import PREPARED, v1_mounts
from sandbox.supervisor.cgroup.files import (
    cgroup_mounts,
    exists,
    own_processes,
    process_cgroups,
    read,
)
from sandbox.supervisor.cgroup.fixes import refused, setup_command, writable_advice
from sandbox.supervisor.cgroup.interface import Backend
from sandbox.supervisor.cgroup.parse import Mount
from sandbox.supervisor.cgroup.runs import PREFIX
from sandbox.supervisor.cgroup.systemd import enter_scope, is_our_scope
from sandbox.supervisor.cgroup.v1 import CONTROLLERS, Hierarchy, V1Backend
from sandbox.supervisor.cgroup.v1 import REQUIRED as V1_REQUIRED
from sandbox.supervisor.cgroup.v2 import REQUIRED, V2Backend

__all__ = ["find_backend"]


def find_backend(uid: int) -> Backend:
    """A subtree in which `uid`, whom we run as, may limit jobs.

    Whoever has the memory controller decides the version: hybrid hosts mount an empty v2 beside v1.
    On v2 this moves the calling process and its children, so call it before any of them has
    children, and `close` at the end. Raises HostError with every way that was tried, and the fix.
    """
    try:
        return _find(uid, cgroup_mounts())
    except OSError as error:
        raise refused(error, "cgroups") from error


def _find(uid: int, mounts: list[Mount]) -> Backend:
    is_v1 = any("memory" in mount.controllers for mount in mounts)
    used = v1_mounts(mounts) if is_v1 else [mount for mount in mounts if mount.version == 2]
    if is_v1:
        return _find_v1(uid, used)
    if used:
        return _find_v2(uid, used[0])
    raise HostError(
        "no cgroup hierarchy is mounted; fix: mount -t cgroup2 cgroup2 /sys/fs/cgroup (as root), "
        "or give the container its cgroups"
    )


def _find_v1(uid: int, mounts: list[Mount]) -> Backend:
    own = process_cgroups()
    for how, directories in (
        (
            "own cgroup",
            [mount.shown(own[min(mount.controllers & {*CONTROLLERS})]) for mount in mounts],
        ),
        ("prepared directory", [f"{mount.point}/{PREPARED}/{uid}" for mount in mounts]),
    ):
        used = [
            Hierarchy(
                option=",".join(sorted(mount.controllers)),
                controllers=mount.controllers & {*CONTROLLERS},
                base=directory,
                membership=mount.membership(directory),
            )
            for mount, directory in zip(mounts, directories, strict=True)
            if directory is not None and _is_ours(uid, directory)
        ]
        found = frozenset[str]().union(*(hierarchy.controllers for hierarchy in used))
        if not found.issuperset(V1_REQUIRED):
            continue
        return V1Backend(tuple(used), how)
    if read_only := [mount.point for mount in mounts if not mount.writable]:
        raise HostError(
            f"{read_only[0]} is mounted read-only; fix: {writable_advice(read_only[0])}"
        )
    raise HostError(f'cgroup v1 "memory" is not delegated to uid {uid}; fix: {setup_command(uid)}')


def _find_v2(uid: int, mount: Mount) -> Backend:
    own = mount.shown(process_cgroups()[""])
    if own is None:
        raise HostError(
            f"our own cgroup is outside of what {mount.point} shows; fix: a private cgroup "
            "namespace for the container (docker run --cgroupns=private)"
        )
    prepared = f"{mount.point}/{PREPARED}/{uid}"
    if own.startswith(f"{prepared}/") and _is_ours(uid, prepared):
        return V2Backend(prepared, mount.membership(prepared), own, "prepared directory")
    tried = []
    reason = _why_not_alone(uid, own)
    if reason is None:
        how = "systemd user scope" if is_our_scope(own) else "own cgroup"
        return V2Backend(own, mount.membership(own), own, how)
    tried.append(f"own cgroup {own}: {reason}")
    reason = "not as another user" if uid != os.geteuid() else enter_scope(own_processes(own))
    if reason is None:
        own = mount.shown(process_cgroups()[""])
        assert own is not None
        return V2Backend(own, mount.membership(own), own, "systemd user scope")
    tried.append(f"systemd user scope: {reason}")
    if not mount.writable:
        raise HostError(
            f"{mount.point} is mounted read-only ({'; '.join(tried)}); "
            f"fix: {writable_advice(mount.point)}"
        )
    # Without a manager of the user there is nobody whose cgroups these could be but ours.
    above = _nearest_distributing(uid, own, mount.point)
    if above is not None:
        return V2Backend(above, mount.membership(above), own, "delegated cgroup above our own")
    offered = read(f"{mount.point}/cgroup.controllers").decode().split()
    if lacking := [name for name in REQUIRED if name not in offered]:
        name = lacking[0]
        raise HostError(
            f'cgroup v2 "{name}" is not in {mount.point}/cgroup.controllers; fix: boot without '
            f"cgroup_disable={name}, or with cgroup_enable={name}; in a container, have it given "
            "this controller"
        )
    raise HostError(
        f"no cgroup v2 subtree for uid {uid} ({'; '.join(tried)}); fix: {setup_command(uid)}, "
        "or run as a service with Delegate=yes, alone in it"
    )


def _is_ours(uid: int, directory: str) -> bool:
    return (
        exists(directory)
        and os.stat(directory).st_uid == uid
        and os.access(directory, os.W_OK | os.X_OK)
    )


def _is_delegated(uid: int, directory: str) -> bool:
    return _is_ours(uid, directory) and all(
        os.access(f"{directory}/{name}", os.W_OK)
        for name in ("cgroup.procs", "cgroup.subtree_control")
    )


def _why_not_alone(uid: int, own: str) -> str | None:
    if not _is_delegated(uid, own):
        return f"not delegated to uid {uid}"
    others = len(read(f"{own}/cgroup.procs").split()) - len(own_processes(own))
    if others:
        return f"other processes are in it ({others}), so its children can have no limits"
    return None


def _nearest_distributing(uid: int, own: str, top: str) -> str | None:
    directory = own
    while directory != top:
        directory = directory.rpartition("/")[0]
        if not _is_delegated(uid, directory):
            return None
        enabled = read(f"{directory}/cgroup.subtree_control").decode().split()
        # Not a run: when its runner started us, we are beside it and not its job.
        is_run = directory.rpartition("/")[2].startswith(PREFIX)
        if not is_run and all(name in enabled for name in REQUIRED):
            return directory
    return None
