"""Privileges: getting capabilities, uids, limits and times that a job does not have."""

import functools
import os
import struct
from errno import EACCES, EINVAL, ENOENT, EPERM, EROFS

from sandbox.attack.attack import BARE, USERNS, Attack, add, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

_KIND = "privileges"
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_READ, _PR_CAPBSET_DROP = 4, 22, 23, 24
_PR_SET_SECUREBITS, _PR_SET_MM, _PR_GET_NO_NEW_PRIVS = 28, 35, 39
_PR_SPECULATION, _PR_DISPATCH, _PR_SCHED_CORE, _PR_SET_PTRACER = 53, 59, 62, 0x59616D61
_PR_SUBREAPER = 36
_CAP_SYS_ADMIN = 21
_CAPABILITY_VERSION_3 = 0x20080522
_NOFILE, _CORE, _MEMLOCK, _STACK = 7, 4, 8, 3
_WRITES = {
    # Writable by root of a user namespace that owns the network or ipc namespace.
    "ip_forward": "/proc/sys/net/ipv4/ip_forward", "shmmax": "/proc/sys/kernel/shmmax",
    "msgmax": "/proc/sys/kernel/msgmax",
    "max_user_namespaces": "/proc/sys/user/max_user_namespaces",
    "queues_max": "/proc/sys/fs/mqueue/queues_max", "domain_name": "/proc/sys/kernel/domainname",
    "port_range": "/proc/sys/net/ipv4/ip_local_port_range",
    # By the host's root alone.
    "core_pattern": "/proc/sys/kernel/core_pattern", "modprobe": "/proc/sys/kernel/modprobe",
    "sysrq_trigger": "/proc/sysrq-trigger", "binfmt_misc": "/proc/sys/fs/binfmt_misc/register",
    "uevent_helper": "/sys/kernel/uevent_helper",
    "release_agent": "/sys/fs/cgroup/memory/release_agent",
    "printk": "/proc/sys/kernel/printk", "drop_caches": "/proc/sys/vm/drop_caches",
    "panic_on_oom": "/proc/sys/vm/panic_on_oom", "overcommit": "/proc/sys/vm/overcommit_memory",
    "randomize": "/proc/sys/kernel/randomize_va_space", "kcore": "/proc/kcore",
    "power_state": "/sys/power/state", "cpu_online": "/sys/devices/system/cpu/cpu1/online",
    "vmcoreinfo": "/sys/kernel/kexec_crash_size", "mtrr": "/proc/mtrr", "acpi": "/proc/acpi/wakeup",
    "efi": "/sys/firmware/efi/efivars", "ksm": "/sys/kernel/mm/ksm/run",
    "module_parameter": "/sys/module/printk/parameters/time",
}  # fmt: skip


def _write(path: bytes, script: AttackScript, targets: Targets) -> None:
    script.open_path(path, os.O_WRONLY)


for _name, _path in _WRITES.items():
    add(
        Attack(
            f"setting_{_name}", "settings", f"Opens {_path} for writing.", USERNS,
            functools.partial(_write, _path.encode()),
            by("view", openat=ENOENT) + by("view", openat=EROFS) + by("landlock", openat=EACCES),
        )
    )  # fmt: skip


@attack(_KIND, USERNS, by("identity", capset=EPERM))
def took_capabilities(script: AttackScript, targets: Targets) -> None:
    """Puts CAP_SYS_ADMIN into its sets."""
    head = script.data(struct.pack("<2I", _CAPABILITY_VERSION_3, 0))
    wanted = struct.pack("<6I", 1 << _CAP_SYS_ADMIN, 1 << _CAP_SYS_ADMIN, 0, 0, 0, 0)
    script.call("capset", head, script.data(wanted))


@attack(_KIND, BARE, by("identity", prctl=0))
def bounding_set(script: AttackScript, targets: Targets) -> None:
    """Finds a capability in its bounding set, to be had by a program with file capabilities."""
    script.check("prctl", _PR_CAPBSET_READ, _CAP_SYS_ADMIN, 0, 0, 0, result=1)


@attack(_KIND, BARE, by("identity", prctl=0))
def privileges_by_exec(script: AttackScript, targets: Targets) -> None:
    """Finds that set-uid programs would have an effect."""
    script.check("prctl", _PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, result=0)


@attack(_KIND, USERNS, by("identity", prctl=EPERM))
def changed_securebits(script: AttackScript, targets: Targets) -> None:
    """Has the kernel give capabilities to uid 0 again."""
    script.call("prctl", _PR_SET_SECUREBITS, 0, 0, 0, 0)


@attack(_KIND, USERNS, by("identity", prctl=EPERM))
def dropped_from_bounding_set(script: AttackScript, targets: Targets) -> None:
    """Changes its bounding set."""
    script.call("prctl", _PR_CAPBSET_DROP, 0, 0, 0, 0)


@attack(_KIND, BARE)
def strict_seccomp(script: AttackScript, targets: Targets) -> None:
    """Enters another mode of seccomp(2), by way of prctl(2)."""
    program = script.data(struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
    filter_ = script.memory(struct.pack("<H6xQ", 1, 0))
    script.point(filter_ + 8, program)
    script.call("prctl", 38, 1, 0, 0, 0)
    script.call("prctl", _PR_SET_SECCOMP, 2, filter_, 0, 0)


@attack(_KIND, BARE)
def dispatched_calls(script: AttackScript, targets: Targets) -> None:
    """Has its own system calls dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH)."""
    script.call("prctl", _PR_DISPATCH, 0, 0, 0, 0)


@attack(_KIND, BARE)
def speculation(script: AttackScript, targets: Targets) -> None:
    """Turns a mitigation of speculation off for itself."""
    script.call("prctl", _PR_SPECULATION, 0, 2, 0, 0)


@attack(_KIND, BARE)
def dumpable_again(script: AttackScript, targets: Targets) -> None:
    """Sets whether it is dumpable, which a leaked memory of the supervisor would make useful."""
    script.call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)


@attack(_KIND, BARE)
def allowed_tracer(script: AttackScript, targets: Targets) -> None:
    """Lets anybody trace it."""
    script.call("prctl", _PR_SET_PTRACER, -1, 0, 0, 0)


@attack(_KIND, BARE)
def core_cookie(script: AttackScript, targets: Targets) -> None:
    """Takes a core for itself by core scheduling."""
    script.call("prctl", _PR_SCHED_CORE, 1, 0, 0, 0)


@attack(_KIND, BARE)
def subreaper(script: AttackScript, targets: Targets) -> None:
    """Reaps in init's place."""
    script.call("prctl", _PR_SUBREAPER, 1, 0, 0, 0)


@attack(_KIND, BARE)
def memory_map(script: AttackScript, targets: Targets) -> None:
    """Asks for the size of the structure that changes its memory map (PR_SET_MM)."""
    script.call("prctl", _PR_SET_MM, 15, script.space(8), 0, 0)


def _raise(number: int, value: int, script: AttackScript, targets: Targets) -> None:
    limits = struct.pack("<2Q", value, value)
    script.call("prlimit64", 0, number, script.memory(limits), 0)
    found = script.space(len(limits))
    script.call("prlimit64", 0, number, 0, found)
    script.expect(found, limits)


_REFUSED = by("quotas", prlimit64=EPERM)
for _name, _number, _value, _refusals in (
    ("descriptors", _NOFILE, 2048, _REFUSED), ("stack", _STACK, 1 << 30, _REFUSED),
    ("locked_memory", _MEMLOCK, 1 << 30, _REFUSED),
    ("core", _CORE, 1 << 20, _REFUSED + by("syscalls", prlimit64=0)),  # said to be done, and is not
):  # fmt: skip
    add(
        Attack(
            f"raised_limit_of_{_name}", _KIND, f"Raises its hard limit of {_name}.", BARE,
            functools.partial(_raise, _number, _value), _refusals,
            limits={"fds": 64, "stack_bytes": 1 << 20},
        )
    )  # fmt: skip


@attack(_KIND, BARE, by("quotas", setpriority=EACCES))
def raised_priority(script: AttackScript, targets: Targets) -> None:
    """Takes a better nice value than it was given."""
    script.call("setpriority", 0, 0, -5)


@attack(_KIND, BARE, by("quotas", sched_setscheduler=EPERM))
def real_time(script: AttackScript, targets: Targets) -> None:
    """Takes a real-time priority, which nobody else runs beside."""
    script.call("sched_setscheduler", 0, 1, script.data(struct.pack("<i", 1)))


@attack(
    _KIND,
    BARE,
    by("quotas", sched_setaffinity=EINVAL),
    limits={"core": min(os.sched_getaffinity(0))},
)
def other_core(script: AttackScript, targets: Targets) -> None:
    """Leaves the core that it was pinned to."""
    others = sorted(os.sched_getaffinity(0))[1:]
    mask = struct.pack("<Q", 1 << others[0] if others else 0)
    script.call("sched_setaffinity", 0, 8, script.data(mask))


@attack(_KIND, BARE)
def idle_io(script: AttackScript, targets: Targets) -> None:
    """Changes its I/O priority, which the host's disks are shared by."""
    script.call("ioprio_set", 1, 0, 3 << 13)


@attack(_KIND, USERNS, by("view", openat=ENOENT))
def set_uid_program(script: AttackScript, targets: Targets) -> None:
    """Opens the memory of the kernel as the root that a set-uid program would be."""
    script.open_path(b"/dev/mem", os.O_RDWR)
