"""The filters of our own processes outside of a sandbox: supervisor and lookout.

Three answers: what a process needs is allowed; what none of ours would ever call kills it, for then
it is not ours any more; all else meets ENOSYS or EPERM, as on a kernel that lacks it, so that a
library takes its other way.

Zygotes have none, nor the keeper: init and payload would have it, too, and then the kernel would
show a filter where the job's own is missing. Of two filters the stricter answer counts besides.
"""

from sandbox.spec.policy import ArgumentCheck, SyscallRule
from sandbox.supervisor.seccomp import own_filter

__all__ = ["lookout_filter", "supervisor_filter"]

_WORD = 0xFFFFFFFF  # of an argument that the kernel reads as an int
_AF_UNIX = 1
# <linux/sched.h>: CLONE_THREAD, and none of CLONE_NEW*
_CLONE_MASK, _CLONE_THREAD = 0x7E030000, 0x10000
_WRITE, _EXEC, _ANONYMOUS = 0x2, 0x4, 0x20  # PROT_*, MAP_ANONYMOUS, mmap(2)
_CHANGES = 0o1103  # O_ACCMODE, O_CREAT, O_TRUNC: not merely read, open(2)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into a terminal
_PR_SET_NAME, _PR_SET_VMA = 15, 0x53564D41  # what libc and Python call

_NEVER = (
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree",
    "mount_setattr", "fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "bpf",
    "userfaultfd", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register",
    "add_key", "request_key", "keyctl", "kcmp", "personality", "setuid", "setgid", "setreuid",
    "setregid", "setresuid", "setresgid", "setgroups", "capset", "mknod", "mknodat", "swapon",
    "swapoff", "reboot", "acct", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "settimeofday", "clock_settime", "quotactl", "iopl", "ioperm",
)  # fmt: skip
_MEMORY = ("brk", "munmap", "mremap", "madvise", "futex", "rseq")
_SIGNALS = ("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall")
_READING = (
    "read", "pread64", "readv", "lseek", "close", "fstat", "newfstatat", "stat", "lstat", "statx",
    "getdents64", "readlink", "readlinkat", "access", "faccessat", "faccessat2", "fcntl", "getcwd",
)  # fmt: skip
_WHO_AM_I = (
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups",
    "getresuid", "getresgid", "getpgrp", "getpgid", "getsid", "uname", "sysinfo", "getcpu",
    "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrandom", "getrusage",
)  # fmt: skip
_ENDS = ("exit", "exit_group")


def supervisor_filter() -> bytes:
    """Of a supervisor that has all that it needs: threads, files, sockets that it has; and no new
    process, namespace, mount, or way to the network."""
    return own_filter(
        (
            *_NEVER_RULES,
            _allow(*_MEMORY, "msync", "mincore", "membarrier", "mlock", "munlock"),
            _allow(*_SIGNALS, "rt_sigtimedwait", "rt_sigpending", "rt_sigsuspend", "signalfd4"),
            _allow(*_READING, "preadv", "preadv2", "open", "openat", "openat2", "statfs"),
            _allow("fstatfs", "chdir"),
            _allow(
                "write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync",
                "ftruncate", "fallocate", "fadvise64", "sync_file_range", "copy_file_range",
                "sendfile", "splice", "tee", "unlink", "unlinkat", "rename", "renameat",
                "renameat2", "mkdir", "mkdirat", "rmdir", "link", "linkat", "chmod", "fchmod",
                "fchmodat", "utimensat", "umask", "flock", "dup", "dup2", "dup3", "pipe", "pipe2",
                "eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime", "close_range",
            ),
            _allow(
                "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
                "epoll_pwait2", "poll", "ppoll", "select", "pselect6", "nanosleep",
                "clock_nanosleep", "setitimer", "getitimer", "alarm",
            ),
            _allow(
                "connect", "accept", "accept4", "getsockname", "getpeername", "setsockopt",
                "getsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
                "shutdown",
            ),
            _allow(
                *_WHO_AM_I, *_ENDS, "set_tid_address", "set_robust_list", "get_robust_list",
                "futex_waitv", "sched_yield", "sched_getaffinity", "sched_setaffinity",
                "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
                "sched_get_priority_min", "getpriority", "wait4", "waitid", "kill", "tgkill",
                "pidfd_open", "pidfd_send_signal", "prlimit64", "getrlimit", "setrlimit",
            ),
            _allow("ioctl"),
            _refuse("EPERM", "ioctl", (1, _WORD, _TIOCSTI)),
            _refuse("EPERM", "ioctl", (1, _WORD, _TIOCLINUX)),
            _allow("landlock_create_ruleset"),  # tells what jobs can have of it
            *_ONE_FAMILY,
            _refuse("EPERM", "bind"),
            _refuse("EPERM", "listen"),
            *_THREADS,
            *_NO_CODE,
            *_PRCTL,
        ),
        "ENOSYS",
    )  # fmt: skip


def lookout_filter() -> bytes:
    """Of the lookout: it opens what it only reads, takes a file of a sandbox, and answers."""
    return own_filter(
        (
            *_NEVER_RULES,
            SyscallRule(("clone", "clone3"), "kill"),
            _allow(*_MEMORY, *_SIGNALS, *_READING, *_WHO_AM_I, *_ENDS),
            _allow("write", "recvmsg", "sendmsg", "getsockname", "getsockopt", "pidfd_getfd"),
            _allow("ioctl"),
            _refuse("EPERM", "ioctl", (1, _WORD, _TIOCSTI)),
            _refuse("EPERM", "ioctl", (1, _WORD, _TIOCLINUX)),
            SyscallRule(("openat",), "allow", (ArgumentCheck(2, _CHANGES, 0),)),
            _refuse("EACCES", "openat"),
            SyscallRule(("open",), "allow", (ArgumentCheck(1, _CHANGES, 0),)),
            _refuse("EACCES", "open"),
            *_NO_CODE,
            *_PRCTL,
        ),
        "ENOSYS",
    )


def _allow(*names: str) -> SyscallRule:
    return SyscallRule(names, "allow")


def _refuse(code: str, *names_and_checks: "str | tuple[int, int, int]") -> SyscallRule:
    names = tuple(item for item in names_and_checks if isinstance(item, str))
    checks = tuple(ArgumentCheck(*item) for item in names_and_checks if isinstance(item, tuple))
    return SyscallRule(names, code, checks)


_NEVER_RULES = (SyscallRule(_NEVER, "kill"),)
_ONE_FAMILY = (
    SyscallRule(("socket", "socketpair"), "allow", (ArgumentCheck(0, _WORD, _AF_UNIX),)),
    _refuse("EAFNOSUPPORT", "socket", "socketpair"),
)
_THREADS = (
    SyscallRule(("clone",), "allow", (ArgumentCheck(0, _CLONE_MASK, _CLONE_THREAD),)),
    SyscallRule(("clone",), "kill"),
    _refuse("ENOSYS", "clone3"),  # its flags are behind a pointer; libc falls back to clone
)
# Memory holds code or what we write, never both; and code comes from files.
_NO_CODE = (
    _refuse("EACCES", "mmap", (2, _WRITE | _EXEC, _WRITE | _EXEC)),
    _refuse("EACCES", "mmap", (2, _WRITE | _EXEC, _EXEC), (3, _ANONYMOUS, _ANONYMOUS)),
    _allow("mmap"),
    _refuse("EACCES", "mprotect", (2, _EXEC, _EXEC)),
    _allow("mprotect"),
)
_PRCTL = (
    SyscallRule(("prctl",), "allow", (ArgumentCheck(0, _WORD, _PR_SET_NAME),)),
    SyscallRule(("prctl",), "allow", (ArgumentCheck(0, _WORD, _PR_SET_VMA),)),
    _refuse("EPERM", "prctl"),
)
