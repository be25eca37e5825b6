"""Processes: memory, descriptors and settings of others: of init, and of a victim outside.

Init has the job's own uid, and as process 1 of a namespace the control has a program of ours too.
Nothing but its being not dumpable, and its capability, keeps it from the payload.
"""

import functools
import os
import struct
from errno import EACCES, ENOENT, EPERM, ESRCH

from sandbox.attack.attack import BARE, USERNS, Attack, add, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets
from sandbox.inside.machine import CODE_AT
from sandbox.inside.script import LATE_AT

_KIND = "processes"
_PTRACE_SEIZE = 0x4206
_KCMP_VM = 1
_WRITTEN_AT = LATE_AT + (1 << 20)  # memory that neither init nor the victim uses
_ELF = b"\x7fELF"
_NOFILE, _IOPRIO_PROCESS, _PRIO_PROCESS, _MADV_COLD = 7, 1, 0, 20
# Files of /proc/PID that take the right to trace it, proc(5).
_FILES = (
    "auxv", "environ", "exe", "io", "maps", "mem", "personality", "smaps", "stack", "syscall",
    "map_files", "fdinfo/0", "fd/0", "pagemap",
)  # fmt: skip
_SETTINGS = {
    "oom_score_adj": b"0", "coredump_filter": b"0x33", "timerslack_ns": b"50000", "autogroup": b"0",
    "clear_refs": b"1", "comm": b"init",
}  # fmt: skip


@attack(_KIND, USERNS, by("processes", ptrace=EPERM))
def seized_init(script: AttackScript, targets: Targets) -> None:
    """Traces process 1."""
    script.call("ptrace", _PTRACE_SEIZE, 1, 0, 0)


@attack(_KIND, USERNS, by("processes", process_vm_readv=EPERM))
def read_init_memory(script: AttackScript, targets: Targets) -> None:
    """Reads the program of process 1 out of its memory."""
    found = script.space(8)
    local, remote = script.iovec(found, 4), script.iovec(CODE_AT, 4)
    script.check("process_vm_readv", 1, local, 1, remote, 1, 0, result=4)
    script.expect(found, _ELF)


@attack(_KIND, USERNS, by("processes", process_vm_writev=EPERM))
def written_init_memory(script: AttackScript, targets: Targets) -> None:
    """Writes to the memory of process 1."""
    local, remote = script.iovec(script.space(8), 8), script.iovec(_WRITTEN_AT, 8)
    script.check("process_vm_writev", 1, local, 1, remote, 1, 0, result=8)


@attack(_KIND, USERNS, by("processes", openat=EACCES))
def patched_init(script: AttackScript, targets: Targets) -> None:
    """Writes to the code of process 1 through /proc/1/mem, which no page protection stops."""
    fd = script.open_path(b"/proc/1/mem", os.O_RDWR)
    script.check("pwrite64", fd, script.data(_ELF), 4, CODE_AT, result=4)


def _open(path: bytes, script: AttackScript, targets: Targets) -> None:
    script.open_path(path, os.O_RDONLY)


for _name in _FILES:
    add(
        Attack(
            f"opened_{_name.replace('/', '_')}_of_init", _KIND,
            f"Opens /proc/1/{_name}.", USERNS,
            functools.partial(_open, b"/proc/1/" + _name.encode()),
            by("processes", openat=EACCES)
            # The permissions of a file whose owner is root since init is not dumpable.
            + (by("processes", openat=EPERM) if _name in ("stack", "syscall") else ()),
        )
    )  # fmt: skip


def _set(path: bytes, text: bytes, script: AttackScript, targets: Targets) -> None:
    fd = script.open_path(path, os.O_WRONLY)
    script.call("write", fd, script.data(text), len(text))


for _name, _text in _SETTINGS.items():
    add(
        Attack(
            f"changed_{_name}_of_init", _KIND, f"Writes to /proc/1/{_name}.", USERNS,
            functools.partial(_set, b"/proc/1/" + _name.encode(), _text),
            by("processes", openat=EACCES, write=EPERM),
        )
    )  # fmt: skip


@attack(_KIND, USERNS, by("processes", openat=EACCES))
def opened_root_of_init(script: AttackScript, targets: Targets) -> None:
    """Opens the root of process 1, in case it is another one."""
    script.open_path(b"/proc/1/root/", os.O_RDONLY | os.O_DIRECTORY)


@attack(_KIND, USERNS, by("processes", openat=EACCES))
def opened_cwd_of_init(script: AttackScript, targets: Targets) -> None:
    """Opens the working directory of process 1."""
    script.open_path(b"/proc/1/cwd/", os.O_RDONLY | os.O_DIRECTORY)


@attack(_KIND, USERNS, by("processes", pidfd_getfd=EPERM))
def taken_fd_of_init(script: AttackScript, targets: Targets) -> None:
    """Takes a descriptor of process 1 (pidfd_getfd(2))."""
    fd = script.open("pidfd_open", 1, 0)
    script.open("pidfd_getfd", fd, 0, 0)


@attack(_KIND, USERNS, by("processes", kcmp=EPERM))
def compared_with_init(script: AttackScript, targets: Targets) -> None:
    """Learns the order of kernel addresses of process 1 and itself (kcmp(2))."""
    script.call("kcmp", 1, 2, _KCMP_VM, 0, 0)


@attack(_KIND, USERNS, by("processes", process_madvise=EPERM))
def advised_init(script: AttackScript, targets: Targets) -> None:
    """Has the memory of process 1 paged out."""
    fd = script.open("pidfd_open", 1, 0)
    script.call("process_madvise", fd, script.iovec(CODE_AT, 4096), 1, _MADV_COLD, 0)


@attack(_KIND, USERNS, by("processes", move_pages=EPERM))
def moved_pages_of_init(script: AttackScript, targets: Targets) -> None:
    """Asks where the pages of process 1 are."""
    pages = script.memory(struct.pack("<Q", CODE_AT))
    script.call("move_pages", 1, 1, pages, 0, script.space(8), 0)


@attack(_KIND, USERNS)
def limited_init(script: AttackScript, targets: Targets) -> None:
    """Reads and lowers an rlimit of process 1, which has its uid."""
    limits = script.memory(struct.pack("<2Q", 64, 64))
    script.call("prlimit64", 1, _NOFILE, limits, 0)


@attack(_KIND, USERNS, by("processes", sched_setaffinity=EPERM))
def pinned_init(script: AttackScript, targets: Targets) -> None:
    """Pins process 1 to one core."""
    script.call("sched_setaffinity", 1, 8, script.data(struct.pack("<Q", 1)))


@attack(_KIND, USERNS, by("processes", setpriority=EPERM))
def reniced_init(script: AttackScript, targets: Targets) -> None:
    """Takes the priority of process 1 away."""
    script.call("setpriority", _PRIO_PROCESS, 1, 19)


@attack(_KIND, USERNS, by("processes", ioprio_set=EPERM))
def starved_init(script: AttackScript, targets: Targets) -> None:
    """Takes the I/O priority of process 1 away."""
    script.call("ioprio_set", _IOPRIO_PROCESS, 1, 3 << 13)


@attack(_KIND, USERNS, by("processes", sched_setscheduler=EPERM))
def idled_init(script: AttackScript, targets: Targets) -> None:
    """Makes process 1 run only when nobody else does (SCHED_IDLE)."""
    script.call("sched_setscheduler", 1, 5, script.data(struct.pack("<i", 0)))


@attack(_KIND, BARE, by("processes", process_vm_readv=ESRCH))
def read_victim_memory(script: AttackScript, targets: Targets) -> None:
    """Reads the token out of the memory of a process of the host."""
    size = len(targets.token)
    found = script.space(size)
    local, remote = script.iovec(found, size), script.iovec(targets.victim_address, size)
    script.check("process_vm_readv", targets.victim_pid, local, 1, remote, 1, 0, result=size)
    script.expect(found, targets.token)


@attack(_KIND, BARE, by("processes", process_vm_writev=ESRCH))
def written_victim_memory(script: AttackScript, targets: Targets) -> None:
    """Writes to the memory of a process of the host."""
    local, remote = script.iovec(script.space(8), 8), script.iovec(_WRITTEN_AT, 8)
    script.check("process_vm_writev", targets.victim_pid, local, 1, remote, 1, 0, result=8)


@attack(_KIND, BARE, by("processes", ptrace=ESRCH))
def seized_victim(script: AttackScript, targets: Targets) -> None:
    """Traces a process of the host."""
    script.call("ptrace", _PTRACE_SEIZE, targets.victim_pid, 0, 0)


@attack(_KIND, BARE, by("processes", openat=ENOENT))
def opened_victim_memory(script: AttackScript, targets: Targets) -> None:
    """Reads the token through /proc/PID/mem of a process of the host."""
    size = len(targets.token)
    found = script.space(size)
    fd = script.open_path(b"/proc/%d/mem" % targets.victim_pid, os.O_RDWR)
    script.check("pread64", fd, found, size, targets.victim_address, result=size)
    script.expect(found, targets.token)


@attack(_KIND, BARE, by("processes", openat=ENOENT))
def read_victim_environment(script: AttackScript, targets: Targets) -> None:
    """Reads the token in the environment of a process of the host."""
    fd = script.open_path(b"/proc/%d/environ" % targets.victim_pid, os.O_RDONLY)
    script.read_all(fd, b"TOKEN=" + targets.token)


@attack(_KIND, BARE, by("processes", openat=ENOENT))
def listed_victim(script: AttackScript, targets: Targets) -> None:
    """Reads the command line of a process of the host."""
    script.read_one(script.open_path(b"/proc/%d/cmdline" % targets.victim_pid, os.O_RDONLY))


@attack(_KIND, BARE, by("processes", openat=ENOENT))
def root_of_victim(script: AttackScript, targets: Targets) -> None:
    """Walks through the root of a process of the host."""
    path = b"/proc/%d/root" % targets.victim_pid + targets.secret
    script.read_all(script.open_path(path, os.O_RDONLY), targets.token)


@attack(_KIND, BARE, by("processes", pidfd_open=ESRCH))
def taken_fd_of_victim(script: AttackScript, targets: Targets) -> None:
    """Takes a descriptor of a process of the host."""
    fd = script.open("pidfd_open", targets.victim_pid, 0)
    script.open("pidfd_getfd", fd, 0, 0)


@attack(_KIND, BARE, by("processes", prlimit64=ESRCH))
def limited_victim(script: AttackScript, targets: Targets) -> None:
    """Lowers an rlimit of a process of the host."""
    limits = script.memory(struct.pack("<2Q", 64, 64))
    script.call("prlimit64", targets.victim_pid, _NOFILE, limits, 0)


@attack(_KIND, BARE, by("processes", sched_setaffinity=ESRCH))
def pinned_victim(script: AttackScript, targets: Targets) -> None:
    """Pins a process of the host to one core."""
    cores = script.data(struct.pack("<Q", sum(1 << core for core in os.sched_getaffinity(0))))
    script.call("sched_setaffinity", targets.victim_pid, 8, cores)
