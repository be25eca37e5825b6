"""Why there is no cgroup subtree for a user's jobs, and what gives them one."""

import os
import shlex
from pathlib import Path

from sandbox.supervisor.cgroup.files import cgroup_mounts, read_optional
from sandbox.supervisor.cgroup.fixes import setup_command
from sandbox.supervisor.cgroup.parse import Mount
from sandbox.supervisor.fix import Fix, split_fix
from sandbox.supervisor.id_gaps import setup_fix

__all__ = ["limit_fix", "quota_fix"]

_NEEDED = ("memory", "pids", "cpuacct", "cpu", "cpuset")
_UNTIL_BOOT = "nothing; gone at the next boot"


def quota_fix(problem: str, uid: int, session_pid: int) -> Fix:
    """What closes the gap that `find_backend(uid)` raised as `problem`.

    `session_pid`: of the shell that asks, whose processes are to get the subtree.
    """
    why, told = split_fix(problem)
    mounts = [m for m in cgroup_mounts() if m.version == 2 or m.controllers & {*_NEEDED}]
    if not mounts:
        return _mount_fix(why)
    limiting = next((m for m in mounts if "memory" in m.controllers), mounts[0])
    if setup_command(uid) not in told:
        return Fix(why, advice=told)
    return _subtree_fix(why, uid, session_pid, limiting)


def limit_fix(gap: str, uid: int) -> Fix | None:
    """What closes the gap of one limit, as a backend tells it; None: nothing does."""
    why, told = split_fix(gap)
    if not told:
        return None
    if "swapoff" in told:
        return Fix(
            why,
            ("swapoff -a",),
            "this host has no swap until the next boot (then /etc/fstab), and memory must hold "
            "what was swapped out. Booting with swapaccount=1 does without",
        )
    if setup_command(uid) not in told:
        return Fix(why, advice=told)
    if _is_lacking(why):
        return None
    return setup_fix(uid, why, "the same as the quotas'")


def _is_lacking(why: str) -> bool:
    """Whether the kernel has no such controller, which no setup can give."""
    controller = why.partition('"')[2].partition('"')[0]
    tops = [mount.point for mount in cgroup_mounts() if mount.version == 2]
    offered = b" ".join(read_optional(f"{top}/cgroup.controllers") or b"" for top in tops)
    return controller not in _hierarchies() and controller not in offered.decode().split()


def _subtree_fix(why: str, uid: int, session_pid: int, mount: Mount) -> Fix:
    costs = "this user's processes can have cgroups of their own, below one that stays root's"
    if mount.version == 1:
        return setup_fix(uid, why, costs)
    if _has_systemd():
        manager = f"user@{uid}.service"
        costs += (
            f", and keep a systemd manager without a login. The restart ends what {manager} runs"
        )
        return setup_fix(uid, why, costs, f"systemctl restart {manager}")
    entry = f"{mount.point}/sandbox/{uid}/entry/cgroup.procs"
    # A process enters only by root's hand: this shell, if it is still who it was.
    start = _start_of(session_pid)
    enter = (
        f'[ "$(cut -d" " -f22 /proc/{session_pid}/stat 2>/dev/null)" != {start} ] || '
        f"echo {session_pid} > {shlex.quote(entry)}"
    )
    costs += f"; gone at the next boot. Process {session_pid} and what it starts move there"
    return setup_fix(uid, why, costs, *([enter] if start else []))


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()  # sd_booted(3)


def _start_of(pid: int) -> str:
    # proc_pid_stat(5): the 22nd field. A name with spaces would shift it for cut(1), too: then "".
    fields = (read_optional(f"/proc/{pid}/stat") or b"").decode("utf-8", "replace").split(" ")
    return fields[21] if len(fields) > 21 and fields[1].endswith(")") else ""


def _mount_fix(why: str) -> Fix:
    """Mount what this kernel limits by; where v1 holds a controller, v2 cannot have it."""
    v1 = {name: number for name, number in _hierarchies().items() if number != "0"}
    top = "/sys/fs/cgroup"
    if not os.path.isdir(top):
        return Fix(why, advice="mount sysfs at /sys, and a cgroup hierarchy; in a container, give "
                   "it both")  # fmt: skip
    if "memory" not in v1:
        command = f"mountpoint -q {top} || mount -t cgroup2 cgroup2 {top}"
        return Fix(why, (command,), f"{_UNTIL_BOOT}. Then ask again: the subtree is to be made")
    commands = [f"mountpoint -q {top} || mount -t tmpfs -o mode=755 cgroup {top}"]
    for number in sorted({v1[name] for name in _NEEDED if name in v1}):
        option = ",".join(name for name in _NEEDED if v1.get(name) == number)
        directory = f"{top}/{option}"
        commands.append(f"mkdir -p {directory}")
        commands.append(
            f"mountpoint -q {directory} || mount -t cgroup -o {option} cgroup {directory}"
        )
    return Fix(
        why, tuple(commands), f"{_UNTIL_BOOT}. Then ask again: the subtree may be to be made"
    )


def _hierarchies() -> dict[str, str]:
    # cgroups(7), /proc/cgroups: name, hierarchy (0: v2 or none), cgroups, enabled.
    lines = (read_optional("/proc/cgroups") or b"").decode().splitlines()[1:]
    return {fields[0]: fields[1] for fields in map(str.split, lines) if fields[3] == "1"}
