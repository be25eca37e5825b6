"""Mounts: changing what the view is made of. All take CAP_SYS_ADMIN over the mount namespace."""

import os
import struct
from errno import EPERM

from sandbox.attack.attack import USERNS, attack, by
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets

_KIND = "mounts"
_MS_REMOUNT, _MS_BIND, _MS_MOVE, _MS_REC = 0x20, 0x1000, 0x2000, 0x4000
_MNT_DETACH = 2
_OPEN_TREE_CLONE, _AT_RECURSIVE = 1, 0x8000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_FSCONFIG_CMD_CREATE = 6
_MOUNT_ATTR_NOSUID = 2


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def tmpfs_over_proc(script: AttackScript, targets: Targets) -> None:
    """Covers /proc by a tmpfs of its own."""
    script.call("mount", b"none", b"/proc", b"tmpfs", 0, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def bind_over_proc(script: AttackScript, targets: Targets) -> None:
    """Binds a directory of its own over /proc, as if its files were the kernel's."""
    script.call("mount", b"/tmp", b"/proc", 0, _MS_BIND, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def bind_root(script: AttackScript, targets: Targets) -> None:
    """Binds the whole root, submounts and all, to where masks do not reach."""
    script.call("mount", b"/", b"/tmp", 0, _MS_BIND | _MS_REC, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def remount_writable(script: AttackScript, targets: Targets) -> None:
    """Remounts /proc without any of its restrictions."""
    script.call("mount", 0, b"/proc", 0, _MS_REMOUNT | _MS_BIND, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def fresh_proc(script: AttackScript, targets: Targets) -> None:
    """Mounts a second proc, in which nothing is masked."""
    script.call("mount", b"proc", b"/tmp", b"proc", 0, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def fresh_sysfs(script: AttackScript, targets: Targets) -> None:
    """Mounts sysfs, which a job is not shown."""
    script.call("mount", b"sysfs", b"/tmp", b"sysfs", 0, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def fresh_devpts(script: AttackScript, targets: Targets) -> None:
    """Mounts pseudo-terminals of its own."""
    script.call("mount", b"devpts", b"/tmp", b"devpts", 0, b"newinstance")


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def fresh_queues(script: AttackScript, targets: Targets) -> None:
    """Mounts the message queues of its ipc namespace."""
    script.call("mount", b"mqueue", b"/tmp", b"mqueue", 0, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def overlay_of_root(script: AttackScript, targets: Targets) -> None:
    """Mounts an overlay with the root as its lower layer (CVE-2021-3493, CVE-2023-0386)."""
    script.call("mount", b"overlay", b"/tmp", b"overlay", 0, b"lowerdir=/usr:/tmp,userxattr")


@attack(_KIND, USERNS, by("identity", umount2=EPERM))
def detach_proc(script: AttackScript, targets: Targets) -> None:
    """Takes /proc away, and with it its masks."""
    script.call("umount2", b"/proc", _MNT_DETACH)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def move_proc(script: AttackScript, targets: Targets) -> None:
    """Moves /proc to where no mask and no rule of Landlock is looked for."""
    script.call("mount", b"/proc", b"/tmp", 0, _MS_MOVE, 0)


@attack(_KIND, USERNS, by("identity", open_tree=EPERM))
def cloned_tree(script: AttackScript, targets: Targets) -> None:
    """Clones the tree of mounts, and attaches the copy elsewhere."""
    fd = script.open("open_tree", AT_FDCWD, b"/", _OPEN_TREE_CLONE | _AT_RECURSIVE)
    script.call("move_mount", fd, b"", AT_FDCWD, b"/tmp", _MOVE_MOUNT_F_EMPTY_PATH)


@attack(_KIND, USERNS, by("identity", move_mount=EPERM))
def moved_mount(script: AttackScript, targets: Targets) -> None:
    """Moves /proc by the newer call."""
    script.call("move_mount", AT_FDCWD, b"/proc", AT_FDCWD, b"/tmp", 0)


@attack(_KIND, USERNS, by("identity", fsopen=EPERM))
def file_system_context(script: AttackScript, targets: Targets) -> None:
    """Mounts a tmpfs step by step, by the newer calls (CVE-2022-0185)."""
    context = script.open("fsopen", b"tmpfs", 0)
    script.call("fsconfig", context, _FSCONFIG_CMD_CREATE, 0, 0, 0)
    fd = script.open("fsmount", context, 0, 0)
    script.call("move_mount", fd, b"", AT_FDCWD, b"/tmp", _MOVE_MOUNT_F_EMPTY_PATH)


@attack(_KIND, USERNS, by("identity", fspick=EPERM))
def picked_file_system(script: AttackScript, targets: Targets) -> None:
    """Takes hold of a file system that is mounted, to reconfigure it."""
    script.open("fspick", AT_FDCWD, b"/proc", 0)


@attack(_KIND, USERNS, by("identity", mount_setattr=EPERM))
def changed_attributes(script: AttackScript, targets: Targets) -> None:
    """Changes the attributes of a mount."""
    attributes = script.data(struct.pack("<4Q", _MOUNT_ATTR_NOSUID, 0, 0, 0))
    script.call("mount_setattr", AT_FDCWD, b"/proc", 0, attributes, 32)


@attack(_KIND, USERNS, by("identity", pivot_root=EPERM))
def pivoted_root(script: AttackScript, targets: Targets) -> None:
    """Makes another mount the root."""
    script.call("pivot_root", b"/proc", b"/proc")


@attack(_KIND, USERNS, by("identity", chroot=EPERM))
def double_chroot(script: AttackScript, targets: Targets) -> None:
    """Leaves its root by chroot(2) with a directory open above the new one."""
    fd = script.open_path(b"/", os.O_RDONLY)
    script.call("chroot", b"/tmp")
    script.call("openat", fd, targets.secret[1:], os.O_RDONLY, 0)


@attack(_KIND, USERNS, by("identity", mount=EPERM))
def mounted_cgroups(script: AttackScript, targets: Targets) -> None:
    """Mounts the cgroup hierarchy, on the way to its release_agent (CVE-2022-0492)."""
    script.call("mount", b"none", b"/tmp", b"cgroup2", 0, 0)
