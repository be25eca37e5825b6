"""The numbers of the system calls that attacks make. <asm/unistd_64.h>, <asm-generic/unistd.h>

A test compares them with what libseccomp knows.
"""

import os

__all__ = ["BY_MACHINE", "NUMBERS"]

_NONE = -1  # no call of that machine
# name: on x86_64, on aarch64
_TABLE = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "arch_prctl": (158, _NONE),
    "bind": (49, 200), "bpf": (321, 280), "capset": (126, 91), "chdir": (80, 49),
    "chroot": (161, 51), "clock_adjtime": (305, 266), "clock_settime": (227, 112),
    "clone": (56, 220), "clone3": (435, 435), "close": (3, 57), "connect": (42, 203),
    "delete_module": (176, 106), "epoll_create1": (291, 20), "execve": (59, 221),
    "exit_group": (231, 94), "fallocate": (285, 47), "fanotify_init": (300, 262),
    "fchmodat": (268, 53), "fcntl": (72, 25), "finit_module": (313, 273), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433), "getdents64": (217, 61),
    "getpgid": (121, 155), "getpid": (39, 172), "init_module": (175, 105),
    "inotify_add_watch": (254, 27), "inotify_init1": (294, 26), "io_setup": (206, 0),
    "io_uring_setup": (425, 425), "ioctl": (16, 29), "ioperm": (173, _NONE), "iopl": (172, _NONE),
    "ioprio_set": (251, 30), "kcmp": (312, 272), "kexec_load": (246, 104), "keyctl": (250, 219),
    "kill": (62, 129), "landlock_create_ruleset": (444, 444), "linkat": (265, 37),
    "lookup_dcookie": (212, 18), "madvise": (28, 233), "map_shadow_stack": (453, 453),
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "migrate_pages": (256, 238),
    "mkdirat": (258, 34), "mlockall": (151, 230), "mmap": (9, 222), "modify_ldt": (154, _NONE),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "move_pages": (279, 239), "mq_open": (240, 180), "mq_unlink": (241, 181), "msgget": (68, 186),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "openat": (257, 56), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pipe2": (293, 59), "pivot_root": (155, 41), "ppoll": (271, 73), "prctl": (157, 167),
    "pread64": (17, 67), "prlimit64": (302, 261), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "pwrite64": (18, 68), "quotactl": (179, 60), "read": (0, 63), "readlinkat": (267, 78),
    "reboot": (169, 142), "renameat2": (316, 276), "request_key": (249, 218),
    "rt_sigprocmask": (14, 135), "rt_sigqueueinfo": (129, 138), "sched_setaffinity": (203, 122),
    "sched_setscheduler": (144, 119), "seccomp": (317, 277), "semget": (64, 190),
    "sendmsg": (46, 211), "sendto": (44, 206), "set_mempolicy": (238, 237),
    "setdomainname": (171, 162), "setgroups": (116, 159), "sethostname": (170, 161),
    "setns": (308, 268), "setpriority": (141, 140), "setresgid": (119, 149),
    "setresuid": (117, 147), "setsid": (112, 157), "setsockopt": (54, 208),
    "settimeofday": (164, 170), "setxattr": (188, 5), "shmctl": (31, 195), "shmget": (29, 194),
    "socket": (41, 198), "socketpair": (53, 199), "splice": (275, 76), "swapoff": (168, 225),
    "swapon": (167, 224), "symlinkat": (266, 36), "syslog": (103, 116), "tgkill": (234, 131),
    "timer_create": (222, 107), "timerfd_create": (283, 85), "timerfd_settime": (286, 86),
    "tkill": (200, 130), "truncate": (76, 45), "umount2": (166, 39), "uname": (63, 160),
    "unlinkat": (263, 35), "unshare": (272, 97), "userfaultfd": (323, 282), "utimensat": (280, 88),
    "vhangup": (153, 58), "vmsplice": (278, 75), "wait4": (61, 260), "write": (1, 64),
}  # fmt: skip
BY_MACHINE = {
    machine: {name: row[column] for name, row in _TABLE.items() if row[column] != _NONE}
    for column, machine in enumerate(("x86_64", "aarch64"))
}
NUMBERS = BY_MACHINE[os.uname().machine]
