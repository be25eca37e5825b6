"""The template: the read-only root that every sandbox of a zygote clones, mounted once."""

from __future__ import annotations

import os

from sandbox.boundary.plan import LOWERS, TEMPLATE_ROOT, Bind, TemplatePlan
from sandbox.kernel.mounts import (
    MNT_DETACH,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_SLAVE,
    mount,
    mount_setattr,
    open_tree,
    pivot_root,
    umount2,
)
from sandbox.kernel.processes import CLONE_NEWNS, setns, unshare
from sandbox.zygote.spawn import move_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HostView", "build_template"]

_PLACE = b"/tmp"  # any directory that every host has; the host's own is only covered in here
_ROOT, _LOWERS = TEMPLATE_ROOT.lstrip(b"/"), LOWERS.lstrip(b"/")
_DEVICES = {  # null(4), full(4), random(4), tty(4)
    b"null": (1, 3),
    b"zero": (1, 5),
    b"full": (1, 7),
    b"random": (1, 8),
    b"urandom": (1, 9),
    b"tty": (5, 0),
}
_DEVICE_LINKS = (
    (b"fd", b"/proc/self/fd"),
    (b"stdin", b"/proc/self/fd/0"),
    (b"stdout", b"/proc/self/fd/1"),
    (b"stderr", b"/proc/self/fd/2"),
    (b"ptmx", b"pts/ptmx"),
)


class HostView:
    """The host's mounts, in a namespace that the zygote enters only to open a bind's source."""

    def __init__(self) -> None:
        unshare(CLONE_NEWNS)
        mount(b"none", b"/", b"", MS_REC | MS_SLAVE)  # the host's later mounts are seen, not ours
        self._host_fd = _open(b"/proc/self/ns/mnt", os.O_RDONLY)
        self._host_root_fd = _open(b"/", os.O_PATH)
        unshare(CLONE_NEWNS)
        mount(b"none", b"/", b"", MS_REC | MS_PRIVATE)
        self._template_fd = _open(b"/proc/self/ns/mnt", os.O_RDONLY)

    def open_binds(self, binds: Iterable[Bind]) -> list[int]:
        """A detached read-only copy of each source on the host, which must still be that inode.

        Raises OSError: ESTALE, something else is there now.
        """
        trees: list[int] = []
        setns(self._host_fd, CLONE_NEWNS)
        try:
            os.fchdir(self._host_root_fd)
            os.chroot(b".")  # setns leads to the namespace's root, which need not be ours
            for bind in binds:
                trees.append(open_tree(bind.source))
                found = os.fstat(trees[-1])
                if (found.st_dev, found.st_ino) != (bind.device, bind.inode):
                    raise OSError(116, os.strerror(116), bind.source)  # ESTALE
                mount_setattr(trees[-1], MS_RDONLY | MS_NOSUID | MS_NODEV)
        except OSError:
            for fd in trees:
                os.close(fd)
            raise
        finally:
            try:
                setns(self._template_fd, CLONE_NEWNS)
            except OSError:
                os._exit(1)  # nobody is to be cloned from the host's view; another zygote comes up
        return trees


def _open(path: bytes, flags: int) -> int:
    return move_up(os.open(path, flags | os.O_CLOEXEC))


def build_template(plan: TemplatePlan) -> None:
    """Mount the template at TEMPLATE_ROOT of an otherwise empty root, and move there for good."""
    # Opened first, because it may lie below the place that the template is about to cover.
    lower_fd = -1 if plan.lower is None else os.open(plan.lower, os.O_PATH | os.O_DIRECTORY)
    mount(b"template", _PLACE, b"tmpfs", MS_NOSUID, b"mode=0755")
    os.chdir(_PLACE)
    for name in (b"layer", b"nothing", b"proc", b"empty", b"empty/directory", _ROOT):
        os.mkdir(name)
    _write(b"empty/file", 0o444, b"")
    mount(b"empty", b"empty", b"", MS_BIND)
    _restrict(b"empty", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _fill_layer(plan)
    # Through a magic link, because a name may hold what separates mount options.
    _overlay(b"layer", b"/proc/self/fd/%d" % lower_fd if plan.lower else b"nothing", _ROOT)
    if plan.lower is not None:
        os.close(lower_fd)
    for name in plan.overlays:
        _overlay(b"layer/" + name, b"/" + name, _ROOT + b"/" + name)
    if plan.keeps_lowers:  # an overlay takes no lower layer with mounts in it that are locked
        for name in (b"", *plan.overlays):
            os.mkdir(_LOWERS + b"-" + name)
            mount(_ROOT + b"/" + name, _LOWERS + b"-" + name, b"", MS_BIND)
    _make_devices(_ROOT + b"/dev", plan.devices)
    # proc(5) mounts in a user namespace only where a whole one is already seen.
    mount(b"/proc", b"proc", b"", MS_BIND | MS_REC)
    pivot_root(b".", b".")
    umount2(b".", MNT_DETACH)
    os.chdir(b"/")


def _fill_layer(plan: TemplatePlan) -> None:
    os.chdir(b"layer")
    for name in plan.directories:
        os.makedirs(name, exist_ok=True)
    for name, target in plan.links:
        os.makedirs(os.path.dirname(name) or b".", exist_ok=True)
        os.symlink(target, name)
    for name, mode, content in plan.files:
        os.makedirs(os.path.dirname(name) or b".", exist_ok=True)
        _write(name, mode, content)
    os.chdir(b"..")


def _overlay(upper: bytes, lower: bytes, target: bytes) -> None:
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV
    mount(b"rootfs", target, b"overlay", flags, b"lowerdir=" + upper + b":" + lower)


def _make_devices(target: bytes, devices: tuple[bytes, ...]) -> None:
    mount(b"dev", target, b"tmpfs", MS_NOSUID | MS_NOEXEC, b"mode=0755,size=64k,nr_inodes=32")
    for name in (b"pts", b"shm"):
        os.mkdir(target + b"/" + name)
    for name, link in _DEVICE_LINKS:
        os.symlink(link, target + b"/" + name)
    for name in devices:  # mknod(2) is not for user namespaces: the host's own, each bound
        path = target + b"/" + name
        _write(path, 0o666, b"")
        mount(b"/dev/" + name, path, b"", MS_BIND)
        if os.stat(path).st_rdev != os.makedev(*_DEVICES[name]):
            raise OSError(6, os.strerror(6), path)  # ENXIO
    _restrict(target, MS_RDONLY | MS_NOSUID | MS_NOEXEC)


def _restrict(target: bytes, attributes: int) -> None:
    tree_fd = os.open(target, os.O_PATH | os.O_CLOEXEC)
    mount_setattr(tree_fd, attributes)
    os.close(tree_fd)


def _write(path: bytes, mode: int, content: bytes) -> None:
    with open(path, "xb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
