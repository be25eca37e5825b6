"""One job's cgroups in the v1 hierarchies; kernel docs, admin-guide/cgroup-v1."""

import errno
import os
import select
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.spec.errors import SetupError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup.bandwidth import bandwidth
from sandbox.supervisor.cgroup.files import (
    Counters,
    make_directory,
    read,
    read_optional,
    set_limit,
    taken_away,
    write,
)
from sandbox.supervisor.cgroup.fixes import refused
from sandbox.supervisor.cgroup.interface import Usage
from sandbox.supervisor.cgroup.left import Left, remove
from sandbox.supervisor.cgroup.parse import memberships, numbers
from sandbox.supervisor.cgroup.peak import Peak

__all__ = ["Place", "V1Job"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_COUNTERS = {
    "cpuacct": ("cpuacct.usage", "cpuacct.usage_all"),
    "cpu": ("cpu.stat",),
    "memory": ("memory.max_usage_in_bytes",),
    "pids": ("pids.events",),
}


class Place(NamedTuple):
    """A hierarchy with this runner's directory open."""

    controllers: frozenset[str]
    fd: int
    membership: str


class V1Job:
    """One job's cgroup in every hierarchy; `JobCgroup` says what each part means."""

    born_in = False

    def __init__(self, name: str, places: tuple[Place, ...], left: Left) -> None:
        self._left = left
        self._directories = tuple(place.fd for place in places)
        self.entry_fds: tuple[int, ...] = ()
        self.oom_fd: int | None = None
        self._counters = Counters()
        self._processes = Peak(self._counters, "pids.peak", "pids.current")
        self._name = name
        self._places = places
        self._fd = {controller: place.fd for place in places for controller in place.controllers}
        self._expected = {
            controller: f"{place.membership}/{name}"
            for place in places
            for controller in place.controllers
        }
        # The limits in force, by file: the period is the kernel's own, sched-bwc.rst.
        self._held = {"cpu.cfs_period_us": 100_000}
        self._before = (0.0, 0, 0)  # CPU time of the stub: seconds, user and system nanoseconds

    def build(
        self, cpuset: tuple[bytes, bytes] | None, limits: Limits, disk_apart: bool, memsw: bool
    ) -> None:
        """Make the directories, write the limits, open the fds. After a failure, `destroy`."""
        self._has_memsw = memsw
        try:
            for place in self._places:
                make_directory(self._name, place.fd)
                if cpuset is not None and "cpuset" in place.controllers:
                    write(f"{self._name}/cpuset.cpus", cpuset[0], place.fd)
                    write(f"{self._name}/cpuset.mems", cpuset[1], place.fd)
        except OSError as error:
            raise refused(error, f"cgroup {self._name}") from error
        self.limit(limits, disk_apart=disk_apart)
        for controller, names in _COUNTERS.items():
            if controller in self._fd:
                self._counters.open(self._name, names, self._fd[controller])
        self._processes.open(self._name, self._fd["pids"])
        self._watch_memory()
        for place in self._places:  # one by one: where one fails, `destroy` closes the others
            flags = os.O_WRONLY | os.O_CLOEXEC
            self.entry_fds += (os.open(f"{self._name}/tasks", flags, dir_fd=place.fd),)

    def limit(self, limits: Limits, *, disk_apart: bool = False) -> None:
        """See `JobCgroup.limit`."""
        size = limits.memory_bytes + (limits.disk_bytes if disk_apart else 0)
        # Memory and swap together: one page more, so that memory meets its own limit first and
        # memory.failcnt counts it (the kernel charges memory+swap before memory). The sum may
        # never be the smaller one, so it goes up first and down last.
        both = [("memory.limit_in_bytes", size)]
        if self._has_memsw:
            is_more = size > self._held.get("memory.limit_in_bytes", size)
            both.insert(0 if is_more else 1, ("memory.memsw.limit_in_bytes", size + _PAGE_BYTES))
        for name, value in both:
            self._set("memory", name, value, in_pages=True)
        self._set("pids", "pids.max", limits.processes)
        rate = bandwidth(limits.cpus, limits.core)
        if rate is not None and "cpu" in self._fd:
            self._set("cpu", "cpu.cfs_period_us", rate.period_us)
            self._set("cpu", "cpu.cfs_quota_us", rate.quota_us)
        elif "cpu.cfs_quota_us" in self._held:
            self._set("cpu", "cpu.cfs_quota_us", -1)
        if limits.core is not None and "cpuset" in self._fd:
            self._set("cpuset", "cpuset.cpus", limits.core)

    def close_entries(self) -> None:
        """See `JobCgroup.close_entries`."""
        for fd in self.entry_fds:
            os.close(fd)
        self.entry_fds = ()

    def begin(self) -> None:
        """See `JobCgroup.begin`."""
        self._before = (0.0, 0, 0)
        self._before = (self.cpu_seconds(), *self._cpu_split())

    def cpu_seconds(self) -> float:
        """See `JobCgroup.cpu_seconds`."""
        return int(self._counters.read("cpuacct.usage") or 0) / 1e9 - self._before[0]

    def memory_split(self) -> Mapping[str, int]:
        """See `JobCgroup.memory_split`."""
        self._processes.look()
        try:
            stat = numbers(read(f"{self._name}/memory.stat", self._fd["memory"]))
        except OSError as error:
            raise taken_away("memory.stat", error) from error
        split = {
            "anonymous": stat[b"total_rss"],
            "file": stat[b"total_cache"] - stat[b"total_shmem"],
            "shmem": stat[b"total_shmem"],
        }
        path = f"{self._name}/memory.kmem.usage_in_bytes"
        if (kernel := read_optional(path, self._fd["memory"])) is not None:
            split["kernel"] = int(kernel)
        return split

    def sample(self) -> Usage:
        """See `JobCgroup.sample`."""
        user, system = self._cpu_split()
        counters = self._counters
        ran_out = self._ran_out()
        throttling = counters.read("cpu.stat")
        refusals = numbers(counters.read("pids.events") or b"").get(b"max", 0)
        return Usage(
            cpu_seconds=self.cpu_seconds(),
            cpu_user_seconds=(user - self._before[1]) / 1e9,
            cpu_system_seconds=(system - self._before[2]) / 1e9,
            memory_peak_bytes=counters.number("memory.max_usage_in_bytes"),
            # The event is told to all below the cgroup that ran out: was it this one?
            oom_events=int(ran_out and self._met_its_limit()),
            # The kernel tells of the event before it kills: without one there is no kill.
            oom_kills=self._oom_kills() if ran_out else 0,
            processes_peak=self._processes.value(self._held["pids.max"] if refusals else None),
            fork_refusals=refusals,
            throttled_seconds=None
            if throttling is None
            else numbers(throttling)[b"throttled_time"] / 1e9,
        )

    def holds_payload(self, pid: int, cgroups: bytes) -> bool:
        """See `JobCgroup.holds_payload`."""
        actual = memberships(os.fsdecode(cgroups))
        return all(actual.get(name) == path for name, path in self._expected.items())

    def kill(self) -> bool:
        """False: v1 has no cgroup.kill, and pid by pid loses the race with a fork bomb."""
        return False

    def pids(self) -> list[int]:
        """See `JobCgroup.pids`."""
        # All hierarchies: a process that dies while it enters may be in some of them only.
        found: set[bytes] = set()
        for place in self._places:
            found.update((read_optional(f"{self._name}/cgroup.procs", place.fd) or b"").split())
        return [int(pid) for pid in found]

    def destroy(self) -> None:
        """See `JobCgroup.destroy`."""
        try:
            remove(self._name, self._directories)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise
            self.abandon()
        self._close()

    def abandon(self) -> None:
        """See `JobCgroup.abandon`."""
        self._left.add(self._name, self._directories)
        self._close()

    def _close(self) -> None:
        self.close_entries()
        self._counters.close()
        if self.oom_fd is not None:
            os.close(self.oom_fd)
        self.oom_fd = None

    def _watch_memory(self) -> None:
        # v1 kills one process and leaves the rest of the job, so the supervisor has to hear of it.
        # The kernel signals the eventfd before it chooses a victim (memory.rst, 10).
        control, memory_fd = f"{self._name}/memory.oom_control", self._fd["memory"]
        control_fd = os.open(control, os.O_RDONLY | os.O_CLOEXEC, dir_fd=memory_fd)
        try:
            self.oom_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            registration = b"%d %d" % (self.oom_fd, control_fd)
            write(f"{self._name}/cgroup.event_control", registration, memory_fd)
        except OSError as error:
            raise SetupError(f"cgroup memory.oom_control: no event: {error.strerror}") from error
        finally:
            os.close(control_fd)

    def _ran_out(self) -> bool:
        # Looked at, never read: the fd stays readable for whoever waits on it.
        looking = select.poll()
        assert self.oom_fd is not None
        looking.register(self.oom_fd, select.POLLIN)
        return bool(looking.poll(0))

    def _met_its_limit(self) -> bool:
        # Seen on Linux 6.18, of one kill in some fifty: no failcnt tells of it, and the peak is up
        # to two pages below the limit. Memory is charged by 64 pages (MEMCG_CHARGE_BATCH).
        peak = self._counters.number("memory.max_usage_in_bytes") or 0
        if peak > self._held["memory.limit_in_bytes"] - 64 * _PAGE_BYTES:
            return True
        # Several pages at once, a thread's stack for example, meet that of memory and swap first.
        for name in ("memory.failcnt", "memory.memsw.failcnt"):
            if int(read_optional(f"{self._name}/{name}", self._fd["memory"]) or 0):
                return True
        return False

    def _oom_kills(self) -> int:
        try:
            control = read(f"{self._name}/memory.oom_control", self._fd["memory"])
        except OSError as error:
            raise taken_away("memory.oom_control", error) from error
        return numbers(control)[b"oom_kill"]

    def _set(self, controller: str, name: str, value: int, *, in_pages: bool = False) -> None:
        if self._held.get(name) != value:
            path = f"{self._name}/{name}"
            set_limit(path, b"%d" % value, self._fd[controller], in_pages=in_pages)
            self._held[name] = value

    def _cpu_split(self) -> tuple[int, int]:
        """User and system nanoseconds so far, sampled by the kernel's tick."""
        lines = (self._counters.read("cpuacct.usage_all") or b"").splitlines()[1:]
        found = [line.split() for line in lines]  # CPU, user, system
        return sum(int(line[1]) for line in found), sum(int(line[2]) for line in found)
