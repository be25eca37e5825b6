"""From a bare process to a supervisor's ground: ids mapped, cgroups ours, privileges gone.

All of it happens before trio runs, in the only order that works: the base namespace needs root's
or newuidmap's help, and what root opens for us it must open before it drops.
"""

import contextlib
import os
import resource
from typing import TYPE_CHECKING

from sandbox.spec.errors import HostError
from sandbox.spec.job import Job
from sandbox.supervisor import cgroup
from sandbox.supervisor.failures import told_as
from sandbox.supervisor.identity import BaseMap, Identities, plan_base_map, runtime_directory
from sandbox.supervisor.keeper import Keeper
from sandbox.supervisor.lookout import Lookout
from sandbox.supervisor.zygote import ZygoteProcess

if TYPE_CHECKING:
    from sandbox.supervisor.files import Files
    from sandbox.supervisor.planner import Planner, TemplateKey

__all__ = ["Ground", "runner_ids", "start_keeper", "take_ground"]

_LEAST_FDS = 128  # a job in a process of its own was seen to fail with 67, and to run with 68


class Ground:
    """What the host gave us, before anything runs."""

    def __init__(
        self,
        backend: cgroup.Backend,
        base: BaseMap,
        identities: Identities | None,
        keeper: Keeper,
        base_fd: int,
        lookout: Lookout,
        changed: tuple[str, ...],
    ) -> None:
        self.backend = backend
        self.base = base
        self.identities = identities  # None: every job runs under the runner's own id
        self.keeper, self.lookout = keeper, lookout
        self.changed = changed  # the directories in which it has files changed: cgroups and leases
        self.base_fd = base_fd  # the base user namespace, for every zygote after the first
        self._spare: ZygoteProcess | None = keeper.first
        self._planned: tuple[TemplateKey, Planner] | None = None

    def mount_ahead(self, key: "TemplateKey", planner: "Planner") -> None:
        """Have the first zygote mount this template, before anybody can wait for it."""
        assert self._spare is not None
        self._spare.mount_ahead(planner.template)
        self._planned = key, planner

    def planner(self, key: "TemplateKey") -> "Planner | None":
        """What was planned ahead, if it was for this key."""
        return self._planned[1] if self._planned and self._planned[0] == key else None

    def take_spare(self, planner: "Planner") -> ZygoteProcess | None:
        """The zygote that made the base namespace, for the first who asks.

        Not where it has mounted another template meanwhile: then it ends.
        """
        spare, self._spare = self._spare, None
        if spare is not None and spare.mounted not in (None, planner.template):
            spare.close()
            return None
        return spare

    def close(self) -> None:
        """Give it all back; no zygote but the first may be left, which must leave its cgroup."""
        for process in (self.lookout, self.keeper.first, self.keeper):
            process.close()
        self.backend.close()
        os.close(self.base_fd)


def runner_ids() -> tuple[int, int]:
    """The uid and gid that jobs will be run by: ours, or what root is about to become."""
    base = _plan_base()
    return base.uid, base.gid


@told_as("starting the keeper")
def start_keeper() -> Keeper:
    """Start the keeper's interpreter, which takes a while: first of all, and without waiting.

    Raises HostError: our rlimits are too low.
    """
    # With a umask that takes the owner's own rights away, cgroups would be made that nobody of this
    # user could enter, or remove, any more.
    os.umask(os.umask(0o077) & 0o077)
    # A job is some twenty fds of ours, and the usual soft limit of 1024 is for select(2).
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most != resource.RLIM_INFINITY and most < _LEAST_FDS:
        raise HostError(
            f"only {most} files can be open at a time, and the first job takes {_LEAST_FDS}; fix: "
            "ulimit -Hn (limits.conf(5)), LimitNOFILE= of the unit, --ulimit nofile= of the "
            "container"
        )
    with contextlib.suppress(ValueError):  # somebody forbids it; then there are fewer jobs at once
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return Keeper(owner=_plan_base().uid if os.geteuid() == 0 else None)


@told_as("starting the supervisor")
def take_ground(
    keeper: Keeper, job: Job | None = None, *, allow_degraded: bool = False
) -> "tuple[Ground, Files]":
    """Map the ids, find the cgroups, open the files of `job`; drop for good where we are root.

    `job`: the only one that there will be. `allow_degraded`: do without cgroups where there are
    none for us. Raises HostError, SpecError, SetupError; the caller closes the keeper.
    """
    from sandbox.supervisor.files import Files
    from sandbox.supervisor.own_filters import lookout_filter

    is_root = os.geteuid() == 0
    zygote = keeper.first
    base = zygote.map_ids(_plan_base())
    with contextlib.ExitStack() as opened:
        base_fd = os.open(f"/proc/{zygote.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        opened.callback(os.close, base_fd)
        if is_root:
            cgroup.claim(base.uid, base.gid, keeper.pid, zygote.pid)
        files = Files((), ()) if job is None else Files.open(job)
        opened.callback(files.close)
        directory = runtime_directory(base.uid) if base.ranges is not None else None
        if is_root:
            from sandbox.supervisor.privileges import drop_for_good

            drop_for_good(base.uid, base.gid)
        is_degraded = allow_degraded or (job is not None and job.allow_degraded)
        backend = _find_backend(base, allow_degraded=is_degraded)
        opened.callback(backend.close)
        backend.sweep()
        identities = None if directory is None else Identities(base.ranges, directory)
        # Not before: it is forked into the cgroup that the keeper is in then.
        lookout = Lookout(keeper, base_fd, lookout_filter())
        changed = (*backend.path.split(), *([] if directory is None else [str(directory)]))
        opened.pop_all()
        return Ground(backend, base, identities, keeper, base_fd, lookout, changed), files


def _find_backend(base: BaseMap, *, allow_degraded: bool) -> cgroup.Backend:
    try:
        return cgroup.find_backend(base.uid)
    except HostError as error:
        if not allow_degraded:
            raise
        return cgroup.AbsentBackend(str(error), own_ids=base.ranges is not None)


def _plan_base() -> BaseMap:
    if os.geteuid() == 0:
        from sandbox.supervisor.privileges import check_rights, choose_root_map

        check_rights()
        return choose_root_map()
    if os.getuid() != os.geteuid():
        raise HostError("sandbox must not be set-uid; fix: chmod u-s its program")
    return plan_base_map(os.getuid(), os.getgid())
