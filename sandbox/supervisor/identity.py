"""Host ids for jobs: which ranges there are, who holds which id, and the base namespace's maps.

The base user namespace shows the runner's own id as 0 and its subordinate ids from 1 on. A job
gets one of those, leased across every runner of the user on this machine.
"""

import contextlib
import fcntl
import os
import select
import signal
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from sandbox.spec.errors import HostError, RefusedError, SetupError
from sandbox.supervisor.subids import Range, read_subids

__all__ = [
    "BaseMap",
    "BaseRanges",
    "Identities",
    "Lease",
    "find_ranges",
    "helper_problem",
    "plan_base_map",
    "runtime_directory",
    "write_maps",
]

# One map line may hold more, but a machine has no room for more jobs at once, and this bounds the
# search when all are taken.
_MOST_IDS = 65536
_HELPER_SECONDS = 10
_PLACE = "let /run/user/UID (a systemd session has one), or else /tmp, be writable to this user"
_XATTR_FILE_CAPS = "security.capability"


class BaseRanges(NamedTuple):
    """The host ids behind base ids 1, 2, …: as uids and as gids."""

    uids: Range
    gids: Range

    @property
    def count(self) -> int:
        """How many base ids have both a uid and a gid."""
        return min(self.uids.count, self.gids.count, _MOST_IDS)


class BaseMap(NamedTuple):
    """How the base user namespace is mapped. Without `ranges` every job runs as the runner."""

    uid: int
    gid: int
    ranges: BaseRanges | None
    why: str = ""  # there are no ranges


def find_ranges(uid: int, gid: int | None = None, etc: Path = Path("/etc")) -> BaseRanges | None:
    """The largest subordinate ranges of user `uid` that are safe to map, or None. subuid(5)."""
    return _search(uid, uid if gid is None else gid, etc)[0]


def plan_base_map(uid: int, gid: int, etc: Path = Path("/etc")) -> BaseMap:
    """The maps that an unprivileged user can have; `why` says what keeps it from ranges."""
    ranges, why = _search(uid, gid, etc)
    if ranges is not None:
        problems = [p for name in ("newuidmap", "newgidmap") if (p := helper_problem(name))]
        if problems:
            ranges, why = None, "; ".join(problems)
    return BaseMap(uid, gid, ranges, why)


def write_maps(pid: int, base: BaseMap) -> BaseMap:
    """Map the fresh user namespace of `pid` as planned; the maps that are now in force.

    `pid` was made by this process and its namespace is owned by `base.uid`. Root writes the maps
    itself; anybody else needs newuidmap(1) and newgidmap(1), and falls back to its own id alone
    where they refuse, with the reason in `why`. Raises SetupError: the kernel refused, or only one
    of the two maps could be written. user_namespaces(7).
    """
    try:
        if base.ranges is None:
            _write_single(pid, base)
        elif os.geteuid() == 0:
            _write(pid, "gid_map", _lines(base.gid, base.ranges.gids, base.ranges.count))
            _write(pid, "uid_map", _lines(base.uid, base.ranges.uids, base.ranges.count))
        else:
            # gids first: a map is written once and for all, and newgidmap is the stricter helper.
            # It refuses a changed primary group, too.
            lines = _lines(base.gid, base.ranges.gids, base.ranges.count)
            if refusal := _run_helper("newgidmap", pid, lines):
                single = base._replace(ranges=None, why=refusal)
                _write_single(pid, single)
                return single
            lines = _lines(base.uid, base.ranges.uids, base.ranges.count)
            if refusal := _run_helper("newuidmap", pid, lines):
                raise SetupError(f"the base user namespace has gids but no uids: {refusal}")
    except OSError as error:
        raise SetupError(f"the maps of the base user namespace were refused: {error}") from error
    return base


class Lease:
    """One host id, held for one job by an open fd: a copy of `fd` anywhere keeps the lease."""

    def __init__(self, base_id: int, host_uid: int, host_gid: int, fd: int) -> None:
        self.base_id, self.host_uid, self.host_gid = base_id, host_uid, host_gid
        self.fd = fd

    def release(self) -> None:
        """Close our fd. The id is free once no process of the sandbox holds a copy either."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Identities:
    """Leases the ids of `ranges`, so that no two runners that share `directory` use the same."""

    def __init__(self, ranges: BaseRanges, directory: Path) -> None:
        self._ranges = ranges
        self._path = os.fspath(directory / "leases")
        # Runners come and go, so the place to start is drawn, then moves on: an id rests a while.
        self._next = int.from_bytes(os.urandom(4), "little") % ranges.count

    def lease(self) -> Lease:
        """An id that nobody holds.

        Raises RefusedError: all are taken; HostError: the file of the leases cannot be written.
        """
        # A lock of an open file description, so it follows the fd into the sandbox and is gone
        # with its last holder, however that ends (fcntl(2), Linux 3.15).
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise HostError(f"{self._path}: {error.strerror}; fix: {_PLACE}") from error
        try:
            os.utime(fd)  # cleaners of /tmp go by age
            for step in range(self._ranges.count):
                offset = (self._next + step) % self._ranges.count
                host_uid = self._ranges.uids.start + offset
                if _lock(fd, host_uid):
                    self._next = offset + 1
                    return Lease(offset + 1, host_uid, self._ranges.gids.start + offset, fd)
            problem = f"all {self._ranges.count} ids of this user are leased to running jobs"
            raise RefusedError(problem)
        except BaseException:
            os.close(fd)
            raise


def runtime_directory(
    uid: int, *, run: Path = Path("/run"), temporary: Path = Path("/tmp")
) -> Path:
    """The directory that all runners of user `uid` share, made if missing.

    It does not depend on the environment, or two sessions would lease the same ids. Root makes it
    for the id that it is about to become, in `run`, where nobody else can. Raises HostError:
    something else is in its place, so its locks cannot be trusted.
    """
    session = run / "user" / str(uid)
    directory = temporary / f"sandbox-{uid}"
    if os.geteuid() == 0 or _is_private(run / "sandbox", uid):
        directory = run / "sandbox"
    elif _is_private(session, uid):
        directory = session / "sandbox"
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(directory, uid, uid, follow_symlinks=False)
    except OSError as error:
        raise HostError(f"{directory} cannot be made: {error.strerror}; fix: {_PLACE}") from error
    if not _is_private(directory, uid):
        raise HostError(
            f"{directory} must be a directory of uid {uid} that nobody else can enter; "
            f"fix: rm -r {directory}"
        )
    return directory


def _search(uid: int, gid: int, etc: Path) -> tuple[BaseRanges | None, str]:
    found, reasons = [], []
    for name, own_id in (("subuid", uid), ("subgid", gid)):
        file = read_subids(etc / name)
        ranges, problems = file.usable(uid, own_id)
        if ranges:
            found.append(ranges[0])
        else:
            reasons += problems or [f"{file.path} grants uid {uid} nothing", *file.ignored]
    return (None, "; ".join(reasons)) if reasons else (BaseRanges(*found), "")


def helper_problem(name: str) -> str:
    """Why newuidmap(1) or newgidmap(1), by its name, can give nobody ids; "" where it can."""
    import shutil  # while the zygote's interpreter starts, not before

    path = shutil.which(name)
    if path is None:
        return f"{name} is not installed (package uidmap)"
    found = os.stat(path)
    if found.st_uid == 0 and found.st_mode & stat.S_ISUID:
        return ""
    if _XATTR_FILE_CAPS in os.listxattr(path):
        return ""
    return f"{path} is neither set-uid root nor has file capabilities"


def _run_helper(name: str, pid: int, lines: list[tuple[int, int, int]]) -> str:
    arguments = [name, str(pid), *(str(number) for line in lines for number in line)]
    try:
        code, output = _run(arguments)
    except OSError as error:
        return f"{name}: {error.strerror}"
    if code == 0:
        return ""
    said = output.decode("utf-8", "replace").strip() or f"exit code {code}"
    return said if said.startswith(name) else f"{name}: {said}"


def _run(arguments: list[str]) -> tuple[int, bytes]:
    """Exit code and output. Not by subprocess, which leaves pipes and a process where it fails."""
    read_fd, write_fd = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, write_fd, fd) for fd in (1, 2)]
        try:
            child = os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=actions)
        finally:
            os.close(write_fd)
        output, has_ended = b"", False
        looking = select.poll()
        looking.register(read_fd, select.POLLIN)
        try:
            while not has_ended and looking.poll(_HELPER_SECONDS * 1000):
                piece = os.read(read_fd, 4096)
                output, has_ended = output + piece, not piece
        finally:
            if not has_ended:
                os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)[1]
    finally:
        os.close(read_fd)
    if not has_ended:
        return -1, b"it did not end within %d s" % _HELPER_SECONDS
    return os.waitstatus_to_exitcode(status), output


def _lines(own_id: int, range_: Range, count: int) -> list[tuple[int, int, int]]:
    return [(0, own_id, 1), (1, range_.start, count)]


def _write_single(pid: int, base: BaseMap) -> None:
    # Without this the kernel takes no gid map from the unprivileged (user_namespaces(7)).
    _write_text(pid, "setgroups", "deny")
    _write(pid, "gid_map", [(0, base.gid, 1)])
    _write(pid, "uid_map", [(0, base.uid, 1)])


def _write(pid: int, name: str, lines: list[tuple[int, int, int]]) -> None:
    _write_text(pid, name, "".join(f"{inside} {host} {count}\n" for inside, host, count in lines))


def _write_text(pid: int, name: str, text: str) -> None:
    # One write(2): the kernel takes the whole map or nothing.
    fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _lock(fd: int, byte: int) -> bool:
    # struct flock: type, whence, start, length, pid; the pid of an OFD lock must be 0 (fcntl(2)).
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, request)
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES: held
        return False
    return True


def _is_private(path: Path, uid: int) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == uid
        and not stat.S_IMODE(found.st_mode) & 0o77
    )
