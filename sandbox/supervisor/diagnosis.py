"""From what was asked and tried to what it means: a state for each wall and limit, and the fix."""

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.spec.limits import LIMIT_NAMES
from sandbox.supervisor.attempts import Attempts
from sandbox.supervisor.cgroup.fixes import setup_command
from sandbox.supervisor.host import HostFacts, sysctl_gaps

__all__ = ["Row", "limit_rows", "split_fix", "wall_rows"]

# The attempts that a wall stands on, and what each is called.
_STANDS_ON = {
    "view": {
        "mount": "mount namespace",
        "overlay": "overlay of /usr",
        "device": "bind of a device",
    },
    "processes": {"processes": "pid namespace", "proc": "mount of /proc"},
    "network": {"network": "network namespace"},
    "ipc": {"ipc": "ipc namespace"},
    "uts": {"uts": "uts namespace"},
    "cgroup": {"cgroup": "cgroup namespace"},
    "syscalls": {"syscalls": "seccomp filter with a listener"},
    "landlock": {"landlock": "Landlock ruleset"},
    "time": {"time": "time namespace"},
}
_OPTIONAL = ("landlock", "time")
# user.max_*_namespaces, namespaces(7)
_COUNTED = {
    "user": "user", "mount": "mnt", "network": "net", "ipc": "ipc", "uts": "uts",
    "cgroup": "cgroup", "time": "time", "processes": "pid",
}  # fmt: skip
_CONTAINER_FLAGS = {
    "docker": "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined",
    "podman": "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL",
}
_ANY_CONTAINER = (
    "run the container without a seccomp profile and with an unmasked /proc "
    f"({_CONTAINER_FLAGS['docker']}; Kubernetes: hostUsers: false, procMount: Unmasked, "
    "seccompProfile: Unconfined); a chroot forbids user namespaces, too"
)
_GRADES = {
    "kernel": "the kernel holds it",
    "rlimit": "an rlimit of each process",
    "polled": "the runner looks and kills",
    "none": "nobody enforces it",
}


class Row(NamedTuple):
    """One wall or limit. `state`: up, weak or missing; of a limit, its grade."""

    state: str
    detail: str
    fix: str = ""


def wall_rows(
    facts: HostFacts, attempts: Attempts | None, identity_problem: str, quotas: Row
) -> dict[str, Row]:
    """Each wall, by the names that a Result has. `attempts` None: see `identity_problem`."""
    rows = {"identity": _identity(facts, attempts, identity_problem)}
    codes = {} if attempts is None else attempts.codes
    for wall, parts in _STANDS_ON.items():
        rows[wall] = _wall(wall, parts, facts, codes)
    return {**rows, "quotas": quotas}


def limit_rows(grades: Mapping[str, str], gaps: Mapping[str, str]) -> dict[str, Row]:
    """Each limit, with who enforces it."""
    rows = {}
    for limit in LIMIT_NAMES:
        if (grade := grades.get(limit)) is None:
            continue
        detail, fix = split_fix(gaps.get(limit) or _GRADES[grade])
        rows[limit] = Row(grade, detail, fix)
    return rows


def split_fix(message: str) -> tuple[str, str]:
    """Our messages end with "; fix: …": what comes before, and the fix."""
    detail, _, fix = message.partition("; fix: ")
    return detail, fix


def _identity(facts: HostFacts, attempts: Attempts | None, problem: str) -> Row:
    if attempts is None:
        return Row("missing", *split_fix(problem))
    if code := attempts.codes.get("user", errno.EPERM):
        return Row("missing", _refused("user namespace", code), _fix("user", code, facts))
    if attempts.maps_problem:
        return Row("missing", *split_fix(attempts.maps_problem))
    base = attempts.base
    if base.ranges is None:
        detail = f"all jobs share uid {base.uid}, the runner's own: {base.why}"
        return Row("weak", detail, _ranges_fix(base.uid, base.why))
    first, count = base.ranges.uids.start, base.ranges.count
    return Row("up", f"each job has a uid of its own, from {first} to {first + count - 1}")


def _ranges_fix(uid: int, why: str) -> str:
    if "not installed" in why:
        return "install newuidmap and newgidmap (Debian, Ubuntu: apt install uidmap)"
    if "set-uid" in why:
        return "reinstall the package of newuidmap, or: chmod u+s on both (as root)"
    return f"{setup_command(uid)}, or usermod --add-subuids and --add-subgids"


def _wall(wall: str, parts: Mapping[str, str], facts: HostFacts, codes: Mapping[str, int]) -> Row:
    absent = "weak" if wall in _OPTIONAL else "missing"
    for name, what in parts.items():
        if name not in codes:
            return Row("missing", "not tried: there is no user namespace", "see identity")
        if codes[name]:
            return Row(absent, _refused(what, codes[name]), _fix(name, codes[name], facts))
    detail = ", ".join(parts.values())
    if wall == "landlock":
        detail += f", ABI {facts.landlock_abi}"
    return Row("up", detail)


def _refused(what: str, code: int) -> str:
    return f"{what}: {os.strerror(code)} ({errno.errorcode.get(code, code)})"


def _fix(name: str, code: int, facts: HostFacts) -> str:
    if name == "landlock":
        return "boot with landlock in the lsm= list; it is optional, the other walls stand"
    if code == errno.ENOSPC and name in _COUNTED:
        line = f"user.max_{_COUNTED[name]}_namespaces=28633"
        return f"echo {line} > /etc/sysctl.d/60-sandbox.conf && sysctl --system (as root)"
    if gaps := sysctl_gaps(facts.sysctls):
        return "; ".join(f"{what}: {fix}" for what, fix in gaps)
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENODEV):
        optional = "; it is optional, the other walls stand" if name in _OPTIONAL else ""
        return f"this kernel was built without it: use another{optional}"
    return _CONTAINER_FLAGS.get(facts.container or "", _ANY_CONTAINER)
