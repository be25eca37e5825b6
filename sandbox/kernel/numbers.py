"""The numbers of the system calls that we make ourselves. <asm/unistd_64.h>, <asm-generic/unistd.h>

For libc, the ones without a wrapper; for the scripts of the room inside, all. A test compares them
with what libseccomp knows.
"""

from __future__ import annotations

import os

__all__ = ["BY_MACHINE", "NUMBERS"]

# From 424 on, numbers are the same on every architecture.
_COMMON = {
    "pidfd_send_signal": 424, "open_tree": 428, "move_mount": 429, "clone3": 435,
    "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "mount_setattr": 442,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
}  # fmt: skip
BY_MACHINE = {
    "x86_64": _COMMON | {
        "capget": 125, "capset": 126, "chdir": 80, "clone": 56, "close": 3, "dup3": 292,
        "fchmod": 91, "fchmodat": 268, "fcntl": 72, "getcwd": 79, "getresgid": 120,
        "getresuid": 118, "getsid": 124, "ioctl": 16, "keyctl": 250, "mkdirat": 258,
        "mknodat": 259, "mount": 165, "openat": 257,
        "pipe2": 293, "pivot_root": 155, "ppoll": 271, "prctl": 157, "read": 0, "readlinkat": 267,
        "recvmsg": 47, "rt_sigaction": 13, "rt_sigprocmask": 14, "seccomp": 317, "sendmsg": 46,
        "setgroups": 116, "sethostname": 170, "setresgid": 119, "setresuid": 117, "setsid": 112,
        "signalfd4": 289, "statfs": 137, "statx": 332, "symlinkat": 266, "umask": 95,
        "umount2": 166, "uname": 63, "unlinkat": 263, "unshare": 272, "write": 1,
    },
    "aarch64": _COMMON | {
        "capget": 90, "capset": 91, "chdir": 49, "clone": 220, "close": 57, "dup3": 24,
        "fchmod": 52, "fchmodat": 53, "fcntl": 25, "getcwd": 17, "getresgid": 150, "getresuid": 148,
        "getsid": 156, "ioctl": 29, "keyctl": 219, "mkdirat": 34, "mknodat": 33, "mount": 40,
        "openat": 56, "pipe2": 59, "pivot_root": 41, "ppoll": 73, "prctl": 167, "read": 63,
        "readlinkat": 78, "recvmsg": 212, "rt_sigaction": 134, "rt_sigprocmask": 135,
        "seccomp": 277, "sendmsg": 211, "setgroups": 159, "sethostname": 161, "setresgid": 149,
        "setresuid": 147, "setsid": 157, "signalfd4": 74, "statfs": 43, "statx": 291,
        "symlinkat": 36, "umask": 166, "umount2": 39, "uname": 160, "unlinkat": 35, "unshare": 97,
        "write": 64,
    },
}  # fmt: skip
NUMBERS = BY_MACHINE[os.uname().machine]
