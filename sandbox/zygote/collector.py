"""The collector: reads a job's artifacts with no more rights than the job had."""

from __future__ import annotations

import _signal
import errno
import os
import stat
import sys

from sandbox.boundary.archive import Entry, EntryKind, write_all
from sandbox.boundary.plan import CollectPlan
from sandbox.kernel.confinement import seccomp_load
from sandbox.kernel.mounts import (
    RESOLVE_BENEATH_WITHOUT_LINKS,
    openat2,
)
from sandbox.kernel.processes import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    PR_SET_SECUREBITS,
    SECUREBITS,
    capset,
    close_range,
    prctl,
    setns,
)

__all__ = ["run_collector"]

_OUT_FD = 3
_PIECE_BYTES = 1 << 18


def run_collector(plan: CollectPlan, out_fd: int, user_ns_fd: int, mount_ns_fd: int) -> None:
    """Send the artifacts as an archive on `out_fd`. Never returns.

    The payload's processes are gone and this one is outside their pid namespace and cgroup. What
    they left may still be anything: a link, a FIFO, a device, a directory, a name with any bytes.
    """
    try:
        setns(user_ns_fd, CLONE_NEWUSER)
        setns(mount_ns_fd, CLONE_NEWNS)
        os.chdir(b"/")
        _become_job(plan)
        os.dup2(out_fd, _OUT_FD, inheritable=False)
        root_fd = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        os.dup2(root_fd, _OUT_FD + 1, inheritable=False)
        close_range(_OUT_FD + 2)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        seccomp_load(plan.filter, listener=False)
        left = plan.max_bytes
        for path in plan.paths:
            left -= _send_file(path, left)
        _send(Entry(EntryKind.END).pack())
    except BrokenPipeError:
        pass  # the supervisor has read enough
    except BaseException:
        sys.excepthook(*sys.exc_info())  # a bug of ours; the archive ends short, which is seen
    finally:
        os._exit(0)


def _become_job(plan: CollectPlan) -> None:
    """Take the job's one id and lose every capability, as sandbox/inside/lock.py has it."""
    if plan.drops_groups:
        os.setgroups([])
    os.setresgid(plan.inside_id, plan.inside_id, plan.inside_id)
    os.setresuid(plan.inside_id, plan.inside_id, plan.inside_id)
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)  # after the new uid, which clears it
    for capability in range(plan.last_capability + 1):
        prctl(PR_CAPBSET_DROP, capability)
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    prctl(PR_SET_SECUREBITS, SECUREBITS)
    capset(0, 0, 0)


def _send_file(path: bytes, max_bytes: int) -> int:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for its other end.
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        fd = openat2(_OUT_FD + 1, path.lstrip(b"/"), flags, RESOLVE_BENEATH_WITHOUT_LINKS)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EISDIR if stat.S_ISDIR(found.st_mode) else errno.EINVAL, "")
        if found.st_size > max_bytes:
            raise OSError(errno.EFBIG, "")
    except OSError as error:
        _send(Entry(EntryKind.REFUSED, len(path), error.errno or 0).pack() + path)
        return 0
    _send(Entry(EntryKind.FILE, len(path), found.st_mode & 0o777, found.st_size).pack() + path)
    left = found.st_size
    while left:
        piece = os.read(fd, min(left, _PIECE_BYTES))
        if not piece:
            raise OSError(errno.EIO, "")  # the archive ends short, which the reader sees
        _send(piece)
        left -= len(piece)
    os.close(fd)
    return found.st_size


def _send(data: bytes) -> None:
    write_all(_OUT_FD, data)
