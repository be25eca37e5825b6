"""One job's cgroups in v2; kernel docs, admin-guide/cgroup-v2."""

import contextlib
import os

from sandbox.spec.errors import SetupError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup.bandwidth import bandwidth
from sandbox.supervisor.cgroup.files import process_cgroups, read, read_optional, set_limit, write
from sandbox.supervisor.cgroup.interface import Usage
from sandbox.supervisor.cgroup.parse import numbers

__all__ = ["V2Job"]


class V2Job:
    """<job>/init and <job>/payload, for v2 has processes in leaves only; see `JobCgroup`.

    `oom_fd` is None: memory.oom.group makes the kernel end the whole payload, so its exit is the
    event, and `oom_kills` the reason.
    """

    init_procs_fds: tuple[int, ...] = ()  # init is born in `into_fd`
    oom_fd: int | None = None

    def __init__(self, name: str, run_fd: int, run_membership: str) -> None:
        self.into_fd: int | None = None
        self.payload_procs_fds: tuple[int, ...] = ()
        self._stat_fd: int | None = None
        self._run_fd = run_fd
        self._outer, self._init, self._payload = name, f"{name}/init", f"{name}/payload"
        self._expected = f"{run_membership}/{self._payload}"

    def build(
        self, controllers: tuple[str, ...], limits: Limits, disk_apart: bool, has_swap: bool
    ) -> None:
        """Make the directories, write the limits, open the fds. After a failure, `destroy`."""
        try:
            os.mkdir(self._outer, 0o755, dir_fd=self._run_fd)
            enabling = " ".join(f"+{name}" for name in controllers).encode()
            write(f"{self._outer}/cgroup.subtree_control", enabling, self._run_fd)
            os.mkdir(self._init, 0o755, dir_fd=self._run_fd)
            os.mkdir(self._payload, 0o755, dir_fd=self._run_fd)
        except OSError as error:
            raise SetupError(f"cgroup {self._outer} cannot be made: {error.strerror}") from error
        size = limits.memory_bytes + (limits.disk_bytes if disk_apart else 0)
        self._set("memory.max", b"%d" % size, in_pages=True)
        if has_swap:
            self._set("memory.swap.max", b"0")
        self._set("memory.oom.group", b"1")  # else the OOM killer leaves half a job
        self._set("pids.max", b"%d" % limits.processes)
        rate = bandwidth(limits.cpus, limits.core)
        if rate is not None and "cpu" in controllers:
            self._set("cpu.max", b"%d %d" % rate)
        if limits.core is not None and "cpuset" in controllers:
            self._set("cpuset.cpus", b"%d" % limits.core)
        self.into_fd = self._open(self._init, os.O_RDONLY | os.O_DIRECTORY)
        self.payload_procs_fds = (self._open(f"{self._payload}/cgroup.procs", os.O_WRONLY),)
        self._stat_fd = self._open(f"{self._payload}/cpu.stat", os.O_RDONLY)

    def close_procs(self) -> None:
        """See `JobCgroup.close_procs`."""
        for fd in self.payload_procs_fds:
            os.close(fd)
        if self.into_fd is not None:
            os.close(self.into_fd)
        self.into_fd, self.payload_procs_fds = None, ()

    def cpu_seconds(self) -> float:
        """See `JobCgroup.cpu_seconds`."""
        return self._cpu()[b"usage_usec"] / 1e6

    def sample(self) -> Usage:
        """See `JobCgroup.sample`."""
        cpu = self._cpu()
        stat = numbers(self._read("memory.stat"))
        split = {
            "anonymous": stat[b"anon"],
            "file": stat[b"file"] - stat[b"shmem"],
            "shmem": stat[b"shmem"],
        }
        if b"kernel" in stat:  # since Linux 5.18
            split["kernel"] = stat[b"kernel"]
        events = numbers(self._read("memory.events"))
        throttled = cpu.get(b"throttled_usec")
        return Usage(
            cpu_seconds=cpu[b"usage_usec"] / 1e6,
            cpu_user_seconds=cpu[b"user_usec"] / 1e6,
            cpu_system_seconds=cpu[b"system_usec"] / 1e6,
            memory_peak_bytes=self._number("memory.peak"),  # since Linux 5.19
            memory_split_bytes=split,
            oom_events=events[b"oom"],
            oom_kills=events[b"oom_kill"],
            memory_refusals=events[b"max"],
            processes_peak=self._number("pids.peak"),  # since Linux 6.1
            fork_refusals=numbers(self._read("pids.events")).get(b"max", 0),
            throttled_seconds=None if throttled is None else throttled / 1e6,
        )

    def holds_payload(self, pid: int) -> bool:
        """See `JobCgroup.holds_payload`."""
        return process_cgroups(pid).get("") == self._expected

    def kill(self) -> bool:
        """See `JobCgroup.kill`: cgroup.kill reaches also what forks meanwhile. Linux 5.14."""
        try:
            write(f"{self._payload}/cgroup.kill", b"1", self._run_fd)
        except FileNotFoundError:
            return False
        return True

    def pids(self) -> list[int]:
        """See `JobCgroup.pids`."""
        found = []
        for level in (self._init, self._payload):
            text = read_optional(f"{level}/cgroup.procs", self._run_fd) or b""
            found += [int(pid) for pid in text.split()]
        return found

    def destroy(self) -> None:
        """See `JobCgroup.destroy`."""
        for level in (self._payload, self._init, self._outer):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(level, dir_fd=self._run_fd)
        self.close_procs()
        if self._stat_fd is not None:
            os.close(self._stat_fd)
            self._stat_fd = None

    def _cpu(self) -> dict[bytes, int]:
        assert self._stat_fd is not None
        return numbers(os.pread(self._stat_fd, 4096, 0))

    def _set(self, name: str, value: bytes, *, in_pages: bool = False) -> None:
        set_limit(f"{self._payload}/{name}", value, self._run_fd, in_pages=in_pages)

    def _open(self, path: str, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, dir_fd=self._run_fd)

    def _read(self, name: str) -> bytes:
        return read(f"{self._payload}/{name}", self._run_fd)

    def _number(self, name: str) -> int | None:
        text = read_optional(f"{self._payload}/{name}", self._run_fd)
        return None if text is None else int(text)
