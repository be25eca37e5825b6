"""What no policy of the package may ever open, and why; whatever rules are written, it is shut."""

from collections.abc import Iterator

import pytest
from supervisor.bpf import Call, run
from supervisor.classes import arguments
from supervisor.oracle import ARCHES, numbers

from sandbox.spec.policy import load_policy, policy_names
from sandbox.supervisor.seccomp import compile_filter

pytestmark = pytest.mark.usefixtures("nothing_kept")

ALLOW = 0x7FFF0000
HIGH = 0xDEADBEEF << 32  # of a register, where the kernel reads an int

# Reason -> calls that are not allowed with any arguments.
NEVER = {
    "the view is made of mounts: whoever makes one writes the view": (
        "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
        "open_tree", "open_tree_attr", "pivot_root", "umount2",
    ),
    "tells of mounts and namespaces that the view hides": ("listmount", "listns", "statmount"),
    "a new root is a way around the view, and needs no file": ("chroot",),
    "a user namespace gives all capabilities over the others, most of the kernel's bugs with it": (
        "setns", "unshare",
    ),
    "its flags are behind a pointer, so that no filter could refuse a namespace": ("clone3",),
    "its work is behind a pointer and done by threads that no filter sees": (
        "io_uring_enter", "io_uring_register", "io_uring_setup",
    ),
    "asynchronous I/O that runs on after its caller, with a history of bugs": (
        "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_setup", "io_submit",
    ),
    "reads, writes or drives another process: init has the job's uid": (
        "kcmp", "migrate_pages", "move_pages", "pidfd_getfd", "process_madvise",
        "process_mrelease", "process_vm_readv", "process_vm_writev", "ptrace",
    ),
    "programs inside the kernel": ("bpf", "uprobe", "uretprobe"),
    "watches the whole machine, with a history of escapes": ("perf_event_open",),
    "keys outlive the job, and belong to a uid and not to a namespace": (
        "add_key", "keyctl", "request_key",
    ),
    "stops the kernel inside a copy from user memory, which turns races into escapes": (
        "userfaultfd",
    ),
    "opens files by number, past every directory (shocker)": ("open_by_handle_at",),
    "watches files that others use: a root's layers are the same for all jobs": (
        "fanotify_init", "fanotify_mark", "inotify_add_watch", "inotify_init", "inotify_init1",
        "inotify_rm_watch",
    ),
    "code of the kernel": (
        "create_module", "delete_module", "finit_module", "get_kernel_syms", "init_module",
        "query_module",
    ),
    "another kernel": ("kexec_file_load", "kexec_load", "reboot"),
    "hardware": ("ioperm", "iopl"),
    "the machine's clocks, which no namespace holds": (
        "adjtimex", "clock_adjtime", "clock_settime", "settimeofday",
    ),
    "the machine's disks, quotas and accounts": (
        "acct", "lookup_dcookie", "nfsservctl", "quotactl", "quotactl_fd", "swapoff", "swapon",
        "sysfs", "_sysctl", "ustat",
    ),
    "flushes what others wrote, as slowly as they wrote much": ("sync", "syncfs"),
    "the kernel's log tells addresses, and what others do": ("syslog",),
    "names that prove another namespace": ("setdomainname", "sethostname"),
    "more rights: the payload has none, and is to have none": ("capset", "setgroups"),
    "a filter of the job's own can hide what ours would notify": ("seccomp",),
    "walls are ours to build; a full stack of them is a way to exhaust (16 layers)": (
        "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
        "lsm_set_self_attr",
    ),
    "pages of the caller's in a pipe: Dirty Pipe and its kind": ("vmsplice",),
    "memory that cannot be swapped, charged or dumped as other memory is": (
        "memfd_secret", "mlockall", "remap_file_pages",
    ),
    "16-bit segments, with a history of escapes": ("modify_ldt",),
    "real time and deadlines: one thread could have a core for itself": (
        "ioprio_set", "sched_setattr", "sched_setparam", "sched_setscheduler",
    ),
    "queues that are counted for a uid; nobody needs them": (
        "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink",
    ),
    "hangs up a terminal that is another's": ("vhangup",),
    "executes or loads by a path, long dead": ("uselib",),
}  # fmt: skip

# (call, first arguments) -> why these are not allowed, where the call itself is.
NEW = "a namespace: a user namespace gives all capabilities over the others"
TYPES = "types into the terminal of whoever reads from it"
OOB = "out-of-band bytes on local sockets, whose bugs were used from inside sandboxes"
WEAKENS = "weakens the process for what it executes next"
NEVER_WITH = {
    **{("clone", 1 << bit | rest): NEW for bit in (17, 25, 26, 27, 28, 29, 30)
       for rest in (0, 17, 0x3D0F00, 0x4111)},
    ("ioctl", 0, 0x5412): TYPES,  # TIOCSTI
    ("ioctl", 0, 0x541C): TYPES,  # TIOCLINUX
    ("ioctl", 0, 0x541D): "takes over the console's output",  # TIOCCONS
    ("ioctl", 0, 0x5423): "loads a line discipline: code of old drivers",  # TIOCSETD
    ("ioctl", 0, 0x40049409): "writes into files by reference",  # FICLONE
    ("ioctl", 0, 0x4B3A): "modes of the machine's console",  # KDSETMODE
    ("ioctl", 0, 0xAE01): "a virtual machine: hardware",  # KVM_CREATE_VM
    ("ioctl", 0, 0x8912): "network interfaces",  # SIOCGIFCONF
    ("ioctl", 0, 0xB701): "another process's namespace as a file",  # NS_GET_USERNS
    ("ioctl", 0, 0xC0502100): "answers for another's call",  # SECCOMP_IOCTL_NOTIF_RECV
    **{("setsockopt", 3, 1, option): "programs inside the kernel" for option in (26, 50, 51, 52)},
    ("sendmsg", 3, 0, 1): OOB, ("sendto", 3, 0, 0, 0x41): OOB, ("sendmmsg", 3, 0, 1, 1): OOB,
    ("mmap", 0, 4096, 3, 0x40022): "huge pages, which no memory limit counts",  # MAP_HUGETLB
    ("mmap", 0, 4096, 3, 0x54040022): "huge pages of another size",
    ("shmget", 0, 4096, 0o5600): "huge pages, which no memory limit counts",  # SHM_HUGETLB
    ("madvise", 0, 4096, 12): "tells which pages others have",  # MADV_MERGEABLE
    **{(call, 1): "wakes init, on CPU time that is not the job's" for call in (
        "kill", "pidfd_open", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill")},
    ("recvmsg", 3, 0, 1): OOB, ("recvfrom", 3, 0, 0, 1): OOB, ("recvmmsg", 3, 0, 1, 1): OOB,
    ("memfd_create", 0, 4): "huge pages, which no memory limit counts",  # MFD_HUGETLB
    ("memfd_create", 0, 0x54000007): "huge pages of another size",
    ("fcntl", 0, 0x400): "makes others wait who open the file",  # F_SETLEASE
    ("fcntl", 0, 0x402): "watches files that others use",  # F_NOTIFY
    **{("socket", family): "network, netlink, crypto or virtual machines: most of the kernel"
       for family in (2, 10, 15, 16, 17, 21, 29, 30, 31, 38, 40, 42, 44)},
    ("socketpair", 30): "TIPC: code that nobody looks after",
    ("prctl", 4): "dumpable again: another of the job could read what init hides",
    ("prctl", 22): "a filter of its own can hide what ours would notify",  # PR_SET_SECCOMP
    ("prctl", 24): "capabilities",  # PR_CAPBSET_DROP
    ("prctl", 28): "capabilities",  # PR_SET_SECUREBITS
    ("prctl", 35): "moves its own name and arguments over other memory",  # PR_SET_MM
    ("prctl", 36): "takes children that init is to reap",  # PR_SET_CHILD_SUBREAPER
    ("prctl", 47): "capabilities",  # PR_CAP_AMBIENT
    ("prctl", 53): "mitigations of the processor off",  # PR_SET_SPECULATION_CTRL
    ("prctl", 59): "answers its own calls: hides them",  # PR_SET_SYSCALL_USER_DISPATCH
    ("prctl", 62): "a share of a core for itself",  # PR_SCHED_CORE
    ("prctl", 0x59616D61): "lets others trace it",  # PR_SET_PTRACER
    ("personality", 0x400000): WEAKENS,  # READ_IMPLIES_EXEC
    ("personality", 0x40000): WEAKENS,  # ADDR_NO_RANDOMIZE
    ("personality", 0x100000): WEAKENS,  # MMAP_PAGE_ZERO
    ("personality", 8): "foreign ABIs",  # PER_LINUX32
    ("arch_prctl", 0x1012): "faults on cpuid: odd code",  # ARCH_SET_CPUID
    ("arch_prctl", 0x1023): "AMX: eight more KiB at each switch",  # ARCH_REQ_XCOMP_PERM
    ("arch_prctl", 0x5001): "shadow stacks: odd code",  # ARCH_SHSTK_ENABLE
    ("prlimit64", 1): "limits of init",
    ("sched_setaffinity", 1): "cores of init",
    ("setpriority", 0, 1): "init", ("setpriority", 1, 0): "a group that init may be in",
    ("setpriority", 2, 0): "all of the uid: init too",
}  # fmt: skip


def opened(filter_: bytes, arch: str) -> Iterator[str]:
    """What a filter allows of all that, one by one."""
    known = numbers(arch)
    for reason, calls in NEVER.items():
        for call in known.keys() & set(calls):
            for registers in arguments(filter_, ARCHES[arch], known[call], {}):
                if run(filter_, Call(ARCHES[arch], known[call], registers)) == ALLOW:
                    yield f"{call}{registers}: {reason}"
    for (call, *first), reason in NEVER_WITH.items():
        for high in (0, HIGH):
            registers = tuple(value | high for value in (*first, 0, 0, 0, 0, 0)[:6])
            if call in known and run(filter_, Call(ARCHES[arch], known[call], registers)) == ALLOW:
                yield f"{call}{tuple(map(hex, registers))}: {reason}"


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("name", policy_names())
def test_no_policy_ever_opens_these(name: str, arch: str) -> None:
    filter_ = compile_filter(load_policy(name), listener=False, arch=ARCHES[arch]).program
    assert list(opened(filter_, arch)) == []


def test_each_of_them_is_seen_where_everything_is_open() -> None:
    allows_all = bytes.fromhex("0600 0000 0000 ff7f")  # return SECCOMP_RET_ALLOW
    found = {text.split("(")[0] for text in opened(allows_all, "x86_64")}
    assert found == {call for calls in NEVER.values() for call in calls} | {
        call for call, *_ in NEVER_WITH
    }


def test_no_call_is_named_twice() -> None:
    named = [call for calls in NEVER.values() for call in calls]
    assert len(named) == len(set(named))
    assert not {call for call, *_ in NEVER_WITH} & set(named)
