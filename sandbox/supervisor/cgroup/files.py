"""Reading and writing the kernel's small files, and removing trees of cgroups."""

import contextlib
import errno
import functools
import os
import select
import signal
import time
from collections.abc import Iterable

from sandbox.spec.errors import HostError, SetupError
from sandbox.supervisor.cgroup.parse import Mount, memberships, mounts

__all__ = [
    "Counters", "cgroup_mounts", "exists", "make_directory", "own_processes", "process_cgroups",
    "read", "read_optional", "remove_tree", "set_limit", "taken_away", "tree_pids", "write",
]  # fmt: skip

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_REMOVAL_SECONDS = 5.0


class Counters:
    """Files of a cgroup kept open: at the end of a short job, opening them would cost the most."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}

    def open(self, directory: str, names: Iterable[str], dir_fd: int) -> None:
        """Open those that this kernel has."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._fds[name] = os.open(
                    f"{directory}/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd
                )

    def has(self, name: str) -> bool:
        """Whether this kernel has it."""
        return name in self._fds

    def read(self, name: str) -> bytes | None:
        """Its content now, of at most a page; None where there is no such file.

        Raises HostError: the cgroup, or its controller, was taken away meanwhile.
        """
        fd = self._fds.get(name)
        if fd is None:
            return None
        try:
            return os.pread(fd, _PAGE_BYTES, 0)
        except OSError as error:
            raise taken_away(name, error) from error

    def number(self, name: str) -> int | None:
        """The one number in it."""
        text = self.read(name)
        return None if text is None else int(text)

    def close(self) -> None:
        """Close all of them. Idempotent."""
        while self._fds:
            os.close(self._fds.popitem()[1])


def taken_away(name: str, error: OSError) -> HostError:
    """What it means that a file of a job's cgroup is not to be read any more."""
    return HostError(
        f"cgroup {name} cannot be read while its job runs: {error.strerror}; the job was ended and "
        "its result is lost; fix: whoever manages the host's cgroups must leave ours alone"
    )


def cgroup_mounts() -> list[Mount]:
    """The cgroup hierarchies that this process sees mounted."""
    return mounts(os.fsdecode(read("/proc/self/mountinfo")))


def process_cgroups(pid: int | str = "self") -> dict[str, str]:
    """The cgroup of a process by controller, "" for v2; empty when there is no such process."""
    try:
        return memberships(os.fsdecode(read(f"/proc/{pid}/cgroup")))
    except (FileNotFoundError, ProcessLookupError):
        return {}


def own_processes(directory: str) -> list[int]:
    """This process and its children, those that are in the cgroup `directory`."""
    us = os.getpid()
    pids = [int(pid) for pid in read(f"{directory}/cgroup.procs").split()]
    return [pid for pid in pids if pid == us or _parent(pid) == us]


def read(path: str, dir_fd: int | None = None) -> bytes:
    """The whole content of `path`, which may come in several pieces (a long cgroup.procs)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        pieces = []
        while piece := os.read(fd, 65536):
            pieces.append(piece)
        return b"".join(pieces)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def read_optional(path: str, dir_fd: int | None = None) -> bytes | None:
    """The same, or None where this kernel has no such file."""
    try:
        return read(path, dir_fd)
    except FileNotFoundError:
        return None


def write(path: str, value: bytes, dir_fd: int | None = None) -> None:
    """Write `value` to `path` by one write(2): what the kernel refuses, it refuses whole."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.write(fd, value)
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(fd)


def exists(path: str, dir_fd: int | None = None) -> bool:
    """Whether `path` exists."""
    return os.access(path, os.F_OK, dir_fd=dir_fd)


def make_directory(path: str, dir_fd: int | None = None) -> None:
    """Make a cgroup that others may enter, as a job does that is shown its own: mkdir(2).

    Whatever our umask is, which is for the files that we make for our caller.
    """
    os.mkdir(path, 0o755, dir_fd=dir_fd)
    if _umask() & 0o055:
        os.chmod(path, 0o755, dir_fd=dir_fd)


@functools.cache
def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def set_limit(path: str, value: bytes, dir_fd: int, *, in_pages: bool = False) -> None:
    """Write a limit and read it back.

    `in_pages`: the kernel keeps whole pages and rounds down. Raises SetupError naming the file,
    when the kernel refuses the value or holds another one.
    """
    limit = path.rpartition("/")[2]
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC, dir_fd=dir_fd)
        try:
            os.write(fd, value)
            held = os.pread(fd, 64, 0).strip()
        finally:
            os.close(fd)
    except OSError as error:
        code = errno.errorcode.get(error.errno or 0, str(error.errno))
        problem = f"cgroup {limit} = {value.decode()} failed: {code}"
        raise SetupError(f"{problem}; the payload was never started") from error
    wanted = b"%d" % (int(value) // _PAGE_BYTES * _PAGE_BYTES) if in_pages else value
    if held != wanted:
        problem = f"cgroup {limit}: wrote {value.decode()}, the kernel holds {held.decode()}"
        raise SetupError(f"{problem}; the payload was never started")


def tree_pids(path: str) -> list[int]:
    """The processes in `path` and all below it; a cgroup that goes meanwhile counts as empty."""
    found = []
    for directory, _, _ in os.walk(path):
        with contextlib.suppress(OSError):  # ENOENT; ENODEV, removed between open and read
            found += [int(pid) for pid in read(f"{directory}/cgroup.procs").split()]
    return found


def remove_tree(path: str) -> None:
    """Kill what is in `path` and below, and remove all of it; blocks for at most some seconds.

    Raises OSError EBUSY when a process outlives SIGKILL for so long (state D).
    """
    deadline = time.monotonic() + _REMOVAL_SECONDS
    while True:
        with contextlib.suppress(OSError):  # v2 since Linux 5.14: reaches what forks meanwhile
            write(f"{path}/cgroup.kill", b"1")
        for pid in tree_pids(path):
            _kill(pid, path, deadline)
        try:
            _remove_directories(path)
            return
        except OSError as error:
            # A process leaves its cgroup only shortly after its pidfd tells of the end.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def _parent(pid: int) -> int | None:
    try:
        # The name before it, in brackets, may hold anything; proc_pid_stat(5).
        return int(read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _kill(pid: int, path: str, deadline: float) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if pid not in tree_pids(path):  # it ended before pidfd_open: another has its number now
            return
        # Another uid's process, but in a user namespace that is ours: user_namespaces(7).
        with contextlib.suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        waiting = select.poll()
        waiting.register(pidfd, select.POLLIN)
        waiting.poll(max(0, round((deadline - time.monotonic()) * 1000)))
    finally:
        os.close(pidfd)


def _remove_directories(path: str) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(directory)
