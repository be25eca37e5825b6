"""One job's cgroups in v2; kernel docs, admin-guide/cgroup-v2."""

import errno
import os
from collections.abc import Mapping

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

__all__ = ["V2Job"]

_COUNTERS = ("cpu.stat", "memory.events", "pids.events")


class V2Job:
    """One job's cgroup; see `JobCgroup`.

    `oom_fd` is None: memory.oom.group makes the kernel end the whole payload, so its exit is the
    event, and `oom_kills` the reason.
    """

    born_in = True
    oom_fd: int | None = None

    def __init__(self, name: str, run_fd: int, run_membership: str, left: Left) -> None:
        self._left = left
        self.entry_fds: tuple[int, ...] = ()
        self._counters = Counters()
        self._memory = Peak(self._counters, "memory.peak", "memory.current")
        self._processes = Peak(self._counters, "pids.peak", "pids.current")
        self._run_fd = run_fd
        self._name = name
        self._expected = f"{run_membership}/{name}"
        self._held: dict[str, bytes] = {}  # the limits in force, by file
        self._before: Mapping[bytes, int] = {}  # cpu.stat when only the stub had run

    def build(
        self, controllers: tuple[str, ...], limits: Limits, disk_apart: bool, has_swap: bool
    ) -> None:
        """Make the directory, write the limits, open the fds. After a failure, `destroy`."""
        self._controllers = controllers
        try:
            make_directory(self._name, self._run_fd)
        except OSError as error:
            raise refused(error, f"cgroup {self._name}") from error
        if has_swap:
            self._set("memory.swap.max", b"0")
        self._set("memory.oom.group", b"1")  # else the OOM killer leaves half a job
        self.limit(limits, disk_apart=disk_apart)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.entry_fds = (os.open(self._name, flags, dir_fd=self._run_fd),)
        self._counters.open(self._name, _COUNTERS, self._run_fd)
        for peak in (self._memory, self._processes):
            peak.open(self._name, self._run_fd)

    def limit(self, limits: Limits, *, disk_apart: bool = False) -> None:
        """See `JobCgroup.limit`."""
        size = limits.memory_bytes + (limits.disk_bytes if disk_apart else 0)
        self._set("memory.max", b"%d" % size, in_pages=True)
        self._set("pids.max", b"%d" % limits.processes)
        rate = bandwidth(limits.cpus, limits.core)
        if rate is not None and "cpu" in self._controllers:
            self._set("cpu.max", b"%d %d" % rate)
        elif "cpu.max" in self._held:
            self._set("cpu.max", b"max 100000")
        if limits.core is not None and "cpuset" in self._controllers:
            self._set("cpuset.cpus", b"%d" % limits.core)

    def close_entries(self) -> None:
        """See `JobCgroup.close_entries`."""
        for fd in self.entry_fds:
            os.close(fd)
        self.entry_fds = ()

    def begin(self) -> None:
        """See `JobCgroup.begin`."""
        self._before = self._cpu()

    def cpu_seconds(self) -> float:
        """See `JobCgroup.cpu_seconds`."""
        return self._used(self._cpu(), b"usage_usec")

    def memory_split(self) -> Mapping[str, int]:
        """See `JobCgroup.memory_split`."""
        self._memory.look()
        self._processes.look()
        try:
            stat = numbers(read(f"{self._name}/memory.stat", self._run_fd))
        except OSError as error:
            raise taken_away("memory.stat", error) from error
        split = {
            "anonymous": stat[b"anon"],
            "file": stat[b"file"] - stat[b"shmem"],
            "shmem": stat[b"shmem"],
        }
        if b"kernel" in stat:  # since Linux 5.18
            split["kernel"] = stat[b"kernel"]
        return split

    def sample(self) -> Usage:
        """See `JobCgroup.sample`."""
        cpu, counters = self._cpu(), self._counters
        memory = numbers(counters.read("memory.events") or b"")
        refusals = numbers(counters.read("pids.events") or b"").get(b"max", 0)
        throttled = cpu.get(b"throttled_usec")
        return Usage(
            cpu_seconds=self._used(cpu, b"usage_usec"),
            cpu_user_seconds=self._used(cpu, b"user_usec"),
            cpu_system_seconds=self._used(cpu, b"system_usec"),
            memory_peak_bytes=self._memory.value(self._limit("memory.max", memory[b"max"])),
            oom_events=memory[b"oom"],
            oom_kills=memory[b"oom_kill"],
            processes_peak=self._processes.value(self._limit("pids.max", refusals)),
            fork_refusals=refusals,
            throttled_seconds=None if throttled is None else throttled / 1e6,
        )

    def holds_payload(self, pid: int, cgroups: bytes) -> bool:
        """See `JobCgroup.holds_payload`."""
        return memberships(os.fsdecode(cgroups)).get("") == self._expected

    def kill(self) -> bool:
        """See `JobCgroup.kill`: cgroup.kill reaches also what forks meanwhile. Linux 5.14."""
        try:
            write(f"{self._name}/cgroup.kill", b"1", self._run_fd)
        except FileNotFoundError:
            return False
        return True

    def pids(self) -> list[int]:
        """See `JobCgroup.pids`."""
        text = read_optional(f"{self._name}/cgroup.procs", self._run_fd) or b""
        return [int(pid) for pid in text.split()]

    def destroy(self) -> None:
        """See `JobCgroup.destroy`."""
        try:
            remove(self._name, (self._run_fd,))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise
            self.abandon()
        self._close()

    def abandon(self) -> None:
        """See `JobCgroup.abandon`."""
        self._left.add(self._name, (self._run_fd,))
        self._close()

    def _close(self) -> None:
        self.close_entries()
        self._counters.close()

    def _limit(self, name: str, times_met: int) -> int | None:
        return int(self._held[name]) if times_met else None

    def _used(self, cpu: Mapping[bytes, int], name: bytes) -> float:
        return (cpu[name] - self._before.get(name, 0)) / 1e6

    def _cpu(self) -> dict[bytes, int]:
        return numbers(self._counters.read("cpu.stat") or b"")

    def _set(self, name: str, value: bytes, *, in_pages: bool = False) -> None:
        if self._held.get(name) != value:
            set_limit(f"{self._name}/{name}", value, self._run_fd, in_pages=in_pages)
            self._held[name] = value
