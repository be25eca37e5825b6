"""The view, decided outside: what the template holds, and which mounts a sandbox must then have."""

import contextlib
import os
import stat

from sandbox.boundary.plan import Bind, TemplatePlan
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job
from sandbox.spec.policy import Policy

__all__ = [
    "INSIDE_ID",
    "OWN_INODES",
    "plan_binds",
    "plan_mounts",
    "plan_proc_masks",
    "plan_template",
    "plan_uppers",
    "scratch_cwd",
    "writable_paths",
]

INSIDE_ID = 1000  # the payload's uid and gid, as it sees them
OWN_INODES = 4  # of the scratch tmpfs: its root, and the three directories that are shown
_DEVICES = (b"full", b"null", b"random", b"tty", b"urandom", b"zero")
_MERGED = (b"bin", b"sbin", b"lib", b"lib32", b"lib64", b"libx32")
_FILES = {
    b"etc/passwd": b"root:x:0:0:root:/:/usr/sbin/nologin\njob:x:1000:1000:job:/work:/bin/sh\n",
    b"etc/group": b"root:x:0:\njob:x:1000:\n",
    b"etc/hosts": b"127.0.0.1 localhost\n::1 localhost\n",
    b"etc/hostname": b"sandbox\n",
    b"etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}
_MOST_ETC_BYTES = 64 << 20
_INIT_MASKS = ((b"1/cgroup", False), (b"1/cpuset", False), (b"1/task", True))
# Of /proc beside the processes: what runtimes read to size themselves. All else is masked, so a
# file that a newer kernel adds is masked too.
_PROC_SHOWN = {
    "cgroups", "cpuinfo", "filesystems", "loadavg", "meminfo", "mounts", "net", "self", "stat",
    "thread-self", "uptime", "version",
}  # fmt: skip


def plan_template(
    job: Job,
    binds: tuple[Bind, ...],
    policy: Policy,
    hierarchies: tuple[str, ...],
    machine: bytes,
    spawn_at: int,
) -> TemplatePlan:
    """The root for jobs like this one; `hierarchies`: v1 cgroup files to be shown.

    Raises SpecError: a mount point lies where none can be made.
    """
    directories = [b"dev", b"proc", b"tmp", scratch_cwd(job)]
    links: list[tuple[bytes, bytes]] = []
    files: list[tuple[bytes, int, bytes]] = []
    overlays = []
    if policy.cgroup_files:
        directories += [b"sys/fs/cgroup"]
        directories += [b"sys/fs/cgroup/" + os.fsencode(h) for h in hierarchies]
    if job.root is None:
        overlays.append(b"usr")
        for name in _MERGED:
            path = b"/" + name
            if os.path.islink(path):
                links.append((name, os.readlink(path)))
            elif os.path.isdir(path):
                overlays.append(name)
        directories += overlays
        files += [(name, 0o644, content) for name, content in _FILES.items()]
        _copy_etc(policy.etc, links, files)
    for bind in binds:
        if not bind.is_created:
            if bind.is_directory:
                directories.append(bind.target)
            else:
                files.append((bind.target, 0o644, b""))
    is_writable = policy.root == "writable"
    if is_writable:
        directories.append(b".upper")  # what init tries an upper on
    lower = None if job.root is None else os.fsencode(job.root)
    return TemplatePlan(
        lower,
        tuple(overlays),
        tuple(directories),
        tuple(links),
        tuple(files),
        _DEVICES,
        is_writable,
        machine,
        spawn_at,
    )


def scratch_cwd(job: Job) -> bytes:
    """Where the scratch space's main directory is shown, without leading slash."""
    inside_other = job.cwd.startswith((b"/tmp/", b"/dev/shm/", b"/work/"))
    return b"work" if inside_other or job.cwd in (b"/tmp", b"/dev/shm") else job.cwd.lstrip(b"/")


def writable_paths(job: Job) -> tuple[bytes, ...]:
    """The directories that show the scratch space."""
    return (b"/" + scratch_cwd(job), b"/tmp", b"/dev/shm")


def plan_binds(job: Job) -> tuple[Bind, ...]:
    """The job's read-only binds, in the order in which they can be attached.

    Raises SpecError naming an input that cannot be opened, or a copy that has nowhere to go.
    """
    writable = tuple(path + b"/" for path in writable_paths(job))
    binds = []
    for item in sorted(job.inputs, key=lambda item: item.destination):
        is_created = item.destination.startswith(writable)
        if item.copied:
            if not is_created:
                where = b", ".join(writable_paths(job)).decode()
                raise SpecError(
                    "copy", f"{os.fsdecode(item.destination)} is not writable; copy below {where}"
                )
            continue
        try:
            found = item.source.stat()
        except OSError as error:
            raise SpecError("ro", f"{item.source}: {error.strerror}") from error
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise SpecError("ro", f"{item.source} is neither a file nor a directory")
        binds.append(
            Bind(
                os.fsencode(item.source.resolve()),
                found.st_dev,
                found.st_ino,
                item.destination.lstrip(b"/"),
                stat.S_ISDIR(found.st_mode),
                is_created,
            )
        )
    return tuple(binds)


def plan_uppers(template: TemplatePlan) -> tuple[bytes, ...]:
    """The overlays that a job of this template may write: all of them, the root first, or none."""
    return (b"", *template.overlays) if template.keeps_lowers else ()


def plan_mounts(
    scratch: bytes,
    template: TemplatePlan,
    masks: tuple[tuple[bytes, bool], ...],
    cgroup_mounts: tuple[tuple[bytes, bytes, bytes], ...],
) -> tuple[tuple[bytes, bytes], ...]:
    """Every mount that a parked sandbox must show, and the options that each must have."""
    root, data, quiet = b"ro,nosuid,nodev", b"nosuid,nodev", b"nosuid,nodev,noexec"
    device = b"ro,nosuid,noexec"
    mounts = {b"/": root, b"/dev": device, b"/dev/pts": b"nosuid,noexec", b"/proc": quiet}
    mounts |= {b"/" + name: root for name in template.overlays}
    mounts |= {b"/" + name: data for name in plan_uppers(template)}
    mounts |= {b"/dev/" + name: device for name in template.devices}
    mounts |= {b"/proc/" + name: b"ro," + quiet for name, _ in masks}
    mounts |= {b"/" + target: b"ro," + quiet for _, _, target in cgroup_mounts}
    mounts |= {b"/" + scratch: data, b"/tmp": data, b"/dev/shm": quiet}
    return tuple(mounts.items())


def plan_proc_masks(policy: Policy) -> tuple[tuple[bytes, bool], ...]:
    """What is covered of init, and in a whole /proc all but the processes and a short list.

    Init is in the supervisor's own cgroups, as far as it needs none: what they are called on the
    host, often for a container or a user, is told there to everybody. proc(5).
    """
    masks = [(name, is_dir) for name, is_dir in _INIT_MASKS if os.path.exists(b"/proc/" + name)]
    if policy.proc == "pid":
        return tuple(masks)
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() or entry.name in _PROC_SHOWN or entry.is_symlink():
                continue
            masks.append((os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)))
    return tuple(sorted(masks))


def _copy_etc(
    names: tuple[bytes, ...],
    links: list[tuple[bytes, bytes]],
    files: list[tuple[bytes, int, bytes]],
) -> None:
    """Take the named parts of the host's /etc into our layer: what everybody may read of them."""
    pending = [b"etc/" + name for name in names]
    left = _MOST_ETC_BYTES
    while pending:
        name = pending.pop()
        path = b"/" + name
        with contextlib.suppress(OSError):  # EINVAL: it is no link; all but some of them are
            links.append((name, os.readlink(path)))
            continue
        try:
            found = os.lstat(path)
            if stat.S_ISDIR(found.st_mode):
                pending += [name + b"/" + below for below in os.listdir(path)]
            elif stat.S_ISREG(found.st_mode) and found.st_mode & stat.S_IROTH:
                left -= found.st_size
                if left < 0:
                    raise SpecError(
                        "etc", f"{os.fsdecode(path)}: more than {_MOST_ETC_BYTES} bytes in all"
                    )
                with open(path, "rb", buffering=0) as file:
                    files.append((name, found.st_mode & 0o755, file.read()))
        except (FileNotFoundError, PermissionError):
            continue  # a policy names what some hosts have; others may not see all of it
