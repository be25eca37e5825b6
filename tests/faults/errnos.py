"""Which errnos each system call is made to fail with: those that the kernel may really return.

From the manual pages, section ERRORS; of six: EPERM, ENOMEM, EAGAIN, ENOSPC, EINTR, EMFILE.
"""

import errno

import pyseccomp
from faults.tracer import VARIANT, Call

__all__ = ["NOT_OURS", "code_of", "errnos_of", "name_of"]

_BY_CALL = {
    # What makes an fd.
    "openat": "EPERM ENOMEM EINTR EMFILE",
    "openat(O_CREAT)": "EPERM ENOMEM ENOSPC EINTR EMFILE",
    "openat2": "EPERM ENOMEM EAGAIN EINTR EMFILE",
    "open_tree": "EPERM ENOMEM EMFILE",
    "pipe2": "ENOMEM EMFILE",
    "socketpair": "EPERM ENOMEM EMFILE",
    "socket": "EPERM ENOMEM EMFILE",
    "eventfd2": "ENOMEM EMFILE",
    "epoll_create1": "ENOMEM EMFILE",
    "signalfd4": "ENOMEM EMFILE",
    "memfd_create": "EPERM ENOMEM EMFILE",
    "pidfd_open": "ENOMEM EMFILE",
    "pidfd_getfd": "EPERM EMFILE",
    "landlock_create_ruleset": "ENOMEM EMFILE",
    "dup": "EMFILE",
    "dup2": "EINTR EMFILE",
    "dup3": "EINTR EMFILE",
    "fcntl(F_DUPFD)": "EPERM ENOMEM EMFILE",
    "seccomp": "EPERM ENOMEM EMFILE",
    # What reads and writes.
    "read": "EPERM ENOMEM EINTR",
    "pread64": "EPERM ENOMEM EINTR",
    "write": "EPERM ENOMEM ENOSPC EINTR",
    "pwrite64": "EPERM ENOMEM ENOSPC EINTR",
    "recvfrom": "ENOMEM EINTR",
    "recvmsg": "ENOMEM EINTR",
    "sendto": "EPERM ENOMEM EINTR",
    "sendmsg": "EPERM ENOMEM EINTR",
    "getdents64": "ENOMEM",
    "lseek": "EPERM",
    "ftruncate": "EPERM ENOSPC EINTR",
    "fsync": "ENOSPC EINTR",
    "ioctl": "EPERM",
    "getrandom": "EAGAIN EINTR",
    "flock": "EINTR ENOMEM",
    # What names files, and mounts.
    "newfstatat": "EPERM ENOMEM",
    "statx": "EPERM ENOMEM",
    "statfs": "EPERM ENOMEM EINTR",
    "fstatfs": "EPERM ENOMEM EINTR",
    "readlinkat": "EPERM ENOMEM",
    "readlink": "EPERM ENOMEM",
    "access": "EPERM ENOMEM",
    "faccessat": "EPERM ENOMEM",
    "faccessat2": "EPERM ENOMEM",
    "mkdir": "EPERM ENOMEM ENOSPC",
    "mkdirat": "EPERM ENOMEM ENOSPC",
    "mknodat": "EPERM ENOMEM ENOSPC",
    "symlink": "EPERM ENOMEM ENOSPC",
    "symlinkat": "EPERM ENOMEM ENOSPC",
    "rmdir": "EPERM ENOMEM",
    "unlink": "EPERM ENOMEM",
    "unlinkat": "EPERM ENOMEM",
    "fchmod": "EPERM ENOMEM",
    "fchmodat": "EPERM ENOMEM",
    "chmod": "EPERM ENOMEM",
    "utimensat": "EPERM ENOMEM",
    "listxattr": "EPERM ENOMEM",
    "chdir": "EPERM ENOMEM",
    "fchdir": "EPERM ENOMEM",
    "chroot": "EPERM ENOMEM",
    "getcwd": "ENOMEM",
    "mount": "EPERM ENOMEM ENOSPC",
    "umount2": "EPERM ENOMEM",
    "move_mount": "EPERM ENOMEM ENOSPC",
    "mount_setattr": "EPERM ENOMEM",
    "pivot_root": "EPERM ENOMEM",
    # What makes processes, and says who they are.
    "clone": "EPERM ENOMEM EAGAIN",
    "clone3": "EPERM ENOMEM EAGAIN ENOSPC",
    "fork": "ENOMEM EAGAIN",
    "vfork": "EPERM ENOMEM EAGAIN",
    "execve": "EPERM ENOMEM EAGAIN EMFILE",
    "execveat": "EPERM ENOMEM EAGAIN EMFILE",
    "unshare": "EPERM ENOMEM ENOSPC",
    "setns": "EPERM ENOMEM",
    "setgroups": "EPERM ENOMEM",
    "setresuid": "EPERM EAGAIN",
    "setresgid": "EPERM EAGAIN",
    "setsid": "EPERM",
    "getsid": "EPERM",
    "sethostname": "EPERM",
    "keyctl": "ENOMEM",
    "prctl": "EPERM",
    "capset": "EPERM",
    "capget": "EPERM",
    "landlock_add_rule": "EPERM ENOMEM",
    "landlock_restrict_self": "EPERM ENOMEM",
    "prlimit64": "EPERM",
    "setrlimit": "EPERM",
    "sched_setaffinity": "EPERM",
    "kill": "EPERM",
    "pidfd_send_signal": "EPERM EAGAIN",
    # What waits.
    "epoll_ctl(EPOLL_CTL_ADD)": "EPERM ENOMEM ENOSPC",
    "epoll_wait": "EINTR",
    "poll": "EINTR ENOMEM",
    "ppoll": "EINTR ENOMEM",
    "waitid": "EINTR",
    "wait4": "EINTR",
    # The interpreter's memory.
    "mmap": "ENOMEM",
    "mremap": "ENOMEM",
    "brk": "ENOMEM",
}
# A close fails where a file system writes then: an artifact's may, on NFS or FUSE.
_WRITES_BACK = ("supervisor/files.Destination.close", "server/")
_OF_PIPES = ("supervisor/identity._run_helper",)
_UNBLOCKED = ("read", "write", "recvfrom", "recvmsg", "sendto", "sendmsg")
NOT_OURS = ("helper", "payload", "other", "thread")  # newuidmap(1) is told as a whole
# An interpreter loads: of each call, the first ones, and so of each module of ours.
_INTERPRETERS, _MOST_LOADING = ("keeper",), 2
_VARIANTS = {72: "fcntl(F_DUPFD)", 257: "openat(O_CREAT)", 233: "epoll_ctl(EPOLL_CTL_ADD)"}


def name_of(number: int) -> str:
    """The name of a system call of this machine."""
    if number >= VARIANT:
        return _VARIANTS[number - VARIANT]
    try:
        return pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, number).decode()
    except ValueError:
        return str(number)


def errnos_of(call: Call) -> tuple[str, ...]:
    """What this call is made to fail with; none where it cannot fail if its arguments are right."""
    role, step, number, count = call
    is_loading = role in _INTERPRETERS and (not step or step.endswith("<module>"))
    if role in NOT_OURS or (is_loading and count > _MOST_LOADING):
        return ()
    name = name_of(number)
    if role == "init" and name == "ppoll":
        return ()  # of two fds it allocates nothing, fs/select.c; and without a handler no EINTR
    if step == "keeper/keeper._become" and name in ("dup3", "write"):
        return ()  # its own pid, for which there is room; untold, it stays a zombie until we end
    if step in _OF_PIPES and name == "read":
        return ("ENOMEM", "EINTR")
    found = _BY_CALL.get(name, "").split()
    is_unblocked = ("link." in step or "streams." in step) and name in _UNBLOCKED
    if name == "close" and step.startswith(_WRITES_BACK):
        found += ["EINTR", "ENOSPC"]
    if role == "supervisor" and is_unblocked:
        found.append("EAGAIN")
    return tuple(found)


def code_of(name: str) -> int:
    """The number of an errno."""
    return getattr(errno, name)
