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

    _Plan = TypeVar("_Plan", bound="TemplatePlan | SpawnPlan | BindsPlan | CollectPlan")
else:
    from sandbox.boundary.record import Record

__all__ = [
    "LOWERS",
    "TEMPLATE_ROOT",
    "Bind",
    "BindsPlan",
    "CollectPlan",
    "Disk",
    "SpawnPlan",
    "TemplatePlan",
    "decode",
    "encode",
]


TEMPLATE_ROOT, LOWERS = b"/root", b"/lower"  # where the zygote has it mounted


class TemplatePlan(Record):
    """The read-only root that every sandbox of one zygote shares. Paths have no leading slash."""

    lower: bytes | None  # an absolute directory of the host that becomes "/", or none
    overlays: tuple[bytes, ...]  # the host's directories of these names, shown at these names
    directories: tuple[bytes, ...]  # our own layer, on top of the lower one
    links: tuple[tuple[bytes, bytes], ...]  # (name, target)
    files: tuple[tuple[bytes, int, bytes], ...]  # (name, mode, content)
    devices: tuple[bytes, ...]  # names in the host's /dev
    keeps_lowers: bool  # the overlays are also shown bare, as lower layers for each job's upper
    machine: bytes  # what is executed in every sandbox
    spawn_at: int  # in that: the function by which the zygote has it executed


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


class SpawnPlan(Record):
    """One clone: all that a zygote is told of a sandbox."""

    clone_flags: int
    base_id: int  # in the zygote's user namespace
    inside_id: int  # what the payload sees as its uid and gid
    time_offsets: bytes | None  # for /proc/PID/timens_offsets, time_namespaces(7); None: no wall


class BindsPlan(Record):
    """The binds that a zygote is to open the sources of."""

    binds: tuple[Bind, ...]


class CollectPlan(Record):
    """What the collector sends back: regular files only, each at most so many bytes."""

    inside_id: int
    drops_groups: bool
    last_capability: int
    paths: tuple[bytes, ...]
    max_bytes: int
    filter: bytes


def encode(plan: TemplatePlan | SpawnPlan | BindsPlan | CollectPlan) -> bytes:
    """The plan as bytes for `decode`."""
    return marshal.dumps(_plain(plan))


def decode(kind: type[_Plan], data: bytes) -> _Plan:
    """The plan of that kind that `encode` made bytes of."""
    return kind(*marshal.loads(data))


def _plain(value: object) -> object:
    # marshal takes exact tuples only, not the named ones.
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
