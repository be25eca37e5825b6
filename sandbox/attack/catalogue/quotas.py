"""Resource bombs: twice and more of what the job may have, of everything that a kernel can run out
of. The controls take as much, of a host without limits for this user."""

import functools
import os
import struct
from errno import EAGAIN, EMFILE, ENOSPC

from sandbox.attack.attack import BARE, Attack, add, attack, by
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets
from sandbox.inside.script import LATE_AT  # empty memory of every attack

_KIND = "quotas"
_MIB = 1 << 20
_MEMORY = {"memory_bytes": 16 * _MIB, "disk_bytes": 64 * _MIB, "disk_inodes": 4096, "fds": 512}
_DISK = {"disk_bytes": _MIB, "disk_inodes": 64}
_BOMB_BYTES = 48 * _MIB
_PROT_READ, _PROT_WRITE = 1, 2
_MAP_SHARED, _MAP_PRIVATE, _MAP_ANONYMOUS = 1, 2, 0x20
_MAP_NORESERVE, _MAP_POPULATE = 0x4000, 0x8000
_MAP_HUGETLB, _MADV_MERGEABLE = 0x40000, 12
_SETPIPE_SZ = 1031
_SPARSE_BYTES = 8 << 30  # of zero pages: 16 MiB of page tables
_SIGCHLD, _CHILD_SETTID = 17, 0x1000000
_THREAD = 0x50F00  # CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM
_DONTWAIT = 0x40


def _map(flags: int, script: AttackScript, targets: Targets) -> None:
    script.call("mmap", 0, _BOMB_BYTES, _PROT_READ | _PROT_WRITE, flags | _MAP_POPULATE, -1, 0)


for _name, _flags in (
    ("private", _MAP_PRIVATE | _MAP_ANONYMOUS), ("shared", _MAP_SHARED | _MAP_ANONYMOUS),
):  # fmt: skip
    add(
        Attack(
            f"memory_{_name}", _KIND, f"Fills 48 MiB of {_name} anonymous memory.", BARE,
            functools.partial(_map, _flags), verdicts=("memory",), limits=_MEMORY,
        )
    )  # fmt: skip


@attack(_KIND, BARE, verdicts=("memory",), limits=_MEMORY)
def memory_memfd(script: AttackScript, targets: Targets) -> None:
    """Fills a memfd of 48 MiB."""
    fd = script.open("memfd_create", b"bomb", 0)
    script.call("fallocate", fd, 0, 0, _BOMB_BYTES)


@attack(_KIND, BARE, verdicts=("memory",), limits=_MEMORY)
def memory_files(script: AttackScript, targets: Targets) -> None:
    """Fills a file of 48 MiB in /dev/shm, which is memory."""
    path = b"/dev/shm/bomb-" + targets.token
    fd = script.open("openat", AT_FDCWD, path, os.O_RDWR | os.O_CREAT, 0o600)
    script.call("unlinkat", AT_FDCWD, path, 0)
    script.call("fallocate", fd, 0, 0, _BOMB_BYTES)


@attack(_KIND, BARE, verdicts=("memory",), limits={**_MEMORY, "fds": 1024})
def memory_pipes(script: AttackScript, targets: Targets) -> None:
    """Fills 400 pipes of 64 KiB."""
    with script.loop():
        for _ in range(400):
            script.call("pipe2", script.space(8), 0)
            _, write_fd = script.take_fds(2)
            script.call("write", write_fd, LATE_AT, 64 << 10)


@attack(_KIND, BARE)
def grown_pipe(script: AttackScript, targets: Targets) -> None:
    """Grows the pipe that is its stdout, which counts against its runner, as those of all jobs."""
    script.call("fcntl", 1, _SETPIPE_SZ, _MIB)


@attack(_KIND, BARE, verdicts=("memory",), limits=_MEMORY)
def memory_sockets(script: AttackScript, targets: Targets) -> None:
    """Fills the buffers of 200 sockets, with 160 KiB each."""
    with script.loop():
        for _ in range(200):
            script.call("socketpair", 1, 2, 0, script.space(8))
            write_fd, _ = script.take_fds(2)
            for _ in range(2):
                script.call("sendto", write_fd, LATE_AT, 80 << 10, _DONTWAIT, 0, 0)


@attack(_KIND, BARE)
def memory_huge_pages(script: AttackScript, targets: Targets) -> None:
    """Takes a page of the host's pool of huge ones, which no memory limit counts."""
    flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_HUGETLB
    script.call("mmap", 0, 2 * _MIB, _PROT_READ | _PROT_WRITE, flags, -1, 0)


@attack(_KIND, BARE)
def memory_merged(script: AttackScript, targets: Targets) -> None:
    """Has its memory merged with that of others, to find out what is in theirs (KSM)."""
    script.call("madvise", LATE_AT, 4096, _MADV_MERGEABLE)


@attack(_KIND, BARE, verdicts=("memory",), limits={**_MEMORY, "memory_bytes": 8 * _MIB})
def memory_page_tables(script: AttackScript, targets: Targets) -> None:
    """Fills 16 MiB of page tables, with hardly a page behind them."""
    flags = _MAP_PRIVATE | _MAP_ANONYMOUS | _MAP_NORESERVE | _MAP_POPULATE
    script.call("mmap", 0, _SPARSE_BYTES, _PROT_READ, flags, -1, 0)


@attack(_KIND, BARE, by("quotas", fallocate=ENOSPC), limits=_DISK)
def disk_bytes(script: AttackScript, targets: Targets) -> None:
    """Fills a file of 4 MiB, where 1 MiB may be."""
    path = b"/tmp/bomb-" + targets.token
    fd = script.open("openat", AT_FDCWD, path, os.O_RDWR | os.O_CREAT, 0o600)
    script.call("unlinkat", AT_FDCWD, path, 0)
    script.call("fallocate", fd, 0, 0, 4 * _MIB)


@attack(_KIND, BARE, by("quotas", mkdirat=ENOSPC), limits=_DISK)
def disk_inodes(script: AttackScript, targets: Targets) -> None:
    """Makes 100 directories, where 64 inodes may be."""
    paths = [b"/tmp/bomb-%s-%d" % (targets.token, n) for n in range(100)]
    with script.loop():
        for path in paths:
            script.call("mkdirat", AT_FDCWD, path, 0o700)
    with script.loop():
        for path in paths:
            script.call("unlinkat", AT_FDCWD, path, 0x200)


@attack(_KIND, BARE, by("quotas", symlinkat=ENOSPC), limits=_DISK)
def disk_links(script: AttackScript, targets: Targets) -> None:
    """Makes 100 symbolic links, where 64 inodes may be."""
    paths = [b"/dev/shm/bomb-%s-%d" % (targets.token, n) for n in range(100)]
    with script.loop():
        for path in paths:
            script.call("symlinkat", b"x", AT_FDCWD, path)
    with script.loop():
        for path in paths:
            script.call("unlinkat", AT_FDCWD, path, 0)


@attack(_KIND, BARE, by("quotas", mkdirat=ENOSPC), limits=_DISK)
def disk_depth(script: AttackScript, targets: Targets) -> None:
    """Makes a tree of 100 levels, where 64 inodes may be."""
    path = b"/tmp/deep-" + targets.token
    paths = [path + b"/d" * depth for depth in range(100)]
    with script.loop():
        for each in paths:
            script.call("mkdirat", AT_FDCWD, each, 0o700)
    with script.loop():
        for each in reversed(paths):
            script.call("unlinkat", AT_FDCWD, each, 0x200)


@attack(_KIND, BARE, by("quotas", openat=EMFILE), limits={"fds": 32})
def descriptors(script: AttackScript, targets: Targets) -> None:
    """Opens 100 files, where 32 may be open."""
    with script.loop():
        for _ in range(100):
            script.open_path(b"/dev/null", os.O_RDONLY)


@attack(_KIND, BARE, by("quotas", clone=EAGAIN), verdicts=("processes",), limits={"processes": 16})
def processes(script: AttackScript, targets: Targets) -> None:
    """Has 40 children at once, where 16 processes may be."""
    with script.loop():
        for _ in range(40):
            # A child's own number is written into its memory, and so it sleeps for as many seconds;
            # its parent, in whose memory there is a zero, does not.
            pause = script.memory(bytes(16))
            script.call("clone", _SIGCHLD | _CHILD_SETTID, 0, 0, pause, pause)
            script.call("ppoll", 0, 0, pause, 0)


@attack(_KIND, BARE, by("quotas", clone=EAGAIN), verdicts=("processes",), limits={"processes": 16})
def zombies(script: AttackScript, targets: Targets) -> None:
    """Leaves 40 children unreaped, where 16 processes may be."""
    gate = script.memory(bytes(8))
    with script.loop():
        for _ in range(40):
            # A child finds a number where its parent finds 0, and ends.
            script.call("clone", _SIGCHLD | _CHILD_SETTID, 0, 0, gate, gate)
            script.expect(gate, bytes(4))


@attack(_KIND, BARE, by("quotas", clone=EAGAIN), verdicts=("processes",), limits={"processes": 4})
def threads(script: AttackScript, targets: Targets) -> None:
    """Has 63 threads at once, where 4 may be: each goes on as the one that made it does."""
    stack = LATE_AT + _MIB  # of all of them: they put there nothing but where they all return to
    for _ in range(6):
        script.call("clone", _THREAD, stack, 0, 0, 0)
    pause = script.data(struct.pack("<2q", 0, 300_000_000))
    script.call("ppoll", 0, 0, pause, 0)


@attack(_KIND, BARE, by("quotas", openat=ENOSPC), limits={"fds": 512})
def terminals(script: AttackScript, targets: Targets) -> None:
    """Opens 100 terminals, where 64 may be: the host has one number of them for everybody."""
    with script.loop():
        for _ in range(100):
            script.open_path(b"/dev/ptmx", os.O_RDWR | os.O_NOCTTY)


@attack(_KIND, BARE, by("quotas", timer_create=EAGAIN))
def timers(script: AttackScript, targets: Targets) -> None:
    """Makes 2000 timers, where 1024 may be: its runner has one number of them for all jobs."""
    with script.loop():
        for _ in range(2000):
            script.call("timer_create", 1, 0, script.space(8))


def _many(
    call: str, arguments: tuple[int, ...], count: int, script: AttackScript, targets: Targets
) -> None:
    with script.loop():
        for _ in range(count):
            script.call(call, *arguments)


for _name, _call, _arguments, _refusal in (
    ("epolls", "epoll_create1", (0,), EMFILE),
    ("watches", "inotify_init1", (0,), EMFILE),
    ("clocks", "timerfd_create", (1, 0), EMFILE),
):
    add(
        Attack(
            f"descriptors_of_{_name}", _KIND, f"Makes 100 by {_call}, where 32 fds may be.", BARE,
            functools.partial(_many, _call, _arguments, 100), by("quotas", **{_call: _refusal}),
            limits={"fds": 32},
        )
    )  # fmt: skip


@attack(_KIND, BARE, verdicts=("output",), limits={"output_bytes": 4096})
def output(script: AttackScript, targets: Targets) -> None:
    """Writes 64 KiB, where 4 KiB may be written."""
    with script.loop():
        for _ in range(16):
            script.call("write", 2, LATE_AT, 4096)
