"""What the host tells of itself: files of /proc and /sys, names, times, and places.

Not promised, and so not here: cpuinfo, meminfo, stat, loadavg, version, uptime, cgroups and
filesystems, which policies with proc = "masked" show (SECURITY.md).
"""

import functools
import os
import struct
import time
from errno import EACCES, EAGAIN, ENOENT
from pathlib import Path

from sandbox.attack.attack import BARE, Attack, add, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

_KIND = "information"
_FILES = (
    "/proc/kallsyms", "/proc/modules", "/proc/interrupts", "/proc/softirqs", "/proc/cmdline",
    "/proc/keys", "/proc/key-users", "/proc/iomem", "/proc/ioports", "/proc/config.gz",
    "/proc/buddyinfo", "/proc/zoneinfo", "/proc/vmstat", "/proc/vmallocinfo", "/proc/pagetypeinfo",
    "/proc/slabinfo", "/proc/timer_list", "/proc/sched_debug", "/proc/schedstat",
    "/proc/partitions", "/proc/diskstats", "/proc/devices", "/proc/consoles", "/proc/locks",
    "/proc/swaps", "/proc/crypto", "/proc/misc", "/proc/mdstat", "/proc/dma", "/proc/execdomains",
    "/proc/kpageflags", "/proc/kcore", "/proc/mtrr", "/proc/bus/pci/devices",
    "/proc/bus/input/devices", "/proc/driver/rtc", "/proc/tty/drivers", "/proc/fs/jbd2",
    "/proc/irq/default_smp_affinity", "/proc/pressure/cpu", "/proc/pressure/memory",
    "/proc/sysvipc/shm", "/proc/sys/kernel/random/boot_id", "/proc/sys/kernel/hostname",
    "/proc/sys/kernel/osrelease", "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/randomize_va_space", "/proc/sys/fs/file-nr", "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/core/somaxconn", "/proc/latency_stats",
    "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/class/net/lo/address",
    "/sys/devices/system/cpu/online", "/sys/kernel/uevent_seqnum", "/sys/module/kernel/parameters",
    "/sys/class/dmi/id/product_name", "/sys/kernel/notes", "/sys/kernel/security/lsm",
    "/sys/block/vda/size", "/sys/firmware/dmi/tables/DMI", "/sys/power/state", "/sys/kernel/debug",
    "/sys/fs/pstore", "/etc/shadow", "/etc/machine-id", "/etc/resolv.conf", "/etc/mtab",
    "/etc/ssh/sshd_config", "/etc/fstab", "/var/log/dpkg.log", "/boot/config", "/root", "/home",
    "/run/utmp", "/var/lib/dpkg",
)  # fmt: skip
_TFD_TIMER_ABSTIME, _CLOCK_BOOTTIME, _CLOCK_MONOTONIC = 1, 7, 1
_LEAST_UP_SECONDS = 600  # twice as long as a sandbox is parked
_NODENAME_AT, _UTSNAME_BYTES = 65, 390
_F_SETLEASE, _F_NOTIFY = 1024, 1026
_DN_ACCESS, _DN_MULTISHOT = 1, 0x80000000
_IN_ACCESS, _IN_OPEN = 1, 0x20


def _read(path: bytes, script: AttackScript, targets: Targets) -> None:
    fd = script.open_path(path, os.O_RDONLY | os.O_NONBLOCK)
    if Path(os.fsdecode(path)).is_dir():
        script.call("getdents64", fd, script.space(4096), 4096)
    else:
        script.read_one(fd)


for _path in _FILES:
    add(
        Attack(
            "read" + _path.replace("/", "_").replace(".", "_").replace("-", "_"), _KIND,
            f"Reads {_path}.", BARE, functools.partial(_read, _path.encode()),
            # An empty file in its place: it is opened, and yields nothing.
            by("view", openat=ENOENT, pread64=0),
        )
    )  # fmt: skip


def _list(path: bytes, script: AttackScript, targets: Targets) -> None:
    fd = script.open_path(path, os.O_RDONLY)
    script.check("pread64", fd, script.space(8), 1, 16, result=1)


for _path in ("/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs"):
    add(
        Attack(
            "listed" + _path.replace("/", "_").replace(".", "_"), _KIND,
            f"Lists more processes in {_path} than a job has.", BARE,
            functools.partial(_list, _path.encode()),
            by("view", openat=ENOENT) + by("cgroup", pread64=0),
        )
    )  # fmt: skip


def _read_of_init(name: bytes, script: AttackScript, targets: Targets) -> None:
    script.read_one(script.open_path(b"/proc/1/" + name, os.O_RDONLY))


for _name in ("cgroup", "cpuset", "task/1/cgroup", "task/1/cpuset"):
    add(
        Attack(
            f"read_{_name.replace('/', '_')}_of_init", _KIND,
            "Learns from process 1 what the supervisor's cgroups are called on the host.", BARE,
            functools.partial(_read_of_init, _name.encode()),
            by("view", openat=ENOENT) if "/" in _name else by("view", pread64=0),
        )
    )  # fmt: skip


@attack(_KIND, BARE, by("uts", uname=0))
def host_name(script: AttackScript, targets: Targets) -> None:
    """Learns the host's name from uname(2)."""
    found = script.space(_UTSNAME_BYTES)
    script.call("uname", found)
    script.expect(found + _NODENAME_AT, os.fsencode(os.uname().nodename) + b"\0")


def _reach_time(clock: int, script: AttackScript, targets: Targets) -> None:
    fd = script.open("timerfd_create", clock, os.O_NONBLOCK)
    up_seconds = int(time.clock_gettime(clock))
    # Some time ago for the host. One that was just started cannot be told from a sandbox.
    at = up_seconds - 60 if up_seconds > _LEAST_UP_SECONDS else up_seconds + 3600
    moment = script.memory(struct.pack("<4q", 0, 0, at, 0))
    script.call("timerfd_settime", fd, _TFD_TIMER_ABSTIME, moment, 0)
    script.check("read", fd, script.space(8), 8, result=8)


for _name, _clock in (("boot", _CLOCK_BOOTTIME), ("monotonic", _CLOCK_MONOTONIC)):
    add(
        Attack(
            f"host_{_name}_time", _KIND, "Learns for how long the host has been up.", BARE,
            functools.partial(_reach_time, _clock), by("time", read=EAGAIN),
        )
    )  # fmt: skip


def _read_own(name: str, script: AttackScript, targets: Targets) -> None:
    content = Path(f"/proc/self/{name}").read_bytes()[:4000]
    fd = script.open_path(b"/proc/self/" + name.encode(), os.O_RDONLY)
    found = script.space(len(content))
    script.call("pread64", fd, found, len(content), 0)
    script.expect(found, content)


for _name, _wall in (
    ("cgroup", "cgroup"),
    ("mountinfo", "view"),
    ("uid_map", "identity"),
    ("net/dev", "network"),
):
    add(
        Attack(
            f"own_{_name.replace('/', '_')}", _KIND,
            f"Reads in /proc/self/{_name} what the host's processes read there.", BARE,
            functools.partial(_read_own, _name), by(_wall, pread64=0),
        )
    )  # fmt: skip


@attack(_KIND, BARE, by("kernel", syslog=1))
def kernel_log(script: AttackScript, targets: Targets) -> None:
    """Reads the kernel's log."""
    script.call("syslog", 3, script.space(4096), 4096)


@attack(_KIND, BARE)
def watched_programs(script: AttackScript, targets: Targets) -> None:
    """Watches which programs are run, by other jobs too: their root is the same file system."""
    fd = script.open("inotify_init1", 0)
    script.call("inotify_add_watch", fd, b"/usr/bin", _IN_ACCESS | _IN_OPEN)


@attack(_KIND, BARE)
def noticed_programs(script: AttackScript, targets: Targets) -> None:
    """Has itself signalled whenever a program is run (F_NOTIFY)."""
    fd = script.open_path(b"/usr/bin", os.O_RDONLY)
    script.call(
        "rt_sigprocmask", 0, script.data(struct.pack("<Q", 1 << 28)), 0, 8
    )  # SIGIO, which kills
    script.call("fcntl", fd, _F_NOTIFY, _DN_ACCESS | _DN_MULTISHOT)


@attack(_KIND, BARE, by("identity", fcntl=EACCES))
def leased_input(script: AttackScript, targets: Targets) -> None:
    """Takes a lease on an input: who writes to it on the host is delayed, and told of (F_SETLEASE).

    Where jobs have no ids of their own, the filter alone is in its way.
    """
    fd = script.open_path(targets.input, os.O_RDONLY)
    script.call("fcntl", fd, _F_SETLEASE, 0)


@attack(_KIND, BARE)
def kernel_log_size(script: AttackScript, targets: Targets) -> None:
    """Asks how much there is in the kernel's log."""
    script.call("syslog", 10, 0, 0)
