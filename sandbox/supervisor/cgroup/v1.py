"""cgroup v1: a directory of ours in each hierarchy; kernel docs, admin-guide/cgroup-v1."""

import contextlib
import os
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup import runs
from sandbox.supervisor.cgroup.features import stand_ins
from sandbox.supervisor.cgroup.files import exists, read, read_optional, write
from sandbox.supervisor.cgroup.fixes import setup_command
from sandbox.supervisor.cgroup.left import Left
from sandbox.supervisor.cgroup.v1_job import Place, V1Job

__all__ = ["CONTROLLERS", "REQUIRED", "Hierarchy", "V1Backend"]

REQUIRED = ("memory", "pids", "cpuacct")
CONTROLLERS = (*REQUIRED, "cpu", "cpuset")


class Hierarchy(NamedTuple):
    """One mounted hierarchy, and our directory in it."""

    option: str  # as mount(8) wants it: "cpu,cpuacct"
    controllers: frozenset[str]  # those of CONTROLLERS in it
    base: str  # the directory that is delegated to us
    membership: str  # the same, as /proc/PID/cgroup names it


class V1Backend:
    """Cgroups in the v1 hierarchies; `Backend` says what each part means."""

    version = 1

    def __init__(self, hierarchies: tuple[Hierarchy, ...], how: str) -> None:
        self.how = how
        self.path = " ".join(hierarchy.base for hierarchy in hierarchies)
        self._bases = tuple(hierarchy.base for hierarchy in hierarchies)
        self._run = runs.claim(self._bases)
        self._left = Left()
        self._places: tuple[Place, ...] = ()
        try:
            self._look(hierarchies)
        except BaseException:
            self.close()
            raise

    def create(
        self, name: str, limits: Limits, *, disk_apart: bool = False, shown: bool = False
    ) -> "V1Job":
        """See `Backend.create`."""
        places = self._places
        if self._cpuset is None or (limits.core is None and not shown):
            # Two directories, for nothing.
            places = tuple(place for place in places if place.controllers != {"cpuset"})
        self._left.remove()
        job = V1Job(name, places, self._left)
        try:
            job.build(self._cpuset, limits, disk_apart, self._has_memsw)
        except BaseException:
            with contextlib.suppress(OSError):
                job.destroy()
            raise
        return job

    def sweep(self) -> list[str]:
        """See `Backend.sweep`."""
        return runs.sweep(self._bases)

    def close(self) -> None:
        """See `Backend.close`."""
        self._left.remove()
        for place in self._places:
            os.close(place.fd)
        self._run.release()

    def _has(self, file: str) -> bool:
        return exists(file, self._fd[file.partition(".")[0]])

    def _look(self, hierarchies: tuple[Hierarchy, ...]) -> None:
        """Open our directories, and see what can be limited in them."""
        for hierarchy, directory in zip(hierarchies, self._run.directories, strict=True):
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            membership = f"{hierarchy.membership.rstrip('/')}/{self._run.name}"
            self._places += (Place(hierarchy.controllers, fd, membership),)
        self._fd = {name: place.fd for place in self._places for name in place.controllers}
        self._closes_swap()
        self._cpuset = self._fills_cpuset()
        self.hierarchies = tuple(
            hierarchy.option
            for hierarchy in hierarchies
            if self._cpuset is not None or hierarchy.controllers != {"cpuset"}
        )
        self.stand_ins = stand_ins(self.version, self._has)
        self.grades, self.gaps = self._grade()

    def _closes_swap(self) -> None:
        memory_fd = self._fd["memory"]
        self._has_memsw = exists("memory.memsw.limit_in_bytes", memory_fd)
        # Jobs inherit it: below its own limit, such a cgroup swaps nothing (memory.rst, 5.3).
        with contextlib.suppress(OSError):
            write("memory.swappiness", b"0", memory_fd)

    def _fills_cpuset(self) -> tuple[bytes, bytes] | None:
        # A new cpuset is empty, and nothing can enter it until both are written; cpuset(7).
        if "cpuset" not in self._fd:
            return None
        fd = self._fd["cpuset"]
        cpus, nodes = read("../cpuset.cpus", fd).strip(), read("../cpuset.mems", fd).strip()
        if not cpus or not nodes:
            return None
        write("cpuset.cpus", cpus, fd)
        write("cpuset.mems", nodes, fd)
        return cpus, nodes

    def _grade(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        grades = dict.fromkeys(("memory", "processes", "cpus", "core"), "kernel")
        gaps = {"cpu_time": "no kernel object stops a group at a CPU time; cpuacct.usage is polled"}
        swaps = (read_optional("/proc/swaps") or b"").splitlines()[1:]
        swappiness = read_optional("memory.swappiness", self._fd["memory"]) or b""
        if not self._has_memsw and swaps and swappiness.strip() != b"0":
            grades["memory"] = "none"
            gaps["memory"] = "jobs can use swap; fix: boot with swapaccount=1, or swapoff -a"
        has_quota = "cpu" in self._fd and exists("cpu.cfs_quota_us", self._fd["cpu"])
        for limit, controller, usable in (
            ("cpus", "cpu", has_quota),
            ("core", "cpuset", self._cpuset is not None),
        ):
            if not usable:
                grades[limit] = "none"
                gaps[limit] = f'no usable cgroup v1 "{controller}"; fix: {setup_command()}'
        return {**grades, "cpu_time": "polled"}, gaps
