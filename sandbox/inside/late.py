"""What one job adds to a parked sandbox: its read-only binds, its disk limits, its inputs."""

from __future__ import annotations

import os
import struct

from sandbox.boundary.plan import Bind, Disk
from sandbox.boundary.report import REPORT_BYTES, REPORT_FD, Kind, Report, Step
from sandbox.inside.init import CHILDREN_FD, CONTROL_FD, LEASE_FD
from sandbox.inside.script import AT_FDCWD, EEXIST, LATE_AT, Script
from sandbox.inside.view import SCRATCH, STATX_BYTES, make_directories
from sandbox.kernel.mounts import (
    AT_EMPTY_PATH,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    MS_REMOUNT,
    RESOLVE_BENEATH_WITHOUT_LINKS,
)

__all__ = ["write_bind_script", "write_input_script", "write_last_input_script"]

_STATX_INO = 0x100
_INODE_AT, _DEVICE_AT = 32, 136  # in struct statx, statx(2)


def write_bind_script(binds: tuple[Bind, ...], disk: Disk | None) -> bytes:
    """For init: attach the trees that come along, one a bind; have the scratch space resized."""
    script = Script(CONTROL_FD, (CONTROL_FD, CHILDREN_FD, LEASE_FD), at=LATE_AT)
    trees = script.take_fds(len(binds))
    script.step = Step.DISK
    if disk is not None:
        flags = MS_REMOUNT | SCRATCH
        script.call("mount", b"none", b"/tmp", b"", flags, disk.options())
    script.step = Step.BINDS
    root_fd = script.open("openat", AT_FDCWD, b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, 0)
    for bind, tree in zip(binds, trees, strict=True):
        if bind.is_created:
            _make_mount_point(script, root_fd, bind)
        target_fd = _open_beneath(script, root_fd, bind.target, os.O_PATH)
        flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
        script.call("move_mount", tree, b"", target_fd, b"", flags)
        script.close(target_fd, tree)
        _check_source(script, root_fd, bind)
    script.close(root_fd)
    ready = script.data(Report(Kind.READY).pack())
    script.call("write", CONTROL_FD, ready, REPORT_BYTES, result=REPORT_BYTES)
    script.end()
    return script.pack()


def write_input_script(path: bytes, mode: int, size: int | None, link: bytes = b"") -> bytes:
    """For the stub: make this file, of the bytes to come; without a size a link or directory."""
    script = Script(REPORT_FD, range(REPORT_FD + 1), at=LATE_AT)
    script.step = Step.INPUTS
    if size is None and link:
        script.call("symlinkat", link, AT_FDCWD, path)
    elif size is None:
        make_directories(script, path)
    else:
        make_directories(script, os.path.dirname(path))
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = script.open("openat", AT_FDCWD, path, flags, mode)
        script.copy(REPORT_FD, fd, size)
        script.call("fchmod", fd, mode)  # the umask does not count: it is the caller's file
        script.close(fd)
    script.load_next(REPORT_FD, returns=False)
    return script.pack()


def write_last_input_script(cwd: bytes) -> bytes:
    """For the stub: there are no more inputs."""
    script = Script(REPORT_FD, range(REPORT_FD + 1), at=LATE_AT)
    script.step = Step.CWD
    script.call("chdir", cwd)  # again: a bind may have covered the one that it is in
    script.end()
    return script.pack()


def _make_mount_point(script: Script, root_fd: int, bind: Bind) -> None:
    *parents, name = bind.target.split(b"/")
    at_fd = _open_beneath(script, root_fd, b".", os.O_PATH | os.O_DIRECTORY)
    for part in [*parents, name] if bind.is_directory else parents:
        # One that exists is another bind's, or the scratch space itself.
        script.call("mkdirat", at_fd, part, 0o755, tolerated=EEXIST)
        next_fd = _open_beneath(script, at_fd, part, os.O_PATH | os.O_DIRECTORY)
        script.close(at_fd)
        at_fd = next_fd
    if not bind.is_directory:
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
        script.close(script.open("openat", at_fd, name, flags, 0o644))
    script.close(at_fd)


def _check_source(script: Script, root_fd: int, bind: Bind) -> None:
    fd = _open_beneath(script, root_fd, bind.target, os.O_PATH)
    found = script.space(STATX_BYTES)
    script.check("statx", fd, b"", AT_EMPTY_PATH, _STATX_INO, found)
    script.close(fd)
    script.expect(found + _INODE_AT, struct.pack("<Q", bind.inode))
    device = struct.pack("<2I", os.major(bind.device), os.minor(bind.device))
    script.expect(found + _DEVICE_AT, device)


def _open_beneath(script: Script, at_fd: int, path: bytes, flags: int) -> int:
    how = struct.pack("<3Q", flags | os.O_CLOEXEC, 0, RESOLVE_BENEATH_WITHOUT_LINKS)
    return script.open("openat2", at_fd, path, script.data(how), len(how))  # struct open_how
