"""What the job sees: its own mounts on a clone of the template's root, then nothing else.

Until PIVOT the working directory is the new root, and every path here is relative to it.
"""

from __future__ import annotations

import os
import struct

from sandbox.boundary.plan import LOWERS, TEMPLATE_ROOT
from sandbox.boundary.report import Step
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import AT_FDCWD, EEXIST, Script
from sandbox.kernel.mounts import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    OPEN_TREE_CLONE,
)

__all__ = [
    "MOST_TERMINALS", "SCRATCH", "STATX_BYTES",
    "build_view", "make_directories", "mount_cgroup_files",
]  # fmt: skip

SCRATCH = MS_NOSUID | MS_NODEV
MOST_TERMINALS = 32
_UPPER_PROBE = b".upper"
_EMPTY_FILE, _EMPTY_DIRECTORY = b"/empty/file", b"/empty/directory"
_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC
_FLAGS_AT, _BLOCKS_AT, _FILES_AT = 80, 16, 40  # in struct statfs, statfs(2)
STATX_BYTES, _STATFS_BYTES, _UTSNAME_BYTES = 256, 120, 390
_NODENAME_AT = 65
_ST_VALID = 0x20
_AT_REMOVEDIR = 0x200


def build_view(script: Script, plan: SandboxPlan) -> None:
    """Each step of the mount wall, up to the pivot."""
    script.step = Step.HOSTNAME
    script.call("sethostname", plan.hostname, len(plan.hostname))
    names = script.space(_UTSNAME_BYTES)
    script.check("uname", names)
    script.expect(names + _NODENAME_AT, plan.hostname + b"\0")
    _clone_root(script)
    _mount_scratch(script, plan)
    _mount_proc(script, plan)
    script.step = Step.DEVICES
    # Counted for the whole machine, and charged to nobody: tens of kilobytes each.
    options = b"newinstance,ptmxmode=0666,mode=0620,max=%d" % MOST_TERMINALS
    script.call("mount", b"devpts", b"dev/pts", b"devpts", MS_NOSUID | MS_NOEXEC, options)
    found = script.space(STATX_BYTES)
    script.check("statx", AT_FDCWD, b"dev/pts/ptmx", 0, 0, found)
    script.step = Step.PIVOT
    script.call("pivot_root", b".", b".")  # which stacks the old root on the new one
    script.call("umount2", b".", MNT_DETACH)
    script.call("chdir", b"/")


def mount_cgroup_files(script: Script, plan: SandboxPlan) -> None:
    """Done by the stub: a cgroup mount shows what its maker's namespace shows."""
    script.step = Step.CGROUP_FILES
    for fstype, options, target in plan.cgroup_mounts:
        script.call("mount", b"cgroup", b"/" + target, fstype, MS_RDONLY | _QUIET, options)
        # The leaf, which holds nobody but the stub: the hierarchy's root would list init.
        listed = script.space(64)
        flags = os.O_RDONLY | os.O_CLOEXEC
        fd = script.open("openat", AT_FDCWD, b"/" + target + b"/cgroup.procs", flags, 0)
        script.check("read", fd, listed, 64, result=2)
        script.expect(listed, b"2\n")
        script.close(fd)


def make_directories(script: Script, path: bytes) -> None:
    """An absolute path, as far as it is not there."""
    at = path.find(b"/", 1)
    while at != -1:
        script.call("mkdirat", AT_FDCWD, path[:at], 0o777, tolerated=EEXIST)
        at = path.find(b"/", at + 1)
    script.call("mkdirat", AT_FDCWD, path, 0o777, tolerated=EEXIST)


def _check_size(script: Script, path: bytes, plan: SandboxPlan) -> None:
    """Whether the scratch space has its size."""
    found = script.space(_STATFS_BYTES)
    script.check("statfs", path, found)
    script.expect(found + _BLOCKS_AT, struct.pack("<Q", plan.disk.blocks))
    script.expect(found + _FILES_AT, struct.pack("<Q", plan.disk.inodes))


def _clone_root(script: Script) -> None:
    script.step = Step.ROOT
    # A mount inherited from the zygote's namespace is locked and can be no new root
    # (pivot_root(2)); a copy is ours. Recursive, because its submounts are locked to it.
    _attach(script, _open_tree(script, TEMPLATE_ROOT, AT_RECURSIVE), TEMPLATE_ROOT)
    script.call("chdir", TEMPLATE_ROOT)
    found = script.space(_STATFS_BYTES)
    script.check("statfs", b".", found)
    script.expect(found + _FLAGS_AT, bytes([MS_RDONLY | MS_NOSUID | MS_NODEV | _ST_VALID]))


def _mount_scratch(script: Script, plan: SandboxPlan) -> None:
    script.step = Step.SCRATCH
    # One tmpfs, so one budget of bytes and inodes; its own root is shown nowhere.
    options = b"mode=0755," + plan.disk.options()
    script.call("mount", b"scratch", b"tmp", b"tmpfs", SCRATCH, options)
    trees = {}
    for number, (name, mode) in enumerate(
        {b"tmp": 0o1777, b"dev/shm": 0o1777, plan.scratch: 0o755}.items()
    ):
        part = b"tmp/%d" % number
        script.call("mkdirat", AT_FDCWD, part, mode)
        trees[name] = _open_tree(script, part, 0)
    if plan.uppers:
        _mount_uppers(script, plan)
    else:
        script.call("umount2", b"tmp", MNT_DETACH)
    attributes = script.data(struct.pack("<4Q", MS_NOEXEC, 0, 0, 0))
    script.call("mount_setattr", trees[b"dev/shm"], b"", AT_EMPTY_PATH, attributes, 32)
    for name, tree in trees.items():
        _attach(script, tree, name)
    _check_size(script, b"tmp", plan)


def _mount_uppers(script: Script, plan: SandboxPlan) -> None:
    """Cover the read-only root with overlays whose uppers are parts of the scratch space."""
    scratch = _open_tree(script, b"tmp", 0)
    devices = _open_tree(script, b"dev", AT_RECURSIVE)
    for name in plan.uppers:
        upper, work = (b"/proc/self/fd/%d/%s-%s" % (scratch, p, name) for p in (b"u", b"w"))
        for path in (upper, work):
            script.call("mkdirat", AT_FDCWD, path, 0o755)
        options = b"lowerdir=%s-%s,upperdir=%s,workdir=%s,userxattr" % (LOWERS, name, upper, work)
        target = name or TEMPLATE_ROOT
        script.call("mount", b"rootfs", target, b"overlay", MS_NOSUID | MS_NODEV, options)
        script.call("chdir", TEMPLATE_ROOT)  # the topmost mount there
    _attach(script, devices, b"dev")
    script.close(scratch)
    # A tmpfs without user xattrs takes files, and fails at this (Linux before 6.6).
    script.check("unlinkat", AT_FDCWD, _UPPER_PROBE, _AT_REMOVEDIR)
    script.check("mkdirat", AT_FDCWD, _UPPER_PROBE, 0o755)
    script.check("unlinkat", AT_FDCWD, _UPPER_PROBE, _AT_REMOVEDIR)


def _mount_proc(script: Script, plan: SandboxPlan) -> None:
    script.step = Step.PROC
    script.call("mount", b"proc", b"proc", b"proc", _QUIET, plan.proc_options)
    for name, is_directory in plan.proc_masks:
        empty = _open_tree(script, _EMPTY_DIRECTORY if is_directory else _EMPTY_FILE, 0)
        _attach(script, empty, b"proc/" + name)
    own_pid = script.space(16)
    script.check("readlinkat", AT_FDCWD, b"proc/self", own_pid, 16, result=1)
    script.expect(own_pid, b"1")


def _open_tree(script: Script, path: bytes, flags: int) -> int:
    return script.open("open_tree", AT_FDCWD, path, OPEN_TREE_CLONE | os.O_CLOEXEC | flags)


def _attach(script: Script, tree: int, target: bytes) -> None:
    script.call("move_mount", tree, b"", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH)
    script.close(tree)
