"""From what was asked and tried to what it means: a state for each wall and limit, and the fix."""

import errno
import os
from collections.abc import Mapping
from typing import NamedTuple

from sandbox.spec.limits import LIMIT_NAMES
from sandbox.supervisor.attempts import Attempts
from sandbox.supervisor.fix import Fix, as_text, split_fix
from sandbox.supervisor.host import HostFacts
from sandbox.supervisor.id_gaps import ids_fix
from sandbox.supervisor.mounted import mount_points
from sandbox.supervisor.quota_gaps import limit_fix
from sandbox.supervisor.sysctls import MEMFD, NO_ATTACH, YAMA, read_sysctl, sysctl_fix, sysctl_fixes

__all__ = ["Row", "limit_rows", "wall_rows"]

# The attempts that a wall stands on, and what each is called.
_STANDS_ON = {
    "view": {
        "mount": "mount namespace",
        "overlay": "overlay of /usr",
        "device": "bind of a device",
        "pivot": "change of root",
        "setns": "return to a namespace",
    },
    "processes": {
        "memfd": "program in a memfd",
        "clone3": "clone3",
        "processes": "pid namespace",
        "proc": "mount of /proc",
    },
    "network": {"network": "network namespace"},
    "ipc": {"ipc": "ipc namespace"},
    "uts": {"uts": "uts namespace"},
    "cgroup": {"cgroup": "cgroup namespace"},
    "syscalls": {
        "syscalls": "seccomp filter with a listener",
        "getfd": "fd of another process",
    },
    "landlock": {"landlock": "Landlock ruleset"},
    "time": {"time": "time namespace"},
}
_CALLED = {"user": "user namespace"} | {
    n: w for parts in _STANDS_ON.values() for n, w in parts.items()
}
# Walls that a policy may do without, where the kernel has no such thing.
_OTHER_KERNEL = {
    "landlock": "boot with landlock in the lsm= list, or a kernel with it (Linux 5.13)",
    "time": "another kernel has it (Linux 5.6)",
}
_SHOWN = 5  # of many mounts that are in the way
# user.max_*_namespaces, namespaces(7)
_COUNTED = {
    "user": "user", "mount": "mnt", "network": "net", "ipc": "ipc", "uts": "uts",
    "cgroup": "cgroup", "time": "time", "processes": "pid",
}  # fmt: skip
_NAMESPACES = 28633  # of each kind; what RHEL's documents set
_CONTAINER_FLAGS = {
    "docker": "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined",
    "podman": "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL",
}
_ANY_CONTAINER = (
    "run the container without a seccomp profile and with an unmasked /proc "
    f"({_CONTAINER_FLAGS['docker']}; Kubernetes: hostUsers: false, procMount: Unmasked, "
    "seccompProfile: Unconfined)"
)
_UNIT = (
    "a systemd unit with RestrictNamespaces=, SystemCallFilter=, ProtectKernelTunables=, "
    "ProtectProc= or the like has to go without (systemd.exec(5))"
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
    fixes: tuple[Fix, ...] = ()

    @property
    def fix(self) -> str:
        """The fixes for people, or ""."""
        return "\n".join(map(as_text, self.fixes))


def wall_rows(
    facts: HostFacts, attempts: Attempts | None, identity_problem: str, quotas: Row
) -> dict[str, Row]:
    """Each wall, by the names that a Result has.

    `identity_problem`: what keeps jobs from ids, whatever the attempts say; they are None, or not.
    """
    rows = {"identity": _identity(facts, attempts, identity_problem)}
    codes = {} if attempts is None else attempts.codes
    for wall, parts in _STANDS_ON.items():
        rows[wall] = _wall(wall, parts, facts, codes)
    return {**rows, "quotas": quotas}


def limit_rows(grades: Mapping[str, str], gaps: Mapping[str, str], uid: int) -> dict[str, Row]:
    """Each limit of user `uid`, with who enforces it."""
    rows = {}
    for limit in LIMIT_NAMES:
        if (grade := grades.get(limit)) is None:
            continue
        gap = gaps.get(limit, "")
        fix = limit_fix(gap, uid)
        detail = split_fix(gap)[0] or _GRADES[grade]
        rows[limit] = Row(grade, detail, () if fix is None else (fix,))
    return rows


def _identity(facts: HostFacts, attempts: Attempts | None, problem: str) -> Row:
    if attempts is not None and (code := attempts.codes.get("user", errno.EPERM)):
        return Row("missing", _refused("user namespace", code), _fixes("user", code, facts))
    problem = problem or ("" if attempts is None else attempts.maps_problem)
    if attempts is None or problem:
        why, told = split_fix(problem)
        return Row("missing", why, (Fix(why, advice=told),) if told else ())
    base = attempts.base
    if base.ranges is None:
        detail = f"all jobs share uid {base.uid}, the runner's own: {base.why}"
        return Row("weak", detail, (ids_fix(base, facts),))
    first, count = base.ranges.uids.start, base.ranges.count
    return Row("up", f"each job has a uid of its own, from {first} to {first + count - 1}")


def _wall(wall: str, parts: Mapping[str, str], facts: HostFacts, codes: Mapping[str, int]) -> Row:
    for name, what in parts.items():
        if name not in codes:
            needs = "user" if "user" not in codes or codes["user"] else "mount"
            return Row("missing", f"not tried: there is no {needs} namespace")
        if codes[name]:
            # What the kernel lacks a policy may do without; what it has and refuses ends the job.
            costs = _without(name, facts)
            state = "weak" if costs or _is_lacking(name, facts) else "missing"
            return Row(state, _refused(what, codes[name]) + costs, _fixes(name, codes[name], facts))
    detail = ", ".join(parts.values())
    if wall == "landlock":
        detail += f", ABI {facts.landlock_abi}"
    return Row("up", detail)


def _without(name: str, facts: HostFacts) -> str:
    """What jobs do without, where only that is the price."""
    if name == "setns":
        return ", so no job has read-only inputs"
    if name == "getfd" and facts.yama_scope == NO_ATTACH:
        return ", so a violation is not told by its system call"
    return ""


def _is_lacking(name: str, facts: HostFacts) -> bool:
    return (name == "landlock" and not facts.landlock_abi) or (
        name == "time" and not facts.has_time_namespaces
    )


def _refused(what: str, code: int) -> str:
    return f"{what}: {os.strerror(code)} ({errno.errorcode.get(code, code)})"


def _fixes(name: str, code: int, facts: HostFacts) -> tuple[Fix, ...]:
    why = _refused(_CALLED[name], code)
    if _is_lacking(name, facts):
        return (Fix(why, advice=f"{_OTHER_KERNEL[name]}; the other walls stand without"),)
    if name == "getfd" and facts.yama_scope == NO_ATTACH:
        costs = "debuggers of root work again; from the next boot on, nothing lowers it before"
        fix = sysctl_fix(YAMA, NO_ATTACH - 1, f"{YAMA} is {NO_ATTACH}", costs)
        return (fix._replace(commands=fix.commands[:1]),)
    if code == errno.ENOSPC and name in _COUNTED:
        sysctl = f"user.max_{_COUNTED[name]}_namespaces"
        most = read_sysctl(sysctl) or 0
        if most >= _NAMESPACES:
            advice = f"{sysctl} is {most}: end what holds them; they nest no deeper than 32"
            return (Fix(why, advice=advice),)
        return (sysctl_fix(sysctl, _NAMESPACES, why, "every user can make as many"),)
    concerned = {k: v for k, v in facts.sysctls.items() if (k == MEMFD) == (name == "memfd")}
    if (name == "memfd" or name in _COUNTED) and (fixes := sysctl_fixes(concerned)):
        return fixes
    return (Fix(why, advice=_advice(name, code, facts)),)


def _advice(name: str, code: int, facts: HostFacts) -> str:
    container = _CONTAINER_FLAGS.get(facts.container or "", _ANY_CONTAINER)
    if facts.is_filtered and code in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        return f"a seccomp filter is around us: {container}; {_UNIT}"
    if code in (errno.ENOSYS, errno.ENODEV):
        return "this kernel was built without it, or a module is not loaded: use another"
    if name == "overlay" and code == errno.EINVAL:
        below = ", ".join(mount_points("/usr")[:_SHOWN])
        return (
            f"an overlay takes no /usr with mounts below it: unmount {below}"
            if below
            else ("this kernel has no overlay for user namespaces (Linux 5.11): use another")
        )
    if name == "device" and code == errno.ENOENT:
        return "give this host, or container, a /dev with null, zero, full, random and urandom"
    if code == errno.EINVAL:
        return "this kernel was built without it: use another"
    if name == "user":
        return (
            "no sysctl or seccomp filter forbids it, so it is a chroot (leave it, or use "
            "pivot_root(2) instead), or SELinux or AppArmor, whose log names the rule; in a "
            f"container: {container}"
        )
    return f"{container}; {_UNIT}"
