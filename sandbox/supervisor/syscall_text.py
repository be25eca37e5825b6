"""A syscall and its registers as text, with names for what is worth naming. No pointer is read."""

from collections.abc import Callable, Sequence

__all__ = ["syscall_text"]

_Show = Callable[[int], str]


def syscall_text(name: str, arguments: Sequence[int]) -> str:
    """`ptrace(PTRACE_ATTACH, 7, 0x0, 0x0)`. Calls without a table here show all six registers."""
    shape = _SHAPES.get(name, (hex,) * 6)
    return (
        f"{name}({', '.join(show(value) for show, value in zip(shape, arguments, strict=False))})"
    )


def _int(value: int) -> str:
    """The kernel reads an int: the low 32 bits, signed."""
    return str((value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000)


def _named(names: dict[int, str]) -> _Show:
    return lambda value: names.get(value & 0xFFFFFFFF, hex(value & 0xFFFFFFFF))


def _flags(names: dict[int, str], rest: dict[int, str] | None = None, rest_mask: int = 0) -> _Show:
    """Bits by name, joined by |. The bits of `rest_mask` are one number, which `rest` names."""

    def show(value: int) -> str:
        value &= 0xFFFFFFFF
        shown = [] if rest is None else [rest.get(value & rest_mask, str(value & rest_mask))]
        value &= ~rest_mask
        shown += [name for bit, name in names.items() if value & bit]
        unnamed = value & ~sum(names)
        return "|".join(shown + ([hex(unnamed)] if unnamed or not shown else []))

    return show


# <linux/ptrace.h>
_PTRACE = {
    0: "PTRACE_TRACEME", 1: "PTRACE_PEEKTEXT", 2: "PTRACE_PEEKDATA", 3: "PTRACE_PEEKUSER",
    4: "PTRACE_POKETEXT", 5: "PTRACE_POKEDATA", 6: "PTRACE_POKEUSER", 7: "PTRACE_CONT",
    8: "PTRACE_KILL", 9: "PTRACE_SINGLESTEP", 12: "PTRACE_GETREGS", 13: "PTRACE_SETREGS",
    16: "PTRACE_ATTACH", 17: "PTRACE_DETACH", 24: "PTRACE_SYSCALL", 0x4200: "PTRACE_SETOPTIONS",
    0x4204: "PTRACE_GETREGSET", 0x4205: "PTRACE_SETREGSET", 0x4206: "PTRACE_SEIZE",
    0x4207: "PTRACE_INTERRUPT",
}  # fmt: skip
# <linux/sched.h>; the low byte of clone's flags is a signal
_CLONE = {
    0x00000080: "CLONE_NEWTIME", 0x00000100: "CLONE_VM", 0x00000200: "CLONE_FS",
    0x00000400: "CLONE_FILES", 0x00000800: "CLONE_SIGHAND", 0x00001000: "CLONE_PIDFD",
    0x00002000: "CLONE_PTRACE", 0x00004000: "CLONE_VFORK", 0x00008000: "CLONE_PARENT",
    0x00010000: "CLONE_THREAD", 0x00020000: "CLONE_NEWNS", 0x00040000: "CLONE_SYSVSEM",
    0x00080000: "CLONE_SETTLS", 0x00100000: "CLONE_PARENT_SETTID",
    0x00200000: "CLONE_CHILD_CLEARTID", 0x00800000: "CLONE_UNTRACED",
    0x01000000: "CLONE_CHILD_SETTID", 0x02000000: "CLONE_NEWCGROUP", 0x04000000: "CLONE_NEWUTS",
    0x08000000: "CLONE_NEWIPC", 0x10000000: "CLONE_NEWUSER", 0x20000000: "CLONE_NEWPID",
    0x40000000: "CLONE_NEWNET", 0x80000000: "CLONE_IO",
}  # fmt: skip
_SIGNAL_ONLY = {bit: name for bit, name in _CLONE.items() if bit > 0xFF}
# <linux/socket.h>, <linux/net.h>
_FAMILIES = {
    0: "AF_UNSPEC", 1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 15: "AF_KEY", 16: "AF_NETLINK",
    17: "AF_PACKET", 29: "AF_CAN", 31: "AF_BLUETOOTH", 38: "AF_ALG", 40: "AF_VSOCK", 44: "AF_XDP",
}  # fmt: skip
_TYPES = {
    1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET",
    10: "SOCK_PACKET",
}  # fmt: skip
_TYPE_FLAGS = {0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"}
# <linux/prctl.h>
_PRCTL = {
    1: "PR_SET_PDEATHSIG", 3: "PR_GET_DUMPABLE", 4: "PR_SET_DUMPABLE", 8: "PR_SET_KEEPCAPS",
    15: "PR_SET_NAME", 16: "PR_GET_NAME", 22: "PR_SET_SECCOMP", 24: "PR_CAPBSET_DROP",
    28: "PR_SET_SECUREBITS", 35: "PR_SET_MM", 36: "PR_SET_CHILD_SUBREAPER",
    38: "PR_SET_NO_NEW_PRIVS", 47: "PR_CAP_AMBIENT", 52: "PR_SET_SPECULATION_CTRL",
    59: "PR_SET_SYSCALL_USER_DISPATCH", 62: "PR_SCHED_CORE", 0x53564D41: "PR_SET_VMA",
    0x59616D61: "PR_SET_PTRACER",
}  # fmt: skip
# <linux/keyctl.h>
_KEYCTL = {
    0: "KEYCTL_GET_KEYRING_ID", 1: "KEYCTL_JOIN_SESSION_KEYRING", 2: "KEYCTL_UPDATE",
    3: "KEYCTL_REVOKE", 5: "KEYCTL_SETPERM", 6: "KEYCTL_DESCRIBE", 8: "KEYCTL_LINK",
    10: "KEYCTL_SEARCH", 11: "KEYCTL_READ",
}  # fmt: skip
# <linux/bpf.h>
_BPF = {
    0: "BPF_MAP_CREATE", 1: "BPF_MAP_LOOKUP_ELEM", 2: "BPF_MAP_UPDATE_ELEM",
    3: "BPF_MAP_DELETE_ELEM", 5: "BPF_PROG_LOAD", 6: "BPF_OBJ_PIN", 7: "BPF_OBJ_GET",
    8: "BPF_PROG_ATTACH", 18: "BPF_BTF_LOAD",
}  # fmt: skip
# <sys/personality.h>
_PERSONALITIES = {
    0x0: "PER_LINUX", 0x8: "PER_LINUX32", 0x40000: "ADDR_NO_RANDOMIZE",
    0x400000: "READ_IMPLIES_EXEC",
}  # fmt: skip
# <asm-generic/ioctls.h>
_IOCTLS = {0x5412: "TIOCSTI", 0x541C: "TIOCLINUX", 0x541D: "TIOCCONS", 0x5423: "TIOCSETD"}

_UNSHARED = _flags(_CLONE)
_SOCKET_TYPE = _flags(_TYPE_FLAGS, _TYPES, 0xF)
_SHAPES: dict[str, tuple[_Show, ...]] = {
    "ptrace": (_named(_PTRACE), _int, hex, hex),
    "process_vm_readv": (_int, hex, str, hex, str, hex),
    "process_vm_writev": (_int, hex, str, hex, str, hex),
    "clone": (_flags(_SIGNAL_ONLY, {0: "0", 17: "SIGCHLD"}, 0xFF), hex, hex, hex, hex),
    "unshare": (_UNSHARED,),
    "setns": (_int, _UNSHARED),
    "socket": (_named(_FAMILIES), _SOCKET_TYPE, _int),
    "socketpair": (_named(_FAMILIES), _SOCKET_TYPE, _int, hex),
    "prctl": (_named(_PRCTL), hex, hex, hex, hex),
    "personality": (_named(_PERSONALITIES),),
    "ioctl": (_int, _named(_IOCTLS), hex),
    "keyctl": (_named(_KEYCTL), hex, hex, hex, hex),
    "add_key": (hex, hex, hex, str, _int),
    "request_key": (hex, hex, hex, _int),
    "bpf": (_named(_BPF), hex, str),
    "mount": (hex, hex, hex, hex, hex),
    "umount2": (hex, hex),
    "pivot_root": (hex, hex),
    "chroot": (hex,),
    "open_tree": (_int, hex, hex),
    "move_mount": (_int, hex, _int, hex, hex),
    "mount_setattr": (_int, hex, hex, hex, str),
    "fsopen": (hex, hex),
    "fsconfig": (_int, _int, hex, hex, _int),
    "fsmount": (_int, hex, hex),
    "fspick": (_int, hex, hex),
    "perf_event_open": (hex, _int, _int, _int, hex),
    "userfaultfd": (hex,),
    "open_by_handle_at": (_int, hex, hex),
    "pidfd_getfd": (_int, _int, hex),
    "init_module": (hex, str, hex),
    "finit_module": (_int, hex, hex),
    "delete_module": (hex, hex),
    "kexec_load": (hex, str, hex, hex),
    "kexec_file_load": (_int, _int, str, hex, hex),
    "reboot": (hex, hex, hex, hex),
    "swapon": (hex, hex),
    "swapoff": (hex,),
    "acct": (hex,),
    "iopl": (_int,),
    "ioperm": (hex, str, _int),
    "settimeofday": (hex, hex),
    "clock_settime": (_int, hex),
    "clock_adjtime": (_int, hex),
    "adjtimex": (hex,),
    "quotactl": (hex, hex, _int, hex),
    "syslog": (_int, hex, _int),
    "vhangup": (),
}
