"""What the job sees: its own mounts on a clone of the template's root, then nothing else.

Until PIVOT the working directory is the new root, and every path here is relative to it.
"""

from __future__ import annotations

import os
import stat

from sandbox.boundary.plan import Bind, Disk, LatePlan, SandboxPlan
from sandbox.boundary.report import Step as Code
from sandbox.inside.steps import Step
from sandbox.kernel.mounts import (
    MNT_DETACH,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REMOUNT,
    RESOLVE_BENEATH,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
    mount,
    mount_setattr,
    move_mount,
    open_tree,
    openat2,
    pivot_root,
    umount2,
)
from sandbox.kernel.processes import sethostname

__all__ = ["LATE_STEPS", "LOWERS", "TEMPLATE_ROOT", "VIEW_STEPS", "LateView", "View"]

TEMPLATE_ROOT, LOWERS = b"/root", b"/lower"
UPPER_PROBE = b".upper"
_EMPTY_FILE, _EMPTY_DIRECTORY = b"/empty/file", b"/empty/directory"
_SCRATCH = MS_NOSUID | MS_NODEV
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
_QUIET = MS_NOSUID | MS_NODEV | MS_NOEXEC
_DEVICES = {b"null": 3, b"zero": 5, b"full": 7, b"random": 8, b"urandom": 9}  # of major 1, mem


class View:
    """The steps of the mount wall, for one sandbox."""

    def __init__(self, plan: SandboxPlan) -> None:
        self.plan = plan
        self.disk = Disk._make(plan.disk)

    def set_hostname(self) -> None:
        sethostname(self.plan.hostname)

    def hostname_is_set(self) -> bool:
        return os.fsencode(os.uname().nodename) == self.plan.hostname

    def clone_root(self) -> None:
        # A mount inherited from the zygote's namespace is locked and can be no new root
        # (pivot_root(2)); a copy is ours. Recursive, because its submounts are locked to it.
        self._attach(open_tree(TEMPLATE_ROOT), TEMPLATE_ROOT)
        os.chdir(TEMPLATE_ROOT)

    def root_is_read_only(self) -> bool:
        return bool(os.statvfs(b".").f_flag & os.ST_RDONLY)

    def mount_scratch(self) -> None:
        # One tmpfs, so one budget of bytes and inodes; its own root is shown nowhere.
        mount(b"scratch", b"tmp", b"tmpfs", _SCRATCH, b"mode=0755," + self.disk.options())
        shown = {b"tmp": 0o1777, b"dev/shm": 0o1777, self.plan.scratch: 0o755}
        trees = {}
        for number, (name, mode) in enumerate(shown.items()):
            part = b"tmp/%d" % number
            os.mkdir(part)
            os.chmod(part, mode)
            trees[name] = open_tree(part, 0)
        if self.plan.uppers:
            self._mount_uppers()
        else:
            umount2(b"tmp", MNT_DETACH)
        mount_setattr(trees[b"dev/shm"], MS_NOEXEC)
        for name, tree in trees.items():
            self._attach(tree, name)

    def scratch_is_capped(self) -> bool:
        return _is_sized(b"tmp", self.disk)

    def _mount_uppers(self) -> None:
        """Cover the read-only root with overlays whose uppers are parts of the scratch space."""
        scratch, devices = open_tree(b"tmp", 0), open_tree(b"dev")
        for name in self.plan.uppers:
            upper, work = (b"/proc/self/fd/%d/%s-%s" % (scratch, p, name) for p in (b"u", b"w"))
            for path in (upper, work):
                os.mkdir(path)
            options = b"lowerdir=%s-%s,upperdir=%s,workdir=%s,userxattr" % (
                *(LOWERS, name, upper, work),
            )
            mount(b"rootfs", name or TEMPLATE_ROOT, b"overlay", MS_NOSUID | MS_NODEV, options)
            os.chdir(TEMPLATE_ROOT)  # the topmost mount there
        self._attach(devices, b"dev")
        os.close(scratch)
        # A tmpfs without user xattrs takes files, and fails at this (Linux before 6.6).
        os.rmdir(UPPER_PROBE)
        os.mkdir(UPPER_PROBE)
        os.rmdir(UPPER_PROBE)

    def mount_proc(self) -> None:
        mount(b"proc", b"proc", b"proc", _QUIET, self.plan.proc_options)
        for name, is_directory in self.plan.proc_masks:
            empty = open_tree(_EMPTY_DIRECTORY if is_directory else _EMPTY_FILE, 0)
            self._attach(empty, b"proc/" + name)

    def proc_is_private(self) -> bool:
        return os.readlink(b"proc/self") == b"1"

    def mount_terminals(self) -> None:
        options = b"newinstance,ptmxmode=0666,mode=0620"
        mount(b"devpts", b"dev/pts", b"devpts", MS_NOSUID | MS_NOEXEC, options)

    def devices_are_right(self) -> bool:
        return os.listdir(b"dev/pts") == [b"ptmx"] and all(
            stat.S_ISCHR((found := os.stat(b"dev/" + name)).st_mode)
            and found.st_rdev == os.makedev(1, minor)
            for name, minor in _DEVICES.items()
        )

    def mount_cgroup_files(self) -> None:
        for fstype, options, target in self.plan.cgroup_mounts:
            mount(b"cgroup", target, fstype, MS_RDONLY | _QUIET, options)

    def cgroup_files_are_own(self) -> bool:
        # The leaf that holds nobody but the stub: a mount of the hierarchy's root would list init.
        return all(
            len(_lines(target + b"/cgroup.procs")) == 1 for _, _, target in self.plan.cgroup_mounts
        )

    def pivot(self) -> None:
        pivot_root(b".", b".")
        umount2(b".", MNT_DETACH)
        os.chdir(b"/")

    def mounts_are_planned(self) -> bool:
        return _mounts_are(dict(self.plan.mounts))

    def _attach(self, tree: int, target: bytes) -> None:
        target_fd = os.open(target, os.O_PATH | os.O_CLOEXEC)
        move_mount(tree, target_fd)
        os.close(target_fd)
        os.close(tree)


class LateView:
    """What one job adds to a parked sandbox: its read-only binds, and its own disk limits."""

    def __init__(self, plan: SandboxPlan) -> None:
        self.plan = plan
        self.bound: list[Bind] = []

    def take(self, late: LatePlan, trees: list[int]) -> None:
        """Take one plan and the trees of its binds; several may come, for a message has few fds."""
        self.binds = [Bind._make(bind) for bind in late.binds]
        self.disk = Disk._make(late.disk)
        self.trees = trees

    def resize_scratch(self) -> None:
        if not _is_sized(b"/tmp", self.disk):
            mount(b"none", b"/tmp", b"", MS_REMOUNT | _SCRATCH, self.disk.options())

    def scratch_is_capped(self) -> bool:
        return _is_sized(b"/tmp", self.disk)

    def attach_binds(self) -> None:
        root_fd = os.open(b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for bind, tree in zip(self.binds, self.trees, strict=True):
            if bind.is_created:
                _make_mount_point(root_fd, bind)
            target_fd = openat2(root_fd, bind.target, os.O_PATH, _BENEATH)
            move_mount(tree, target_fd)
            os.close(target_fd)
            os.close(tree)
        os.close(root_fd)
        self.bound.extend(self.binds)

    def binds_are_attached(self) -> bool:
        points = {b"/" + bind.target: b"ro,nosuid,nodev" for bind in self.bound}
        below = tuple(point + b"/" for point in points)
        return all(map(_is_bound, self.binds)) and _mounts_are(
            {**dict(self.plan.mounts), **points}, below
        )


def _mounts_are(planned: dict[bytes, bytes], below: tuple[bytes, ...] = ()) -> bool:
    """Whether mountinfo lists exactly the planned mounts, with at least their options; what is
    mounted `below` a bind came along with it."""
    seen = set()
    for line in _lines(b"/proc/self/mountinfo"):
        _id, _parent, _device, _root, point, options, *rest = line.split(b" ")
        point = point.decode("unicode_escape").encode("latin-1") if b"\\" in point else point
        if point.startswith(below):
            least = b"ro"  # a submount of a bind
        elif point in planned and point not in seen:
            least = planned[point]
        else:
            return False
        seen.add(point)
        # No optional field before the dash: the mount propagates nowhere.
        if rest[0] != b"-" or not set(least.split(b",")) <= set(options.split(b",")):
            return False
    return planned.keys() <= seen


def _is_sized(path: bytes, disk: Disk) -> bool:
    found = os.statvfs(path)
    return (found.f_blocks, found.f_files) == disk


def _make_mount_point(root_fd: int, bind: Bind) -> None:
    *parents, name = bind.target.split(b"/")
    at_fd = openat2(root_fd, b".", os.O_PATH | os.O_DIRECTORY, _BENEATH)
    for part in [*parents, name] if bind.is_directory else parents:
        try:
            os.mkdir(part, 0o755, dir_fd=at_fd)
        except FileExistsError:
            pass  # another bind's, or the scratch space itself
        next_fd = openat2(at_fd, part, os.O_PATH | os.O_DIRECTORY, _BENEATH)
        os.close(at_fd)
        at_fd = next_fd
    if not bind.is_directory:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644, dir_fd=at_fd))
    os.close(at_fd)


def _is_bound(bind: Bind) -> bool:
    found = os.stat(b"/" + bind.target)
    is_source = (found.st_dev, found.st_ino) == (bind.device, bind.inode)
    return is_source and bool(os.statvfs(b"/" + bind.target).f_flag & os.ST_RDONLY)


def _lines(path: bytes) -> list[bytes]:
    with open(path, "rb") as file:
        return file.read().splitlines()


VIEW_STEPS = (
    Step(Code.HOSTNAME, View.set_hostname, View.hostname_is_set),
    Step(Code.ROOT, View.clone_root, View.root_is_read_only),
    Step(Code.SCRATCH, View.mount_scratch, View.scratch_is_capped),
    Step(Code.PROC, View.mount_proc, View.proc_is_private),
    Step(Code.DEVICES, View.mount_terminals, View.devices_are_right),
    Step(Code.CGROUP_FILES, View.mount_cgroup_files, View.cgroup_files_are_own),
    Step(Code.PIVOT, View.pivot, View.mounts_are_planned),
)
LATE_STEPS = (
    Step(Code.DISK, LateView.resize_scratch, LateView.scratch_is_capped),
    Step(Code.BINDS, LateView.attach_binds, LateView.binds_are_attached),
)
