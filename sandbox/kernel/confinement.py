"""seccomp and Landlock: one function a syscall. Each succeeds or raises OSError."""

from __future__ import annotations

import ctypes

from sandbox.kernel.call import syscall

__all__ = [
    "LANDLOCK_RULE_PATH_BENEATH",
    "SECCOMP_FILTER_FLAG_NEW_LISTENER",
    "SECCOMP_SET_MODE_FILTER",
    "landlock_abi",
    "landlock_add_path",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "seccomp_load",
]

SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1


class _SockFprog(ctypes.Structure):  # struct sock_fprog, seccomp(2)
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


class _RulesetAttr(ctypes.Structure):  # struct landlock_ruleset_attr, ABI 6
    _fields_ = [(name, ctypes.c_uint64) for name in ("fs", "net", "scoped")]


class _PathBeneath(ctypes.Structure):  # struct landlock_path_beneath_attr
    _pack_ = 1
    _fields_ = [("accesses", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def seccomp_load(program: bytes, *, listener: bool) -> int:
    """Load a BPF program over this thread, for good; the listener's fd, or 0 without one.

    Raises OSError: EACCES, no_new_privs is not set; EBUSY, a listener exists already.
    seccomp(2); listener: seccomp_unotify(2), Linux 5.0.
    """
    prog = _SockFprog(len(program) // 8, program)
    flags = SECCOMP_FILTER_FLAG_NEW_LISTENER if listener else 0
    return syscall("seccomp", SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(prog))


def landlock_abi() -> int:
    """The Landlock ABI of this kernel. ENOSYS: not built in; EOPNOTSUPP: not enabled at boot."""
    return syscall("landlock_create_ruleset", None, 0, LANDLOCK_CREATE_RULESET_VERSION)


def landlock_create_ruleset(fs: int, net: int, scoped: int) -> int:
    """A close-on-exec ruleset fd that handles these accesses. landlock_create_ruleset(2).

    Only as much of the structure is passed as is used, so that older kernels take it: `net` needs
    ABI 4, `scoped` ABI 6.
    """
    attributes = _RulesetAttr(fs, net, scoped)
    size = 24 if scoped else 16 if net else 8
    return syscall("landlock_create_ruleset", ctypes.byref(attributes), size, 0)


def landlock_add_path(ruleset_fd: int, path_fd: int, accesses: int) -> None:
    """Allow these accesses below a directory. landlock_add_rule(2)."""
    rule = _PathBeneath(accesses, path_fd)
    syscall("landlock_add_rule", ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, ctypes.byref(rule), 0)


def landlock_restrict_self(ruleset_fd: int) -> None:
    """Put the ruleset on this thread, for good; no_new_privs must be set. Linux 5.13."""
    syscall("landlock_restrict_self", ruleset_fd, 0)
