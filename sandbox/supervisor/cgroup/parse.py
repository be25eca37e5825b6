"""Text that the kernel writes about cgroups, to values. Pure; every function takes bytes or str."""

import re
from typing import NamedTuple

__all__ = ["Mount", "memberships", "mounts", "numbers", "plain"]

# Options of a v1 hierarchy beside its controllers, cgroup_show_options() in the kernel.
_FLAGS = {
    "clone_children",
    "cpuset_v2_mode",
    "favordynmods",
    "none",
    "noprefix",
    "ro",
    "rw",
    "xattr",
}
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount of one hierarchy, as this process sees it."""

    version: int
    point: str
    root: str  # the cgroup shown at `point`, as /proc/PID/cgroup names it
    controllers: frozenset[str]  # v1: of the hierarchy, named ones as "name=systemd"; v2: none
    writable: bool

    def shown(self, membership: str) -> str | None:
        """The directory of a cgroup named in /proc/PID/cgroup, or None: outside this mount."""
        root = self.root.rstrip("/")
        if membership != root and not membership.startswith(root + "/"):
            return None
        return (self.point + membership[len(root) :]).rstrip("/")

    def membership(self, directory: str) -> str:
        """What /proc/PID/cgroup says of a process in `directory`, which is below `point`."""
        return (self.root.rstrip("/") + directory[len(self.point) :]) or "/"


def mounts(mountinfo: str) -> list[Mount]:
    """The cgroup mounts in /proc/PID/mountinfo, one a hierarchy, in the file's order.

    Of several mounts of a hierarchy the one that shows most of it counts. proc_pid_mountinfo(5).
    """
    found: dict[str, Mount] = {}
    for line in mountinfo.split("\n"):  # splitlines() would obey what a directory's name may hold
        # "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu"
        head, _, tail = line.partition(" - ")
        fields, kind = head.split(" "), tail.split(" ")
        if len(fields) < 6 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        device, root, point, options = fields[2:6]
        of_hierarchy = frozenset(kind[2].split(","))
        mount = Mount(
            version=2 if kind[0] == "cgroup2" else 1,
            point=plain(point),
            root=plain(root),
            controllers=frozenset(filter(_is_controller, of_hierarchy)),
            writable="ro" not in options.split(",") and "ro" not in of_hierarchy,
        )
        if mount.version == 2:  # "nsdelegate" and others are options, not controllers
            mount = mount._replace(controllers=frozenset())
        known = found.get(device)
        if known is None or (mount.writable, -len(mount.root)) > (known.writable, -len(known.root)):
            found[device] = mount
    return list(found.values())


def memberships(text: str) -> dict[str, str]:
    """/proc/PID/cgroup as controller -> cgroup; the v2 hierarchy is the key "". cgroups(7)."""
    found = {}
    for line in text.split("\n"):
        number, _, rest = line.partition(":")
        controllers, separator, path = rest.partition(":")
        if not number.isdigit() or not separator:
            continue
        for controller in controllers.split(","):
            found[controller] = path
    return found


def numbers(text: bytes) -> dict[bytes, int]:
    """A flat keyed file such as memory.stat as name -> value; other lines are skipped."""
    found = {}
    for line in text.split(b"\n"):
        name, _, value = line.partition(b" ")
        if value.isdigit():
            found[name] = int(value)
    return found


def _is_controller(option: str) -> bool:
    return option not in _FLAGS and not option.startswith("release_agent=")


def plain(path: str) -> str:
    """A path of mountinfo, in which blank, tab, newline and backslash are octal."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), path)
