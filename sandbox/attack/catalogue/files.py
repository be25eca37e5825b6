"""Files of the host: those that are not shown, those that are shown read-only, and leaked ways."""

import functools
import os
from errno import EACCES, EBADF, ENOENT, ENOTDIR, EPERM, EROFS, EXDEV

from sandbox.attack.attack import BARE, Attack, add, attack, by
from sandbox.attack.image import SCRIPT_OFFSET, script_image
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import LEAKED_FD, Targets

_KIND = "files"
_READ, _WRITE = os.O_RDONLY, os.O_WRONLY
_AT_SYMLINK_FOLLOW = 0x400
_MAP_SHARED, _PROT_READ, _PROT_WRITE, _PROT_EXEC = 1, 1, 2, 4
_SHOWN_READ_ONLY = by("view", openat=EROFS) + by("landlock", openat=EACCES)
_DEVICES = (
    "fuse", "kvm", "net/tun", "vhost-net", "vhost-vsock", "loop-control", "userfaultfd", "hwrng",
    "rtc0", "kmsg", "mem", "port", "nvram", "vsock", "udmabuf", "dma_heap/system", "dri/renderD128",
    "uinput", "snapshot", "autofs", "btrfs-control", "cuse", "uhid", "ppp", "watchdog", "sda",
    "vda",
)  # fmt: skip


@attack(_KIND, BARE, by("view", openat=ENOENT))
def read_secret(script: AttackScript, targets: Targets) -> None:
    """Reads a file of the host that everybody may read."""
    script.read_all(script.open_path(targets.secret, _READ), targets.token)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def written_secret(script: AttackScript, targets: Targets) -> None:
    """Writes to a file of the host that everybody may write."""
    script.call("write", script.open_path(targets.secret, _WRITE), b"x", 1)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def climbed_from_cwd(script: AttackScript, targets: Targets) -> None:
    """Climbs from its working directory above every root, and down again."""
    script.read_all(script.open_path(b"../" * 40 + targets.secret[1:], _READ), targets.token)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def climbed_from_input(script: AttackScript, targets: Targets) -> None:
    """Climbs out of a directory that is bound from the host."""
    path = os.fsencode(targets.programs) + b"/../secret"
    script.read_all(script.open_path(path, _READ), targets.token)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def through_own_root(script: AttackScript, targets: Targets) -> None:
    """Walks through /proc/self/root."""
    script.read_all(script.open_path(b"/proc/self/root" + targets.secret, _READ), targets.token)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def through_own_cwd(script: AttackScript, targets: Targets) -> None:
    """Walks through /proc/self/cwd and up, in case it was leaked (CVE-2024-21626)."""
    path = b"/proc/self/cwd/" + b"../" * 40 + targets.secret[1:]
    script.read_all(script.open_path(path, _READ), targets.token)


@attack(_KIND, BARE, by("descriptors", openat=EBADF))
def through_leaked_fd(script: AttackScript, targets: Targets) -> None:
    """Opens a file below a directory that whoever started the supervisor has leaked."""
    fd = script.open("openat", LEAKED_FD, b"secret", _READ, 0)
    script.read_all(fd, targets.token)


@attack(_KIND, BARE, by("descriptors", openat=ENOENT))
def through_leaked_magic_link(script: AttackScript, targets: Targets) -> None:
    """The same through /proc/self/fd."""
    path = b"/proc/self/fd/%d/secret" % LEAKED_FD
    script.read_all(script.open_path(path, _READ), targets.token)


@attack(_KIND, BARE, by("descriptors", chdir=ENOENT))
def leaked_cwd(script: AttackScript, targets: Targets) -> None:
    """Makes the leaked directory its own (CVE-2024-21626: runc's /sys/fs/cgroup)."""
    script.call("chdir", b"/proc/self/fd/%d" % LEAKED_FD)
    script.read_all(script.open_path(b"secret", _READ), targets.token)


@attack(_KIND, BARE, by("view", linkat=ENOENT))
def linked_secret(script: AttackScript, targets: Targets) -> None:
    """Links a file of the host to a place of its own."""
    place = b"/tmp/link-" + targets.token
    script.call("linkat", AT_FDCWD, targets.secret, AT_FDCWD, place, 0)
    script.call("unlinkat", AT_FDCWD, place, 0)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def followed_symlink(script: AttackScript, targets: Targets) -> None:
    """Reads a file of the host through a symbolic link."""
    place = b"/tmp/symlink-" + targets.token
    script.call("symlinkat", targets.secret, AT_FDCWD, place)
    fd = script.open_path(place, _READ)
    script.read_all(fd, targets.token)
    script.call("unlinkat", AT_FDCWD, place, 0)


@attack(_KIND, BARE, by("view", openat=ENOENT))
def shared_memory_file(script: AttackScript, targets: Targets) -> None:
    """Reads a file in the host's /dev/shm."""
    script.read_all(script.open_path(targets.shared, _READ), targets.token)


@attack(_KIND, BARE, _SHOWN_READ_ONLY)
def written_input(script: AttackScript, targets: Targets) -> None:
    """Writes to an input that is shown read-only, and that everybody may write on the host."""
    script.call("write", script.open_path(targets.input, _WRITE), b"x", 1)


@attack(_KIND, BARE, _SHOWN_READ_ONLY)
def mapped_input(script: AttackScript, targets: Targets) -> None:
    """Maps such an input shared and writable."""
    fd = script.open_path(targets.input, os.O_RDWR)
    script.call("mmap", 0, 4096, _PROT_READ | _PROT_WRITE, _MAP_SHARED, fd, 0)


@attack(_KIND, BARE, by("view", truncate=EROFS) + by("landlock", truncate=EACCES))
def truncated_input(script: AttackScript, targets: Targets) -> None:
    """Truncates such an input."""
    script.call("truncate", targets.input, 0)


@attack(_KIND, BARE, by("view", fchmodat=EROFS))
def chmoded_input(script: AttackScript, targets: Targets) -> None:
    """Changes the mode of such an input."""
    script.call("fchmodat", AT_FDCWD, targets.input, 0o777)


@attack(_KIND, BARE, by("view", utimensat=EROFS))
def touched_input(script: AttackScript, targets: Targets) -> None:
    """Changes the times of such an input."""
    script.call("utimensat", AT_FDCWD, targets.input, 0, 0)


@attack(_KIND, BARE, by("view", renameat2=EROFS) + by("landlock", renameat2=EACCES))
def renamed_input(script: AttackScript, targets: Targets) -> None:
    """Renames such an input, and back."""
    script.call("renameat2", AT_FDCWD, targets.input, AT_FDCWD, targets.input + b"2", 0)
    script.call("renameat2", AT_FDCWD, targets.input + b"2", AT_FDCWD, targets.input, 0)


@attack(_KIND, BARE, by("view", linkat=EXDEV) + by("landlock", linkat=EACCES))
def linked_input(script: AttackScript, targets: Targets) -> None:
    """Links such an input to a place that it may write."""
    place = b"/tmp/link-" + targets.token
    script.call("linkat", AT_FDCWD, targets.input, AT_FDCWD, place, _AT_SYMLINK_FOLLOW)
    script.call("unlinkat", AT_FDCWD, place, 0)


@attack(_KIND, BARE, by("view", mkdirat=EROFS) + by("landlock", mkdirat=EACCES))
def made_beside_input(script: AttackScript, targets: Targets) -> None:
    """Makes a directory beside such an input."""
    place = targets.input + b"-directory"
    script.call("mkdirat", AT_FDCWD, place, 0o777)
    script.call("unlinkat", AT_FDCWD, place, 0x200)


@attack(_KIND, BARE, by("landlock", openat=EACCES))
def written_fifo(script: AttackScript, targets: Targets) -> None:
    """Writes to a FIFO of the host in a read-only input: no mount is read-only for those."""
    fd = script.open_path(targets.fifo, _WRITE | os.O_NONBLOCK)
    script.call("write", fd, b"x", 1)


@attack(_KIND, BARE, by("landlock", setxattr=EACCES) + by("view", setxattr=EROFS))
def attributed_input(script: AttackScript, targets: Targets) -> None:
    """Sets an extended attribute on such an input."""
    script.call("setxattr", targets.input, b"user.attack", b"x", 1, 0)


@attack(_KIND, BARE, by("view", openat=EROFS) + by("landlock", openat=EACCES))
def overwritten_program(script: AttackScript, targets: Targets) -> None:
    """Opens another program of the host for writing, as runc's was (CVE-2019-5736)."""
    program = os.fsencode(targets.programs) + b"/read_secret"
    script.open_path(program, _WRITE)


def _write_program(script: AttackScript, targets: Targets) -> bytes:
    """A file in /dev/shm that says that it got through."""
    path = b"/dev/shm/program-" + targets.token
    inner = AttackScript()
    image = script_image(inner.finish())
    flags = os.O_RDWR | os.O_CREAT
    fd = script.open("openat", AT_FDCWD, path, flags, 0o700)
    # Without what lies empty between its parts: a script is half a MiB at most.
    start = script.data(image[: SCRIPT_OFFSET // 4])
    script.call("pwrite64", fd, start, SCRIPT_OFFSET // 4, 0)
    rest = image[SCRIPT_OFFSET:]
    script.call("pwrite64", fd, script.data(rest), len(rest), SCRIPT_OFFSET)
    script.close(fd)
    return path


@attack(_KIND, BARE, by("view", execve=EACCES))
def executed_data(script: AttackScript, targets: Targets) -> None:
    """Executes a program that it wrote where data belongs."""
    path = _write_program(script, targets)
    nothing = script.data(bytes(8))
    script.call("execve", path, nothing, nothing)


@attack(_KIND, BARE, by("view", mmap=EPERM))
def mapped_data(script: AttackScript, targets: Targets) -> None:
    """Maps such a program for execution, as ld.so does for whoever names one to it."""
    path = _write_program(script, targets)
    fd = script.open_path(path, os.O_RDONLY)
    script.call("unlinkat", AT_FDCWD, path, 0)
    script.call("mmap", 0, 4096, _PROT_READ | _PROT_EXEC, 2, fd, 0)


def _open_device(path: bytes, script: AttackScript, targets: Targets) -> None:
    script.open_path(path, _READ | os.O_NONBLOCK)


for _name in _DEVICES:
    add(
        Attack(
            f"device_{_name.replace('/', '_').replace('-', '_')}", "devices",
            f"Opens /dev/{_name}.", BARE,
            functools.partial(_open_device, b"/dev/" + _name.encode()),
            by("view", openat=ENOENT) + (by("view", openat=ENOTDIR) if "/" in _name else ()),
        )
    )  # fmt: skip
