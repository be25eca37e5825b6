"""Who the sandbox's processes are: one unprivileged id, no capability, no way to gain one."""

from __future__ import annotations

import os

from sandbox.boundary.plan import CollectPlan, SandboxPlan
from sandbox.kernel.processes import (
    CAP_SYS_ADMIN,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECUREBITS,
    capget,
    capset,
    prctl,
)

__all__ = [
    "become_job",
    "capabilities_gone",
    "drop_capabilities",
    "forbid_new_privileges",
    "is_job",
    "keep_mount_rights",
    "mount_rights_only",
    "privileges_forbidden",
    "status",
]

# SECBIT_NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, each locked, and KEEP_CAPS locked off:
# no uid, not even 0, means capabilities again (capabilities(7)).
_SECUREBITS = 0xEF
_LAST_CAPABILITY = 63


def become_job(plan: SandboxPlan | CollectPlan) -> None:
    """Change to the job's one id. Capabilities in this user namespace stay: no id here is 0."""
    if plan.drops_groups:
        os.setgroups([])
    os.setresgid(plan.inside_id, plan.inside_id, plan.inside_id)
    os.setresuid(plan.inside_id, plan.inside_id, plan.inside_id)


def is_job(plan: SandboxPlan) -> bool:
    """Whether all ids are the job's and the namespace maps exactly that one."""
    one_line = [b"%d" % plan.inside_id, b"%d" % plan.base_id, b"1"]
    return (
        set(os.getresuid() + os.getresgid()) == {plan.inside_id}
        and not (plan.drops_groups and os.getgroups())
        and all(_read(b"/proc/self/" + m).split() == one_line for m in (b"uid_map", b"gid_map"))
    )


def drop_capabilities(_plan: object) -> None:
    """Empty every capability set, and lock the ways back."""
    try:
        for capability in range(_LAST_CAPABILITY + 1):
            prctl(PR_CAPBSET_DROP, capability)
    except OSError:
        pass  # EINVAL: past the last one that this kernel has; `holds` looks at the set itself
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    prctl(PR_SET_SECUREBITS, _SECUREBITS)
    capset(0, 0, 0)


def capabilities_gone(_plan: object) -> bool:
    """Whether all five sets are empty."""
    fields = status()
    return all(
        int(fields[name], 16) == 0
        for name in (b"CapInh", b"CapPrm", b"CapEff", b"CapBnd", b"CapAmb")
    )


def keep_mount_rights(_plan: object) -> None:
    """Keep CAP_SYS_ADMIN over this sandbox's own namespaces, which late mounts need."""
    capset(1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0)


def mount_rights_only(_plan: object) -> bool:
    """Whether that is the only capability left."""
    return capget() == (1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0)


def forbid_new_privileges(_plan: object) -> None:
    """No execve gains rights from here on; seccomp(2) and landlock(7) demand it."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def privileges_forbidden(_plan: object) -> bool:
    """Whether no_new_privs is set."""
    return prctl(PR_GET_NO_NEW_PRIVS) == 1


def status() -> dict[bytes, bytes]:
    """/proc/self/status as a mapping. proc_pid_status(5)."""
    lines = _read(b"/proc/self/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}


def _read(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)
