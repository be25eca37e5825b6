"""What a sandbox's scripts are written from: all that is decided before the clone."""

from __future__ import annotations

from sandbox.boundary.plan import Disk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from sandbox.boundary.record import Record

__all__ = ["SandboxPlan"]


class SandboxPlan(Record):
    """One sandbox, from clone to locked stub: nothing here depends on the job's command."""

    inside_id: int  # what the payload sees as its uid and gid
    drops_groups: bool  # False: the host allows no setgroups to a single-id map
    has_keyrings: bool  # the kernel has them, and lets us use them
    cgroup_fds: int  # how many come along
    born_in_cgroup: bool  # that is a v2 directory for clone3 of the stub; else v1 `tasks` files
    shares: tuple[tuple[bytes, int], ...]  # (name below /proc/sys/user, most for this sandbox)
    hostname: bytes
    scratch: bytes  # the third name of the scratch space, beside tmp and dev/shm; no leading slash
    uppers: tuple[bytes, ...]  # overlays of the template ("" is the root) that the job may write
    disk: Disk
    proc_options: bytes
    proc_masks: tuple[tuple[bytes, bool], ...]  # (name below /proc, is a directory)
    cgroup_mounts: tuple[tuple[bytes, bytes, bytes], ...]  # (type, options, target)
    init_filter: bytes  # struct sock_filter[]
    filter: bytes  # the payload's
    notifies: bool  # that has a listener
    last_capability: int
    cwd: bytes  # absolute; made where it is missing
    terminal: bool  # open a pseudo-terminal in the sandbox's own devpts; no pipes came along
    has_inputs: bool  # scripts that write them come on the report's fd
    landlock: tuple[int, int, int] | None  # handled fs, net and scope accesses; None: no wall
    landlock_paths: tuple[tuple[bytes, int], ...]
