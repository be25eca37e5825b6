"""Mounts and paths: one function a syscall. Each succeeds or raises OSError; none decides."""

from __future__ import annotations

import ctypes
import os

from sandbox.kernel.call import check, libc, syscall

__all__ = [
    "AT_EMPTY_PATH",
    "AT_RECURSIVE",
    "MNT_DETACH",
    "MOVE_MOUNT_F_EMPTY_PATH",
    "MOVE_MOUNT_T_EMPTY_PATH",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "MS_SLAVE",
    "OPEN_TREE_CLONE",
    "RESOLVE_BENEATH_WITHOUT_LINKS",
    "mount",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "openat2",
    "pivot_root",
    "umount2",
]

# <linux/mount.h>; the MOUNT_ATTR_* of mount_setattr(2) have the same values for these four.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC = 0x20, 0x1000, 0x4000
MS_PRIVATE, MS_SLAVE = 1 << 18, 1 << 19
MNT_DETACH = 2
AT_RECURSIVE, AT_EMPTY_PATH = 0x8000, 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH = 0x4, 0x40
RESOLVE_BENEATH_WITHOUT_LINKS = 0x02 | 0x04 | 0x08  # RESOLVE_{NO_MAGICLINKS,NO_SYMLINKS,BENEATH}


class _OpenHow(ctypes.Structure):  # struct open_how, openat2(2)
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


class _MountAttr(ctypes.Structure):  # struct mount_attr, mount_setattr(2)
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns_fd")]


def mount(source: bytes, target: bytes, fstype: bytes, flags: int = 0, data: bytes = b"") -> None:
    """Mount, bind or change a mount. mount(2)."""
    check(libc.mount(source, target, fstype, ctypes.c_ulong(flags), data), target)


def umount2(target: bytes, flags: int) -> None:
    """Unmount `target`. EINVAL: it is locked to a mount from a stronger namespace. umount(2)."""
    check(libc.umount2(target, flags), target)


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """Make `new_root` the root of this mount namespace, the old one visible at `put_old`.

    pivot_root(".", ".") stacks the old root on the new one, to be unmounted next. pivot_root(2).
    """
    syscall("pivot_root", new_root, put_old, path=new_root)


def open_tree(path: bytes, flags: int = AT_RECURSIVE) -> int:
    """A close-on-exec fd of a detached copy of the mount at `path`. open_tree(2), Linux 5.2.

    EINVAL: without AT_RECURSIVE, a tree whose submounts are locked; or not our mount namespace.
    """
    return syscall("open_tree", -100, path, OPEN_TREE_CLONE | os.O_CLOEXEC | flags, path=path)


def move_mount(tree_fd: int, target_fd: int) -> None:
    """Attach a detached tree at the open `target_fd`. ELOOP: it was attached before. Linux 5.2."""
    flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    syscall("move_mount", tree_fd, b"", target_fd, b"", flags)


def mount_setattr(tree_fd: int, attributes: int) -> None:
    """Set MS_RDONLY, MS_NOSUID, … on a whole detached tree. mount_setattr(2), Linux 5.12."""
    change = _MountAttr(set=attributes)
    size = ctypes.sizeof(change)
    syscall("mount_setattr", tree_fd, b"", AT_EMPTY_PATH | AT_RECURSIVE, ctypes.byref(change), size)


def openat2(dirfd: int, path: bytes, flags: int, resolve: int, mode: int = 0) -> int:
    """Open `path`, walked by the kernel from `dirfd` under `resolve`; a close-on-exec fd.

    Raises OSError: EXDEV, the walk left `dirfd`; ELOOP, it met a link that `resolve` forbids;
    EAGAIN, a rename raced the walk (the caller decides whether to repeat). openat2(2), Linux 5.6.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    return syscall("openat2", dirfd, path, ctypes.byref(how), ctypes.sizeof(how), path=path)
