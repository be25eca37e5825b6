"""The plans that go in: all that is decided before the clone, as plain values.

A plan crosses as marshal bytes. Both ends are the same interpreter and the sender is the
supervisor, which the receiver obeys anyway; marshal is built in, so the zygote imports nothing.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
    from typing import TypeVar

    _Plan = TypeVar("_Plan", bound="TemplatePlan | SandboxPlan | LatePlan | CollectPlan")
else:
    from sandbox.boundary.record import Record

__all__ = [
    "Bind",
    "CollectPlan",
    "Disk",
    "LatePlan",
    "SandboxPlan",
    "TemplatePlan",
    "decode",
    "encode",
]


class TemplatePlan(Record):
    """The read-only root that every sandbox of one zygote shares. Paths have no leading slash."""

    lower: bytes | None  # an absolute directory of the host that becomes "/", or none
    overlays: tuple[bytes, ...]  # the host's directories of these names, shown at these names
    directories: tuple[bytes, ...]  # our own layer, on top of the lower one
    links: tuple[tuple[bytes, bytes], ...]  # (name, target)
    files: tuple[tuple[bytes, int, bytes], ...]  # (name, mode, content)
    devices: tuple[bytes, ...]  # names in the host's /dev
    keeps_lowers: bool  # the overlays are also shown bare, as lower layers for each job's upper
    loader: bytes  # an executable, for every stub


class Bind(Record):
    """One read-only bind. The zygote opens `source` and refuses it unless it is that inode."""

    source: bytes
    device: int
    inode: int
    target: bytes  # below the sandbox's root, no leading slash
    is_directory: bool
    is_created: bool  # below a writable directory: init makes the mount point


class Disk(Record):
    """The size of the one tmpfs behind every writable directory: pages and inodes."""

    blocks: int
    inodes: int

    def options(self) -> bytes:
        """As tmpfs(5) takes it, to be mounted or remounted."""
        return b"nr_blocks=%d,nr_inodes=%d" % self


class SandboxPlan(Record):
    """One sandbox, from clone to locked stub: nothing here depends on the job's command."""

    clone_flags: int
    base_id: int  # in the zygote's user namespace
    inside_id: int  # what the payload sees as its uid and gid
    drops_groups: bool  # False: the host allows no setgroups to a single-id map
    born_in_cgroup: bool  # the cgroup fd is a v2 directory for clone3 of the stub; else v1 `tasks`
    time_offsets: bytes | None  # for /proc/PID/timens_offsets, time_namespaces(7); None: no wall
    hostname: bytes
    scratch: bytes  # the third name of the scratch space, beside tmp and dev/shm; no leading slash
    uppers: tuple[bytes, ...]  # overlays of the template ("" is the root) that the job may write
    disk: Disk
    proc_options: bytes
    proc_masks: tuple[tuple[bytes, bool], ...]  # (name below /proc, is a directory)
    cgroup_mounts: tuple[tuple[bytes, bytes, bytes], ...]  # (type, options, target)
    mounts: tuple[tuple[bytes, bytes], ...]  # (mount point, least options) as mountinfo must say
    init_filter: bytes
    stub_name: bytes  # random: init tells by it whether exec happened
    cwd: bytes  # absolute; made where it is missing
    terminal: bool  # open a pseudo-terminal in the sandbox's own devpts; no pipes came along
    has_inputs: bool  # an archive comes on the report fd, before the loader is executed
    landlock: tuple[int, int, int] | None  # handled fs, net and scope accesses; None: no wall
    landlock_paths: tuple[tuple[bytes, int], ...]


class LatePlan(Record):
    """What init adds to a parked sandbox for its one job. The binds' trees come along as fds."""

    binds: tuple[Bind, ...]
    disk: Disk


class CollectPlan(Record):
    """What the collector sends back: regular files only, each at most so many bytes."""

    inside_id: int
    drops_groups: bool
    paths: tuple[bytes, ...]
    max_bytes: int
    filter: bytes


def encode(plan: TemplatePlan | SandboxPlan | LatePlan | CollectPlan) -> bytes:
    """The plan as bytes for `decode`."""
    return marshal.dumps(_plain(plan))


def decode(kind: type[_Plan], data: bytes) -> _Plan:
    """The plan of that kind that `encode` made bytes of."""
    return kind(*marshal.loads(data))


def _plain(value: object) -> object:
    # marshal takes exact tuples only, not the named ones.
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
