"""Why a user's jobs have no ids of their own, and what gives them some."""

import os
import pwd
import shlex
import shutil
import stat
import sys
from pathlib import Path

from sandbox.supervisor.fix import Fix, own_command
from sandbox.supervisor.host import HostFacts
from sandbox.supervisor.identity import BaseMap, BaseRanges, find_ranges, helper_problem
from sandbox.supervisor.mounted import mount_point_of

__all__ = ["ids_fix", "setup_fix"]

_SYS_ADMIN = 21  # <linux/capability.h>
_SET_ID = {"CAP_SETGID": 6, "CAP_SETUID": 7}
_HELPERS = ("newuidmap", "newgidmap")
_GAP = "jobs have no host ids of their own"
# The package of newuidmap(1), by who installs it.
_PACKAGES = {
    "apt-get": "apt-get install -y uidmap",
    "dnf": "dnf install -y shadow-utils",
    "zypper": "zypper --non-interactive install shadow",
    "pacman": "pacman -S --noconfirm --needed shadow",
    "apk": "apk add shadow-subids",
}
_SETUID_COSTS = "two set-uid programs, which map only what /etc/subuid and /etc/subgid grant"


def ids_fix(base: BaseMap, facts: HostFacts) -> Fix:
    """What closes the gap of `base`, which has no ranges. Of several causes, the first to meet."""
    if Path("/proc/self/uid_map").read_text().split()[:3] != ["0", "0", "4294967295"]:
        return _in_a_namespace(base)
    if facts.no_new_privileges:
        return Fix(
            f"{_GAP}: no_new_privs is set, so newuidmap gains no rights",
            advice="start without no_new_privs: in a unit, NoNewPrivileges=no and no option that "
            "implies it (systemd.exec(5)); for a container, no no-new-privileges",
        )
    if find_ranges(base.uid, base.gid) is None:
        return setup_fix(base.uid, f"{_GAP}: {base.why}", "65536 ids that no other user can use")
    helpers = [shutil.which(name) for name in _HELPERS]
    if None in helpers:
        installers = [line for name, line in _PACKAGES.items() if shutil.which(name)]
        why = f"{_GAP}: newuidmap and newgidmap are not installed"
        advice = "" if installers else "install newuidmap and newgidmap"
        return Fix(why, tuple(installers[:1]), _SETUID_COSTS if installers else "", advice)
    return _helpers_fix([path for path in helpers if path is not None], base, facts)


def setup_fix(uid: int, why: str, costs: str, *then: str) -> Fix:
    """Have root run our own `setup` for this user."""
    if untrusted := [path for path in _ours() if not _is_roots(path)]:
        costs += f"; root runs our code in {untrusted[0]}, which is not root's alone: look first"
    command = own_command("setup", "--user", _name(uid))
    return Fix(why, (command, *then), costs)


def _helpers_fix(paths: list[str], base: BaseMap, facts: HostFacts) -> Fix:
    quoted = shlex.join(paths)
    if problems := [problem for name in _HELPERS if (problem := helper_problem(name))]:
        return Fix(f"{_GAP}: {'; '.join(problems)}", (f"chmod u+s {quoted}",), _SETUID_COSTS)
    if lacking := [name for name, bit in _SET_ID.items() if not facts.bounding >> bit & 1]:
        return Fix(
            f"{_GAP}: no program gets {' or '.join(lacking)} here",
            advice="let newuidmap and newgidmap have these capabilities: CapabilityBoundingSet= of "
            "the unit, --cap-add of the container",
        )
    if not facts.bounding >> _SYS_ADMIN & 1 and all(map(_is_set_uid, paths)):
        # As set-uid programs they open the map as root, to whom the namespace is not; with
        # capabilities of their files they do it as the user. user_namespaces(7)
        return Fix(
            f"{_GAP}: set-uid root, newuidmap needs CAP_SYS_ADMIN, which no program gets here",
            (
                f"chmod u-s {quoted}",
                f"setcap cap_setuid=ep {shlex.quote(paths[0])}",
                f"setcap cap_setgid=ep {shlex.quote(paths[1])}",
            ),
            "newuidmap and newgidmap have one capability each instead of all of root's",
        )
    if os.statvfs(paths[0]).f_flag & os.ST_NOSUID:
        point = mount_point_of(paths[0])
        return Fix(
            f"{_GAP}: newuidmap is on a nosuid mount",
            (f"mount -o remount,bind,suid {shlex.quote(point)}",),
            f"set-uid programs in {point} work again, until the next boot (then /etc/fstab)",
        )
    return Fix(f"{_GAP}: {base.why}", advice=f"see what refuses it: {quoted}, newuidmap(1)")


def _in_a_namespace(base: BaseMap) -> Fix:
    ranges = find_ranges(base.uid, base.gid)
    if ranges is None or not _is_mapped(ranges):
        why = f"{_GAP}: the user namespace around us has none for them"
    else:
        why = f"{_GAP}: {base.why}"
    return Fix(
        why,
        advice="start outside of it, or have a range mapped into it (podman run --userns=auto:size="
        "165536) that /etc/subuid and /etc/subgid grant there, with newuidmap set-uid root there",
    )


def _is_mapped(ranges: BaseRanges) -> bool:
    lines = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(
        int(first) <= ranges.uids.start and ranges.uids.end <= int(first) + int(count)
        for first, _, count in lines
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _ours() -> tuple[Path, ...]:
    packages = Path(__file__).resolve().parents[2]
    return (packages, packages / "sandbox", Path(__file__).resolve(), Path(sys.executable))


def _is_set_uid(path: str) -> bool:
    return bool(Path(path).stat().st_mode & stat.S_ISUID)


def _is_roots(path: Path) -> bool:
    found = path.stat()
    return found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
