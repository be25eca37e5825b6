"""What every thread of some processes waits for, as /proc shows it to the lookout.

Only from the base user namespace, with the lookout's two rights, the kernel lets anybody read what
a process of another uid waits for.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import struct

__all__ = ["CALLS", "HIDDEN", "OTHER", "OWN", "READ", "WRITE", "look"]

# What a thread waits for: a byte from a pipe, room in one, or others of its own job; or anything
# else, such as time; or nobody may see it.
READ, WRITE, OWN, OTHER, HIDDEN = b"r", b"w", b"own", b"else", b"hidden"
_MOST_THREADS = 256  # of all processes; who has more is not looked at
_MOST_POLLED = 16  # fds of one poll
_PIECE_BYTES = 8192  # more than a status is
_STATUS = re.compile(
    rb"^State:\t(\S).*^SigCgt:\t(\S+)$.*"
    rb"^voluntary_ctxt_switches:\t(\d+)\nnonvoluntary_ctxt_switches:\t(\d+)$",
    re.MULTILINE | re.DOTALL,
)
_ALARM = 1 << signal.SIGALRM - 1
_POLLFD = struct.Struct("ihh")
_POLL_READ, _POLL_WRITE = 0x20C3, 0x0304  # POLLIN, PRI, RDNORM, RDBAND, RDHUP; OUT, WRNORM, WRBAND
_FUTEX_OPERATION = 0x7F  # without FUTEX_PRIVATE_FLAG and FUTEX_CLOCK_REALTIME
_FUTEX_WAITS = (0, 9)  # FUTEX_WAIT, FUTEX_WAIT_BITSET
# What we can tell about, and its calls. <asm/unistd_64.h>, <asm-generic/unistd.h>
CALLS = {
    "x86_64": {
        "read": 0, "readv": 19, "write": 1, "writev": 20, "poll": 7, "ppoll": 271, "futex": 202,
        "wait4": 61, "waitid": 247,
    },
    "aarch64": {
        "read": 63, "readv": 65, "write": 64, "writev": 66, "ppoll": 73, "futex": 98,
        "wait4": 260, "waitid": 95,
    },
}  # fmt: skip
_NAMES = {number: name for name, number in CALLS[os.uname().machine].items()}


def look(pids: list[int]) -> bytes:
    """Lines: pid, thread, times it was switched, and what it waits for, each READ and WRITE with
    the device and inode of its pipe.
    """
    lines: list[bytes] = []
    for pid in pids:
        try:
            threads = os.listdir(b"/proc/%d/task" % pid)
        except OSError:  # it has ended
            threads = [b"%d" % pid]
        for thread in threads:
            if len(lines) == _MOST_THREADS:
                return b"\n".join([*lines, b"%d %d 0 %b" % (pid, pid, OTHER)])
            switches, waits = _look_at(b"/proc/%d/task/%b" % (pid, thread), b"/proc/%d" % pid)
            lines.append(b"%d %b %d %b" % (pid, thread, switches, b" ".join(waits)))
    return b"\n".join(lines)


def _look_at(thread: bytes, process: bytes) -> tuple[int, list[bytes]]:
    try:
        found = _STATUS.search(_read(thread + b"/status"))
        if found is None:
            return 0, [OTHER]
        state, caught, *switches = found.groups()
        count = sum(map(int, switches))
        if state in b"ZX":
            return count, [OWN]  # an ended first thread, pthread_exit(3)
        # A timer may end any wait: those of timer_create(2) are told, those of alarm(2) are not.
        if state != b"S" or int(caught, 16) & _ALARM or _read(process + b"/timers"):
            return count, [OTHER]
        return count, _waits(thread, _read(thread + b"/syscall").split())
    except PermissionError:  # it is not dumpable
        return 0, [HIDDEN]
    except (OSError, ValueError):
        return 0, [OTHER]


def _waits(thread: bytes, words: list[bytes]) -> list[bytes]:
    """What the blocked call is for: proc_pid_syscall(5) shows its number and six arguments."""
    if len(words) < 7:
        return [OTHER]
    name = _NAMES.get(int(words[0]))
    first, second, third, fourth = (int(word, 16) for word in words[1:5])
    if name in ("read", "readv"):
        return [_pipe(thread, first, READ)]
    if name in ("write", "writev"):
        return [_pipe(thread, first, WRITE)]
    if name in ("wait4", "waitid"):
        return [OWN]
    if name == "futex":
        waits = second & _FUTEX_OPERATION in _FUTEX_WAITS and not fourth  # without an end
        return [OWN if waits else OTHER]
    if (name == "poll" and third & 1 << 31) or (name == "ppoll" and not third):
        return _polled(thread, first, second)
    return [OTHER]


def _polled(thread: bytes, address: int, count: int) -> list[bytes]:
    if not 0 < count <= _MOST_POLLED:
        return [OTHER]
    fd = os.open(thread + b"/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(fd, count * _POLLFD.size, address)
    finally:
        os.close(fd)
    waits = []
    for polled, events, _ in _POLLFD.iter_unpack(data):
        if polled < 0:
            continue
        if events and not events & ~_POLL_READ:
            waits.append(_pipe(thread, polled, READ))
        elif events and not events & ~_POLL_WRITE:
            waits.append(_pipe(thread, polled, WRITE))
        else:
            waits.append(OTHER)
    return waits or [OTHER]


def _pipe(thread: bytes, fd: int, wait: bytes) -> bytes:
    found = os.stat(b"%b/fd/%d" % (thread, fd))
    if not stat.S_ISFIFO(found.st_mode):
        return OTHER
    return b"%b:%d:%d" % (wait, found.st_dev, found.st_ino)


def _read(path: bytes) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PIECE_BYTES)
    finally:
        os.close(fd)
