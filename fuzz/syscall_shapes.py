"""What the arguments of each system call are, in the letters of syscall_program.c.

f descriptor, n of a socket, d directory, p path, b buffer, a mapping, l its length, s size,
o flags, O of open, m mode, i small, j milliseconds, g signal, w process, u uid, t time, v iovec,
h message, k socket address, K its size, F family, S socket type, q request of ioctl, R one that
types, Q option of prctl, c command of fcntl, y size of a sigset, z zero, V argv, C flags of clone,
T clock, I by the ABI of i386, x anything. "!": made seldom, since little comes after it. A call
that is not here gets what it gets.
"""

from collections.abc import Iterator

from sandbox.spec.policy import Policy
from sandbox.supervisor.seccomp import ARCH, syscall_name

__all__ = ["HEAVY", "NUMBERS", "killed", "named", "open_policy", "table"]

NUMBERS = range(480)  # a few beyond the newest
_X86_64, _X32_BIT = 0xC000003E, 0x40000000
# uretprobe and uprobe: no filter sees them, and who calls them outside of a probe gets SIGILL
# (kernel/seccomp.c, arch/x86/kernel/uprobes.c).
_UNFILTERED = (335, 336) if ARCH == _X86_64 else ()

_SHAPES = {
    "_sysctl": "b", "accept": "nbb", "accept4": "nbbo", "access": "pm", "add_key": "ppbsi",
    "adjtimex": "b", "alarm": "i", "arch_prctl": "Qb!", "bind": "nkK", "bpf": "ibs", "brk": "a",
    "cachestat": "fbbo", "capget": "bb", "capset": "bb", "chdir": "p", "chmod": "pm",
    "chown": "puu", "chroot": "p", "clock_adjtime": "Tb", "clock_getres": "Tb",
    "clock_gettime": "Tb", "clock_nanosleep": "Titb", "clock_settime": "Tt", "clone": "Cabbb!",
    "clone3": "bs!", "close": "f", "close_range": "ffo!", "connect": "nkK",
    "copy_file_range": "fbfbso", "creat": "pm", "dup": "f", "dup2": "ff", "dup3": "ffo",
    "epoll_create": "i", "epoll_create1": "o", "epoll_ctl": "fifb", "epoll_pwait": "fbijby",
    "epoll_pwait2": "fbitby", "epoll_wait": "fbij", "eventfd": "i", "eventfd2": "io",
    "execve": "pVV!", "execveat": "dpVVo!", "exit": "i!", "exit_group": "i!", "faccessat": "dpm",
    "faccessat2": "dpmo", "fadvise64": "fssi", "fallocate": "fiss", "fanotify_init": "oo",
    "fanotify_mark": "foodp", "fchdir": "f", "fchmod": "fm", "fchmodat": "dpm", "fchmodat2": "dpmo",
    "fchown": "fuu", "fchownat": "dpuuo", "fcntl": "fcs", "fdatasync": "f", "fgetxattr": "fpbs",
    "file_getattr": "dpbso", "file_setattr": "dpbso", "finit_module": "fpo", "flistxattr": "fbs",
    "flock": "fi", "fork": "!", "fremovexattr": "fp", "fsconfig": "fippi", "fsetxattr": "fpbso",
    "fsmount": "foo", "fsopen": "po", "fspick": "dpo", "fstat": "fb", "fstatfs": "fb",
    "fsync": "f", "ftruncate": "fs", "futex": "biitbi", "futex_requeue": "biii",
    "futex_wait": "bxxitT", "futex_waitv": "biotT", "futex_wake": "bxio", "futimesat": "dpt",
    "get_mempolicy": "bbsao", "get_robust_list": "wbb", "getcpu": "bbz", "getcwd": "bs",
    "getdents": "fbs", "getdents64": "fbs", "getgroups": "ib", "getitimer": "ib",
    "getpeername": "nbb", "getpgid": "w", "getpriority": "iw", "getrandom": "bso",
    "getresgid": "bbb", "getresuid": "bbb", "getrlimit": "ib", "getrusage": "ib", "getsid": "w",
    "getsockname": "nbb", "getsockopt": "niibb", "gettimeofday": "bb", "getxattr": "ppbs",
    "getxattrat": "dpopbs", "init_module": "bsp", "inotify_add_watch": "fpo", "inotify_init1": "o",
    "inotify_rm_watch": "fi", "io_cancel": "xbb", "io_destroy": "x", "io_getevents": "xiibt",
    "io_setup": "ib", "io_submit": "xib", "io_uring_enter": "fiiobs", "io_uring_register": "fibi",
    "io_uring_setup": "ib", "ioctl": "fqb", "ioprio_get": "iw", "ioprio_set": "iwi", 
    "kcmp": "wwiff", "keyctl": "iiibs", "kill": "wg", "landlock_add_rule": "fibo",
    "landlock_create_ruleset": "bso", "landlock_restrict_self": "fo!", "lchown": "puu",
    "lgetxattr": "ppbs", "link": "pp", "linkat": "dpdpo", "listen": "ni", "listmount": "bbio",
    "listns": "bbio", "listxattr": "pbs", "listxattrat": "dpobs", "llistxattr": "pbs",
    "lookup_dcookie": "xbs", "lremovexattr": "pp", "lseek": "fxi", "lsetxattr": "ppbso",
    "lsm_get_self_attr": "ibbo", "lsm_set_self_attr": "ibso", "lstat": "pb", "madvise": "ali",
    "map_shadow_stack": "alo", "mbind": "alibio", "membarrier": "ooi", "memfd_create": "po",
    "memfd_secret": "o", "migrate_pages": "wibb", "mincore": "alb", "mkdir": "pm", "mkdirat": "dpm",
    "mknod": "pmi", "mknodat": "dpmi", "mlock": "al", "mlock2": "alo", "mlockall": "o",
    "mmap": "aliofs", "modify_ldt": "ibs", "mount": "pppob", "mount_setattr": "dpobs",
    "move_mount": "dpdpo", "move_pages": "wibbbo", "mprotect": "ali", "mq_open": "pOmb",
    "mq_timedreceive": "fbsbt", "mq_timedsend": "fbsit", "mq_unlink": "p", "mremap": "alloa",
    "mseal": "alz", "msgctl": "iib", "msgget": "io", "msgrcv": "ibsio", "msgsnd": "ibso",
    "msync": "ali", "munlock": "al", "munlockall": "", "munmap": "al", "name_to_handle_at": "dpbbo",
    "nanosleep": "tb", "newfstatat": "dpbo", "open": "pOm", "open_by_handle_at": "fbO",
    "open_tree": "dpo", "open_tree_attr": "dpobs", "openat": "dpOm", "openat2": "dpbs",
    "pause": "!", "perf_event_open": "bwifo", "personality": "o", "pidfd_getfd": "ffz",
    "pidfd_open": "wo", "pidfd_send_signal": "fgbz", "pipe": "b", "pipe2": "bo",
    "pivot_root": "pp", "pkey_alloc": "zi", "pkey_free": "i", "pkey_mprotect": "alii",
    "poll": "bij", "ppoll": "bitby", "prctl": "Qbbbb", "pread64": "fbss", "preadv": "fviss",
    "preadv2": "fvisso", "prlimit64": "wibb", "process_madvise": "fviio", "process_mrelease": "fz",
    "process_vm_readv": "wvivi", "process_vm_writev": "wvivi", "pselect6": "ibbbtb",
    "ptrace": "iwab", "pwrite64": "fbss", "pwritev": "fviss", "pwritev2": "fvisso",
    "quotactl": "ipib", "quotactl_fd": "fiib", "read": "fbs", "readahead": "fss", "readlink": "pbs",
    "readlinkat": "dpbs", "readv": "fvi", "reboot": "xxib", "recvfrom": "nbsobb",
    "recvmmsg": "nhiot", "recvmsg": "nho", "remap_file_pages": "alzio", "removexattr": "pp",
    "removexattrat": "dpop", "rename": "pp", "renameat": "dpdp", "renameat2": "dpdpo",
    "request_key": "pppi", "restart_syscall": "!", "rmdir": "p", "rseq": "bsox!",
    "rt_sigaction": "gbby!", "rt_sigpending": "by", "rt_sigprocmask": "ibby",
    "rt_sigqueueinfo": "wgb", "rt_sigreturn": "!", "rt_sigsuspend": "by!",
    "rt_sigtimedwait": "bbty", "rt_tgsigqueueinfo": "wwgb", "sched_get_priority_max": "i",
    "sched_getaffinity": "wsb",
    "sched_getattr": "wbso", "sched_getparam": "wb", "sched_getscheduler": "w",
    "sched_rr_get_interval": "wb", "sched_setaffinity": "wsb", "sched_setattr": "wbo",
    "sched_setparam": "wb", "sched_setscheduler": "wib", "seccomp": "iob!", "select": "ibbbt",
    "semctl": "iiib", "semget": "iio", "semop": "ibi", "semtimedop": "ibit", "sendfile": "ffbs",
    "sendmmsg": "nhio", "sendmsg": "nho", "sendto": "nbsokK", "set_mempolicy": "ibs",
    "set_robust_list": "bs", "set_tid_address": "b", "setdomainname": "ps", "setfsgid": "u",
    "setfsuid": "u", "setgid": "u", "setgroups": "ib", "sethostname": "ps", "setitimer": "itb",
    "setns": "fo", "setpgid": "ww", "setpriority": "iwi", "setregid": "uu", "setresgid": "uuu",
    "setresuid": "uuu", "setreuid": "uu", "setrlimit": "ib", "setsid": "", "setsockopt": "niibs",
    "settimeofday": "tb", "setuid": "u", "setxattr": "ppbso", "setxattrat": "dpopbs",
    "shmat": "iao", "shmctl": "iib", "shmdt": "a", "shmget": "ilo", "shutdown": "ni",
    "sigaltstack": "bb", "signalfd": "fby", "signalfd4": "fbyo", "socket": "FSz",
    "socketpair": "FSzb", "splice": "fbfbso", "stat": "pb", "statfs": "pb", "statmount": "bbso",
    "statx": "dpoob", "swapoff": "p", "swapon": "po", "symlink": "pp", "symlinkat": "pdp",
    "sync_file_range": "fsso", "sysfs": "ipb", "sysinfo": "b", "syslog": "ibs", "tee": "ffso",
    "tgkill": "wwg", "time": "b", "timer_create": "Tbb", "timer_delete": "i",
    "timer_getoverrun": "i", "timer_gettime": "ib", "timer_settime": "iitb", "timerfd_create": "To",
    "timerfd_gettime": "fb", "timerfd_settime": "fitb", "times": "b", "tkill": "wg",
    "truncate": "ps", "umask": "m", "umount2": "po", "uname": "b", "unlink": "p",
    "unlinkat": "dpo", "unshare": "o", "userfaultfd": "o", "ustat": "xb", "utime": "pb",
    "utimensat": "dpto", "utimes": "pt", "vfork": "C!", "vmsplice": "fvio", "wait4": "wboz",
    "waitid": "iwboz", "write": "fbs", "writev": "fvi",
}  # fmt: skip


# Reaches the machine or the kernel's rarest code with no wall but a lack of rights, and teaches
# nothing of ours: not made even where all is allowed.
HEAVY = frozenset({
    "bpf", "delete_module", "finit_module", "init_module", "io_uring_enter", "io_uring_register",
    "io_uring_setup", "ioperm", "iopl", "kexec_file_load", "kexec_load", "modify_ldt",
    "perf_event_open", "reboot", "swapoff", "swapon", "sync", "syncfs", "syslog", "userfaultfd",
})  # fmt: skip

_OPEN = """\
extends = "native"
proc = "masked"
cgroup_files = true
why = "every call: what is left are the walls beside the filter"

[[syscalls]]
allow = {names}
why = "the other walls are under test"
"""


def open_policy() -> str:
    """The text of a policy that allows every call, but for HEAVY ones.

    And but for prlimit64 of others: init has the job's uid, and without fds it ends, and so does
    the job, by an error of ours. That is the one call that a policy must not open.
    """
    names = {syscall_name(number) for number in NUMBERS} - HEAVY - {"prlimit64"}
    return _OPEN.format(names=sorted(n for n in names if not n.startswith("syscall_")))


def killed(policy: Policy) -> frozenset[str]:
    """The calls that end a job of this policy, whatever their arguments."""
    return frozenset(
        name
        for rule in policy.syscalls
        if rule.action == "kill" and not rule.where
        for name in rule.names
    )


def named(name: str) -> int:
    """The number of a call on this machine."""
    return next(number for number in NUMBERS if syscall_name(number) == name)


def table(without: frozenset[str], *, foreign: bool) -> str:
    """The calls of a job, as syscall_program.c reads them: all but `without`.

    `foreign`: also by ABIs that are none of ours, and requests that type into terminals.
    """
    return ",".join(_entries(without, foreign))


def _entries(without: frozenset[str], foreign: bool) -> Iterator[str]:
    for number in NUMBERS:
        name = syscall_name(number)
        if name not in without and (foreign or number not in _UNFILTERED):
            shape = _SHAPES.get(name, "xxxxxx")
            kinds = shape.rstrip("!") or "x"
            yield f"{number} {kinds}{' !' if '!' in shape else ''}"
            if foreign and ARCH == _X86_64 and number % 16 == 0:
                yield f"{number | _X32_BIT} {kinds} !"
    if foreign:
        yield f"{named('ioctl')} fRb !"
        if ARCH == _X86_64:
            yield "20 I !"  # getpid
