"""The walls around a process itself: who it is, what it may do, what it may call."""

from __future__ import annotations

import os
import stat
import struct

from sandbox.boundary.report import Step
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import AT_FDCWD, Script
from sandbox.kernel.confinement import (
    LANDLOCK_RULE_PATH_BENEATH,
    SECCOMP_FILTER_FLAG_NEW_LISTENER,
    SECCOMP_SET_MODE_FILTER,
)
from sandbox.kernel.processes import (
    CAPABILITY_VERSION_3,
    KEYCTL_JOIN_SESSION_KEYRING,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_SECUREBITS,
    SECUREBITS,
)

__all__ = [
    "become_job", "drop_capabilities", "forbid_new_privileges", "load_filter", "restrict_paths",
    "take_shares",
]  # fmt: skip

_PROBE = b"/tmp/.landlock"
_EACCES = 13


def become_job(script: Script, plan: SandboxPlan) -> None:
    """Change to the job's one id. Capabilities in this user namespace stay: no id here is 0."""
    script.step = Step.IDENTITY
    if plan.drops_groups:
        script.call("setgroups", 0, 0)
    for name in ("gid", "uid"):
        script.call(f"setres{name}", plan.inside_id, plan.inside_id, plan.inside_id)
        ids = script.space(16)
        script.check(f"getres{name}", ids, ids + 4, ids + 8)
        script.expect(ids, struct.pack("<3I", plan.inside_id, plan.inside_id, plan.inside_id))
    if plan.has_keyrings:
        # Who is born with a session keyring possesses its keys, whatever his uid: keyrings(7).
        script.call("keyctl", KEYCTL_JOIN_SESSION_KEYRING, 0)


def take_shares(script: Script, plan: SandboxPlan) -> None:
    """Bound what the kernel counts in every user namespace up to the first: namespaces(7)."""
    script.step = Step.SHARES
    for name, most in plan.shares:
        value = b"%d\n" % most
        path = b"/proc/sys/user/" + name
        fd = script.open("openat", AT_FDCWD, path, os.O_WRONLY | os.O_CLOEXEC, 0)
        script.call("write", fd, value, len(value), result=len(value))
        script.close(fd)
        fd = script.open("openat", AT_FDCWD, path, os.O_RDONLY | os.O_CLOEXEC, 0)
        found = script.space(16)
        script.check("read", fd, found, 16, result=len(value))
        script.expect(found, value)
        script.close(fd)


def drop_capabilities(script: Script, plan: SandboxPlan) -> None:
    """Empty every capability set, and lock the ways back. The supervisor looks at them."""
    script.step = Step.CAPABILITIES
    for capability in range(plan.last_capability + 1):
        script.call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    script.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    script.call("prctl", PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0)
    head = script.data(struct.pack("<2I", CAPABILITY_VERSION_3, 0))
    script.call("capset", head, script.data(bytes(24)))


def forbid_new_privileges(script: Script) -> None:
    """No execve gains rights from here on; seccomp(2) and landlock(7) demand it."""
    script.step = Step.NO_NEW_PRIVILEGES
    script.call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    script.check("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, result=1)


def restrict_paths(script: Script, plan: SandboxPlan) -> None:
    """Landlock, where the kernel has it."""
    if plan.landlock is None:
        return
    script.step = Step.LANDLOCK
    # Only as much of the structure is passed as is used, so that older kernels take it: the second
    # member, net, needs ABI 4, and the third, scoped, ABI 6.
    used = 3 if plan.landlock[2] else 2 if plan.landlock[1] else 1
    attributes = script.data(struct.pack("<3Q", *plan.landlock))
    ruleset_fd = script.open("landlock_create_ruleset", attributes, 8 * used, 0)
    for path, access in plan.landlock_paths:
        fd = script.open("openat", AT_FDCWD, path, os.O_PATH | os.O_CLOEXEC, 0)
        rule = script.data(struct.pack("<Qi", access, fd))  # struct landlock_path_beneath_attr
        script.call("landlock_add_rule", ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, rule, 0)
        script.close(fd)
    script.call("landlock_restrict_self", ruleset_fd, 0)
    script.close(ruleset_fd)
    # Landlock tells nothing of itself. No rule allows device nodes, and it is asked before the
    # capability for them (EPERM) is. Not a whiteout: which of the two they are is the kernel's.
    null = os.makedev(1, 3)
    script.check("mknodat", AT_FDCWD, _PROBE, stat.S_IFCHR, null, result=-_EACCES)


def load_filter(script: Script, program: bytes, *, listener_fd: int | None) -> None:
    """Load struct sock_filter[], with a listener if that is to have this number; for good."""
    fprog = script.memory(struct.pack("<H6xQ", len(program) // 8, 0))
    script.point(fprog + 8, script.data(program))
    flags = 0 if listener_fd is None else SECCOMP_FILTER_FLAG_NEW_LISTENER
    script.call("seccomp", SECCOMP_SET_MODE_FILTER, flags, fprog, result=listener_fd or 0)
