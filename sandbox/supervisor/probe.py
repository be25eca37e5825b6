"""The look from outside: what the kernel says of a locked sandbox, before its job may execute.

A script has the kernel asked from inside after each wall, where only that can tell. All that /proc
tells of another process is judged here; what it tells only to who could trace that, the lookout
has read.
"""

import functools
import os
import re

from sandbox.boundary.plan import Bind, SpawnPlan
from sandbox.boundary.report import STEPS, Step
from sandbox.kernel.processes import CAP_SYS_ADMIN
from sandbox.spec.errors import SetupError
from sandbox.supervisor.cgroup import JobCgroup
from sandbox.supervisor.host import has_time_namespaces
from sandbox.supervisor.identity import Lease
from sandbox.supervisor.planner import Blueprint

__all__ = [
    "Seen", "check_init", "check_mounts", "check_namespaces", "check_stub", "filters_of",
    "not_shown",
]  # fmt: skip

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time")
_EMPTY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Of /proc/PID/status, proc_pid_status(5): the ids; and the lines that stay the same while a process
# waits, from its signals to its seccomp mode.
_IDS = re.compile(
    rb"\nUid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)\nGid:\t(\d+)\t(\d+)\t(\d+)\t(\d+)\n"
    rb"FDSize:\t\d+\nGroups:\t([^\n]*)\n"
)
_RIGHTS = (b"\nSigBlk:", b"\nCpus_allowed:")
# A line of mountinfo: its point, its options, and what it propagates. Of blanks, the kernel quotes
# space, tab and newline only: a name may hold the others. proc_pid_mountinfo(5)
_MOUNT = re.compile(rb"^\d+ \d+ [^ ]+ [^ ]+ ([^ ]+) ([^ ]+) (.*?)- .*\n", re.MULTILINE)
_ONLY_LOOPBACK = re.compile(rb"[^\n]*\n[^\n]*\n *lo:[^\n]*\n")  # below two lines of heading
_PIECE_BYTES = 8192  # more than the kernel gives at once; a large buffer costs more than the read
_MOST_KEPT = 64  # texts that were judged


class Seen:
    """What was seen of a stub that was found locked: for a second look, before it is used."""

    def __init__(self, pid: int) -> None:
        """Raises OSError: there is no such process."""
        self._fds: list[int] = []
        try:
            for name in ("status", "cgroup"):
                self._fds.append(os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC))
            self._first = self._look()
        except OSError:
            self.close()
            raise

    def still_holds(self) -> bool:
        """Whether the kernel says the very same once more; False also when the stub is gone."""
        try:
            return self._look() == self._first
        except OSError:
            return False

    def close(self) -> None:
        """No more looks. Idempotent."""
        while self._fds:
            os.close(self._fds.pop())

    def _look(self) -> tuple[object, ...]:
        self.status, self.cgroups = (os.pread(fd, _PIECE_BYTES, 0) for fd in self._fds)
        return _ids(self.status), _rights(self.status), self.cgroups


def check_init(pid: int, spawn: SpawnPlan, lease: Lease | None) -> None:
    """Look at what a new init was born with. Its namespaces: `check_namespaces`.

    Raises SetupError naming the first wall that /proc does not show; OSError: it is dead.
    """
    if spawn.time_offsets is not None:
        offsets = _read(pid, "timens_offsets").split()
        _require(Step.TIME_NAMESPACE, offsets == spawn.time_offsets.split())
    for name, host_id in zip(("uid_map", "gid_map"), _host_ids(lease), strict=True):
        expected = [b"%d" % number for number in (spawn.inside_id, host_id, 1)]
        _require(Step.IDENTITY, _read(pid, name).split() == expected)


def check_namespaces(init: dict[str, str], stub: dict[str, str], foreign: frozenset[str]) -> None:
    """Whether init is in namespaces of its own, none of them `foreign`, and the stub in the same;
    but for the cgroup namespace, which the stub makes. Raises SetupError naming the wall.
    """
    _require(Step.NAMESPACES, init.keys() == stub.keys() == _namespace_names())
    for name, link in init.items():
        if name != "cgroup":
            step = Step.TIME_NAMESPACE if name == "time" else Step.NAMESPACES
            _require(step, link not in foreign)
    for name, link in stub.items():
        step = Step.CGROUP_NAMESPACE if name == "cgroup" else Step.NAMESPACES
        _require(step, (link == init[name]) is (name != "cgroup"))


def check_stub(
    init: int,
    stub: int,
    blueprint: Blueprint,
    lease: Lease | None,
    cgroup: JobCgroup,
    outer_filters: int,
    binds: tuple[Bind, ...] = (),
) -> Seen:
    """Look at a locked stub, and at its init's rights; `binds`: that it has already.

    `outer_filters`: that all our processes are under, as in containers (`filters_of`).

    Raises SetupError naming the first wall that /proc does not show; OSError: it cannot be looked
    at, or is dead.
    """
    seen = Seen(stub)
    try:
        _require(Step.CGROUP_PAYLOAD, cgroup.holds_payload(stub, seen.cgroups))
        *ids, groups = _ids(seen.status) or (b"",)
        uid, gid = _host_ids(lease)
        is_job = ids == [b"%d" % uid] * 4 + [b"%d" % gid] * 4
        _require(Step.IDENTITY, is_job and not (lease and groups.strip()))
        _check_rights(stub, init, seen.status, outer_filters, blueprint)
        # No other device than lo, and that is down: then it has no address.
        is_lone = _ONLY_LOOPBACK.fullmatch(_read(stub, "net/dev")) is not None
        _require(Step.NETWORK, is_lone and not _read(stub, "net/fib_trie").strip())
        check_mounts(stub, blueprint.mounts, binds)
    except BaseException:
        seen.close()
        raise
    return seen


def check_mounts(
    pid: int, planned: tuple[tuple[bytes, bytes], ...], binds: tuple[Bind, ...] = ()
) -> None:
    """Whether mountinfo lists exactly the planned mounts and the binds, with at least their
    options. Raises SetupError, OSError."""
    found = _mounts(_read(pid, "mountinfo"))
    if binds:
        points = {b"/" + bind.target: b"ro,nosuid,nodev" for bind in binds}
        below = tuple(point + b"/" for point in points)
        _require(Step.BINDS, _is_planned(found, {**dict(planned), **points}, below))
    else:
        _require(Step.PIVOT, _is_parked_view(found, planned))


def _mounts(table: bytes) -> tuple[tuple[bytes, bytes, bytes], ...]:
    found = tuple(_MOUNT.findall(table))
    _require(Step.PIVOT, len(found) == table.count(b"\n"))  # a line not understood hides a mount
    return found


def filters_of(pid: int) -> int:
    """How many filters a process is under; 0 too where that is not told, before Linux 5.9."""
    return int(_fields(_rights(_read(pid, "status"))).get("Seccomp_filters", "0"))


def not_shown(step: int) -> SetupError:
    """The wall was built, they say, and the kernel does not show it."""
    return SetupError(
        f"step {step} ({STEPS.get(step, '?')}) failed: the kernel does not show the wall; "
        "the payload was never started"
    )


def _require(step: int, holds: bool) -> None:
    if not holds:
        raise not_shown(step)


def _host_ids(lease: Lease | None) -> tuple[int, int]:
    return (lease.host_uid, lease.host_gid) if lease else (os.getuid(), os.getgid())


def _check_rights(
    stub: int, init: int, status: bytes, outer_filters: int, blueprint: Blueprint
) -> None:
    for step in (
        _missing_in_stub(_rights(status), outer_filters),
        _missing_in_init(_rights(_read(init, "status")), outer_filters),
    ):
        _require(step, not step)
    # How many are open, from Linux 6.2: three streams, the report's, the listener's.
    count = os.stat(f"/proc/{stub}/fd").st_size
    _require(Step.DESCRIPTORS, count in (0, 4 + blueprint.plan.notifies))


@functools.lru_cache(_MOST_KEPT)
def _missing_in_stub(rights: bytes, outer_filters: int) -> int:
    """The first step whose wall these lines of its status do not show, or 0."""
    fields = _fields(rights)
    if step := _missing_confinement(fields, outer_filters, Step.FILTER):
        return step
    if any(int(fields[name], 16) for name in _EMPTY_SETS):
        return Step.CAPABILITIES
    return Step.SESSION if any(int(fields[name], 16) for name in ("SigIgn", "SigBlk")) else 0


@functools.lru_cache(_MOST_KEPT)
def _missing_in_init(rights: bytes, outer_filters: int) -> int:
    """The same of init."""
    fields = _fields(rights)
    if step := _missing_confinement(fields, outer_filters, Step.INIT_FILTER):
        return step
    kept = [int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")]
    return 0 if kept == [1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0, 0] else Step.INIT_CAPABILITIES


def _missing_confinement(fields: dict[str, str], outer_filters: int, filter_step: int) -> int:
    # Under an outer filter, a process without its own is in the same mode.
    count = fields.get("Seccomp_filters", str(outer_filters + 1))
    if fields["Seccomp"] != "2" or int(count) != outer_filters + 1:
        return filter_step
    return 0 if fields["NoNewPrivs"] == "1" else Step.NO_NEW_PRIVILEGES


@functools.lru_cache(_MOST_KEPT)
def _is_parked_view(
    found: tuple[tuple[bytes, bytes, bytes], ...], planned: tuple[tuple[bytes, bytes], ...]
) -> bool:
    return _is_planned(found, dict(planned), ())


def _is_planned(
    found: tuple[tuple[bytes, bytes, bytes], ...],
    planned: dict[bytes, bytes],
    below: tuple[bytes, ...],
) -> bool:
    """Whether all `found` are `planned`, or mounted `below` a bind that they came along with."""
    seen = set()
    for quoted, options, propagation in found:
        point = quoted.decode("unicode_escape").encode("latin-1") if b"\\" in quoted else quoted
        if point.startswith(below):
            least = b"ro"  # a submount of a bind
        elif point in planned and point not in seen:
            least = planned[point]
        else:
            return False
        seen.add(point)
        if propagation or not set(least.split(b",")) <= set(options.split(b",")):
            return False
    return planned.keys() <= seen


@functools.cache
def _namespace_names() -> frozenset[str]:
    """A kernel may be without the last."""
    return frozenset(_NAMESPACES if has_time_namespaces() else _NAMESPACES[:-1])


def _ids(status: bytes) -> tuple[bytes, ...]:
    found = _IDS.search(status)
    return found.groups() if found else ()


def _rights(status: bytes) -> bytes:
    first, end = _RIGHTS
    return status[status.find(first) : status.find(end)]


def _fields(lines: bytes) -> dict[str, str]:
    parts = (line.partition(":") for line in lines.decode().splitlines())
    return {name: value.strip() for name, _, value in parts}


def _read(pid: int, name: str) -> bytes:
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, _PIECE_BYTES), b""))
    finally:
        os.close(fd)
