"""cgroup v2: a delegated subtree that this process is in; kernel docs, admin-guide/cgroup-v2."""

import contextlib
import errno
import os
from collections.abc import Mapping

from sandbox.spec.errors import HostError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup import runs
from sandbox.supervisor.cgroup.features import check_required, stand_ins
from sandbox.supervisor.cgroup.files import (
    exists,
    make_directory,
    own_processes,
    read,
    read_optional,
    write,
)
from sandbox.supervisor.cgroup.fixes import setup_command
from sandbox.supervisor.cgroup.left import Left
from sandbox.supervisor.cgroup.v2_job import V2Job

__all__ = ["REQUIRED", "V2Backend", "enable"]

REQUIRED = ("memory", "pids")
_CONTROLLERS = (*REQUIRED, "cpu", "cpuset")


def enable(directory: str) -> tuple[str, ...]:
    """Let the children of `directory` use our controllers; those that it has of them.

    Raises HostError when a required one is missing, or processes in `directory` forbid it.
    """
    present = read(f"{directory}/cgroup.controllers").decode().split()
    if missing := [name for name in REQUIRED if name not in present]:
        raise HostError(
            f'cgroup v2 "{missing[0]}" is not delegated in {directory}; fix: {setup_command()}, '
            "or Delegate=yes in the unit"
        )
    usable = tuple(name for name in _CONTROLLERS if name in present)
    try:
        write(
            f"{directory}/cgroup.subtree_control", " ".join(f"+{name}" for name in usable).encode()
        )
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        raise HostError(
            f"{directory} holds processes, so its children can have no limits (no internal "
            f"processes, cgroups(7)); fix: start in a cgroup of its own, or {setup_command()}"
        ) from error
    return usable


def _move(source: str, target: str) -> None:
    for pid in own_processes(source):
        write(f"{target}/cgroup.procs", b"%d" % pid)


class V2Backend:
    """Cgroups below `base`; `Backend` says what each part means.

    Moves this process and its children into a leaf of the run: whoever stays behind in `base`
    forbids the controllers. A zygote has to come along, for it may clone only into cgroups below an
    ancestor of its own that it may write.
    """

    version = 2
    hierarchies: tuple[str, ...] = ()

    def __init__(self, base: str, membership: str, origin: str, how: str) -> None:
        """`membership`: of `base`, as in /proc/PID/cgroup. `origin`: where this process is now."""
        self.how = how
        self.path = base
        self._base, self._origin, self._left = base, origin, Left()
        self._distributed = read(f"{base}/cgroup.subtree_control").split()
        self._run = runs.claim((base,))
        (self._directory,) = self._run.directories
        self._membership = f"{membership.rstrip('/')}/{self._run.name}"
        try:
            make_directory(self._leaf)
            _move(origin, self._leaf)
            enable(base)
            self._controllers = enable(self._directory)
            # The leaf has what a job's cgroup will have.
            check_required(self.version, self._has)
            self._fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except BaseException:
            self._leave()
            raise
        try:
            self._has_swap = self._has("memory.swap.max")
            self.stand_ins = stand_ins(self.version, self._has)
            self.grades, self.gaps = self._grade()
        except BaseException:
            self.close()
            raise

    def create(
        self, name: str, limits: Limits, *, disk_apart: bool = False, shown: bool = False
    ) -> V2Job:
        """See `Backend.create`. One hierarchy holds it all, shown or not."""
        self._left.remove()
        job = V2Job(name, self._fd, self._membership, self._left)
        try:
            job.build(self._controllers, limits, disk_apart, self._has_swap)
        except BaseException:
            with contextlib.suppress(OSError):
                job.destroy()
            raise
        return job

    def sweep(self) -> list[str]:
        """See `Backend.sweep`."""
        return runs.sweep((self._base,))

    def close(self) -> None:
        """See `Backend.close`. Moves this process and its children back to where it came from."""
        self._left.remove()
        os.close(self._fd)
        self._leave()

    @property
    def _leaf(self) -> str:
        return f"{self._directory}/supervisor"

    def _has(self, file: str) -> bool:
        return exists(f"{self._leaf}/{file}")

    def _leave(self) -> None:
        with contextlib.suppress(OSError):
            if self._origin == self._base and not self._distributed:  # else it may not hold us
                enabled = read(f"{self._base}/cgroup.subtree_control").decode().split()
                for directory in (self._directory, self._base):
                    disabling = " ".join(f"-{name}" for name in enabled).encode()
                    write(f"{directory}/cgroup.subtree_control", disabling)
            _move(self._leaf, self._origin)
            os.rmdir(self._leaf)
        self._run.release()

    def _grade(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        grades = {"memory": "kernel", "processes": "kernel", "cpu_time": "polled"}
        gaps = {"cpu_time": "no kernel object stops a group at a CPU time; cpu.stat is polled"}
        if not self._has_swap and (read_optional("/proc/swaps") or b"").splitlines()[1:]:
            grades["memory"] = "none"
            gaps["memory"] = "jobs can use swap; fix: boot with swapaccount=1, or swapoff -a"
        for limit, controller in (("cpus", "cpu"), ("core", "cpuset")):
            is_usable = controller in self._controllers
            grades[limit] = "kernel" if is_usable else "none"
            if not is_usable:
                gaps[limit] = (
                    f'cgroup v2 "{controller}" is not delegated, or this kernel lacks it; '
                    f"fix: {setup_command()}"
                )
        return grades, gaps
