"""What no job may change: facts of the host, and things that lie open to whoever gets out.

`Canary` puts out files, sockets, System V IPC, a key and a process, as open as they can be, and
tells what became of them. `facts` reads what the host is like. That both see what they should is
shown by syscall_control.py, which lets the same calls loose where nothing holds them.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import re
import resource
import select
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from fuzz.syscall_shapes import named
from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.identity import find_ranges, runtime_directory

__all__ = ["Canary", "KernelLog", "belongings", "differences", "facts", "leftovers"]

_PATIENCE_SECONDS = 60
_CONTENT = b"nobody changes this\n" * 64
_MESSAGE = b"canary"
_TEXT_FILES = (
    "/proc/self/mountinfo", "/proc/net/route", "/proc/net/if_inet6", "/proc/swaps",
    "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", "/proc/self/limits",
    "/proc/self/oom_score_adj", "/proc/self/uid_map", "/proc/self/cgroup",
    "/proc/self/timens_offsets",
)  # fmt: skip
_DIRECTORIES = ("/", "/etc", "/usr/bin", "/dev", "/boot")
# Numbers that the kernel itself changes all the time.
_MOVING = (
    "kernel/random/", "kernel/ns_last_pid", "kernel/pty/nr", "fs/dentry-state", "fs/file-nr",
    "fs/inode-nr", "fs/inode-state", "fs/aio-nr", "kernel/perf_event_max_sample_rate",
    "net/netfilter/nf_conntrack_count", "fs/quota/", "kernel/sched_", "vm/stat_refresh",
)  # fmt: skip
_OF_PROCESS = ("limits", "oom_score_adj", "cgroup", "uid_map", "coredump_filter")
_OF_STATUS = ("Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Cpus_allowed",
              "TracerPid")  # fmt: skip

_COMPLAINT = re.compile(
    r"BUG:|WARNING:|Oops|general protection fault|UBSAN|KASAN|refcount_t|soft lockup"
    r"|blocked for more than|unable to handle|waiting for .* to become free"
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_IPC_PRIVATE, _IPC_RMID, _IPC_CREAT = 0, 0, 0o1000
_SESSION_KEYRING, _KEYCTL_READ, _KEYCTL_UNLINK = -3, 11, 9  # <linux/keyctl.h>


def facts(supervisor: int | None = None) -> dict[str, str]:
    """What the host is like now, by name; `supervisor`: a process that is part of it."""
    found = {name: _text(Path(name)) for name in _TEXT_FILES}
    found |= {f"process {supervisor}: {n}": t for n, t in _process_facts(supervisor or os.getpid())}
    for directory in _DIRECTORIES:
        found[f"names in {directory}"] = _names(Path(directory))
    for path in Path("/etc").iterdir():
        if path.is_file():
            found[str(path)] = _digest(path)
    for root, _, names in os.walk("/proc/sys"):
        for name in names:
            path = Path(root, name)
            if not str(path.relative_to("/proc/sys")).startswith(_MOVING):
                found[str(path)] = _text(path)
    found["interfaces"] = ",".join(sorted(name for _, name in socket.if_nameindex()))
    # Steps of the wall clock; it may be slewed meanwhile.
    offset = time.clock_gettime(time.CLOCK_REALTIME) - time.clock_gettime(time.CLOCK_BOOTTIME)
    found["wall clock, in minutes of its start"] = str(round(offset / 60))
    found["umask"] = _text(Path("/proc/self/status")).split("Umask:")[1].split()[0]
    found["affinity"] = str(sorted(os.sched_getaffinity(0)))
    found["core limit"] = str(resource.getrlimit(resource.RLIMIT_CORE))
    return found


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What has changed between two looks."""
    return [
        f"{name}: {before.get(name, '')[:200]!r} has become {after.get(name, '')[:200]!r}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def belongings() -> set[str]:
    """What lies about that belongs to ids that jobs are given: files, System V IPC."""
    return {*_files(), *_ipc()}


def leftovers(before: set[str]) -> list[str]:
    """What of jobs is on the host some time after their supervisor has ended, and was not `before`
    (their `belongings`)."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while (left := [*_processes(), *_cgroups()]) and time.monotonic() < end:
        time.sleep(0.05)  # the kernel takes down what is already dead
    files = {path.name for path in runtime_directory(os.getuid()).iterdir()} - {"leases"}
    return [
        *left,
        *(belongings() - before),
        *(f"{name} in the runtime directory" for name in files),
    ]


class KernelLog:
    """What the kernel logs from here on, where we may read that (`kernel.dmesg_restrict`, or root).

    `path`: where it is; a file that `dmesg --follow` writes will do.
    """

    def __init__(self, path: Path = Path("/dev/kmsg")) -> None:
        self.is_readable = True
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self.is_readable = False

    def complaints(self) -> list[str]:
        """What it says of itself being wrong; not of processes that are killed for their limits."""
        lines = []
        while self.is_readable:
            try:
                text = os.read(self._fd, 8192)  # of /dev/kmsg, one record
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # records were overwritten before we came
            if not text:
                break
            lines += text.decode(errors="replace").splitlines()
        return [f"the kernel: {line}" for line in lines if _COMPLAINT.search(line)]


class Canary:
    """Things outside that a job would find, could it get there; for as long as this lasts."""

    def __enter__(self) -> "Canary":
        with contextlib.ExitStack() as held:
            self._directory = Path(held.enter_context(tempfile.TemporaryDirectory()))
            self._directory.chmod(0o777)
            self._files = self._put_files()
            self._sockets = [held.enter_context(one) for one in self._open_sockets()]
            self._ipc = self._make_ipc()
            held.callback(self._remove_ipc)
            self._key = self._add_key()
            held.callback(_call, "keyctl", _KEYCTL_UNLINK, self._key, _SESSION_KEYRING)
            # It sleeps, catches nothing, and dies of any signal.
            self._process = held.enter_context(subprocess.Popen(["sleep", "infinity"]))
            held.callback(self._process.kill)
            self._process_facts = dict(_process_facts(self._process.pid))
            self._stat = self._stat_files()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def names(self) -> str:
        """What syscall_program.c tries to reach: a process first, then paths and names."""
        abstract, port = self._abstract, self._sockets[-1].getsockname()[1]
        return ",".join([str(self._process.pid), *map(str, self._files), abstract, str(port)])

    def changes(self) -> list[str]:
        """What has been done to any of it."""
        return [
            *self._of_files(),
            *self._of_sockets(),
            *self._of_ipc(),
            *self._of_key(),
            *self._of_process(),
        ]

    def _put_files(self) -> list[Path]:
        inner = self._directory / "open"
        inner.mkdir()
        inner.chmod(0o777)
        fifo = inner / "fifo"
        os.mkfifo(fifo)
        made = [self._directory, inner, fifo]
        for name, mode in (("shared", 0o666), ("program", 0o777), ("private", 0o600)):
            path = inner / name
            path.write_bytes(_CONTENT)
            path.chmod(mode)
            made.append(path)
        fifo.chmod(0o666)
        return made

    def _stat_files(self) -> dict[Path, tuple[int, ...]]:
        return {
            path: (s.st_mode, s.st_uid, s.st_gid, s.st_nlink, s.st_size, s.st_ctime_ns)
            for path in sorted(self._directory.rglob("*"))
            for s in [path.lstat()]
        }

    def _of_files(self) -> Iterator[str]:
        now = self._stat_files()
        for path in sorted(self._stat.keys() | now.keys()):
            if self._stat.get(path) != now.get(path):
                yield f"{path}: {self._stat.get(path)} has become {now.get(path)}"
            elif stat.S_ISREG(now[path][0]) and path.read_bytes() != _CONTENT:
                yield f"{path} has another content"

    def _open_sockets(self) -> list[socket.socket]:
        path = self._directory / "open" / "socket"
        self._abstract = f"sandbox-canary-{os.getpid()}"
        listening = []
        for family, address in (
            (socket.AF_UNIX, str(path)),
            (socket.AF_UNIX, f"\0{self._abstract}"),
            (socket.AF_INET, ("127.0.0.1", 0)),
        ):
            one = socket.socket(family)
            one.bind(address)
            one.listen()
            listening.append(one)
        path.chmod(0o777)
        self._files.append(path)
        return listening

    def _of_sockets(self) -> Iterator[str]:
        poll = select.poll()
        for one in self._sockets:
            poll.register(one, select.POLLIN)
        names = {one.fileno(): one.getsockname() for one in self._sockets}
        for fd, _ in poll.poll(0):
            yield f"somebody has connected to {names[fd]!r}"

    def _make_ipc(self) -> tuple[int, int]:
        shm = _libc.shmget(_IPC_PRIVATE, ctypes.c_size_t(4096), _IPC_CREAT | 0o666)
        queue = _libc.msgget(_IPC_PRIVATE, _IPC_CREAT | 0o666)
        assert shm >= 0 and queue >= 0, os.strerror(ctypes.get_errno())
        message = ctypes.create_string_buffer(
            ctypes.c_long(1).value.to_bytes(8, "little") + _MESSAGE
        )
        assert _libc.msgsnd(queue, message, ctypes.c_size_t(len(_MESSAGE)), 0) == 0
        self._ipc_lines = self._look_at_ipc(shm, queue)
        return shm, queue

    def _look_at_ipc(self, shm: int, queue: int) -> list[str]:
        return [
            line
            for kind, number in (("shm", shm), ("msg", queue))
            for line in _text(Path("/proc/sysvipc", kind)).splitlines()
            if line.split()[1:2] == [str(number)]
        ]

    def _of_ipc(self) -> Iterator[str]:
        now = self._look_at_ipc(*self._ipc)
        if now != self._ipc_lines or len(now) != 2:
            yield f"System V IPC: {self._ipc_lines} has become {now}"

    def _remove_ipc(self) -> None:
        shm, queue = self._ipc
        _libc.shmctl(shm, _IPC_RMID, None)
        _libc.msgctl(queue, _IPC_RMID, None)

    def _add_key(self) -> int:
        """A key in the keyring that every process of this session has, jobs too."""
        key = _call(
            "add_key", b"user", b"sandbox-canary", _MESSAGE, len(_MESSAGE), _SESSION_KEYRING
        )
        assert key > 0, os.strerror(ctypes.get_errno())
        return key

    def _of_key(self) -> Iterator[str]:
        buffer = ctypes.create_string_buffer(64)
        size = _call("keyctl", _KEYCTL_READ, self._key, buffer, len(buffer))
        if buffer.raw[: max(size, 0)] != _MESSAGE:
            yield f"the key {self._key} reads {buffer.raw[:8]!r}, {size}"

    def _of_process(self) -> Iterator[str]:
        if (status := self._process.poll()) is not None:
            yield f"the process {self._process.pid} has ended: {status}"
            return
        for name, text in _process_facts(self._process.pid):
            if text != self._process_facts[name]:
                yield f"{name} of a process: {self._process_facts[name]!r} has become {text!r}"


def _call(name: str, *arguments: object) -> int:
    """A system call that libc has no function for; -1 where it fails."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _libc.syscall(ctypes.c_long(named(name)), *wide)


def _process_facts(pid: int) -> Iterator[tuple[str, str]]:
    for name in _OF_PROCESS:
        yield name, _text(Path(f"/proc/{pid}/{name}"))
    for line in _text(Path(f"/proc/{pid}/status")).splitlines():
        name, _, value = line.partition(":")
        if name in _OF_STATUS:
            yield name, value.strip()
    with contextlib.suppress(OSError):
        yield "nice", str(os.getpriority(os.PRIO_PROCESS, pid))
        yield "affinity", str(sorted(os.sched_getaffinity(pid)))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def _names(directory: Path) -> str:
    try:
        return ",".join(sorted(path.name for path in directory.iterdir()))
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")


def _leased() -> range:
    ranges = find_ranges(os.getuid())
    return (
        range(0) if ranges is None else range(ranges.uids.start, ranges.uids.start + ranges.count)
    )


def _processes() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*"):
        # The owner of /proc/PID is root while a process is not dumpable; its status tells.
        status = _text(path / "status")
        if "\nUid:\t" in status and int(status.split("\nUid:\t")[1].split()[0]) in _leased():
            yield f"process {path.name}: {_text(path / 'comm').strip()}"


def _cgroups() -> Iterator[str]:
    backend = find_backend(os.getuid())
    own = f"sandbox-run-{os.getpid()}-"
    try:
        for base in backend.path.split():
            for path in Path(base).glob("sandbox-run-*"):
                if not path.name.startswith(own):
                    yield f"cgroup {path}"
    finally:
        backend.close()


def _files() -> Iterator[str]:
    leased = _leased()
    for top in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"):
        for root, directories, names in os.walk(top):
            for name in (*directories, *names):
                with contextlib.suppress(OSError):
                    if os.lstat(os.path.join(root, name)).st_uid in leased:  # noqa: PTH118
                        yield f"file {root}/{name}"


def _ipc() -> Iterator[str]:
    leased = _leased()
    for kind in ("shm", "msg", "sem"):
        head, *lines = _text(Path("/proc/sysvipc", kind)).splitlines() or [""]
        for line in lines:
            fields = dict(zip(head.split(), line.split(), strict=False))
            if int(fields.get("uid", -1)) in leased:
                yield f"System V {kind}: {line}"
