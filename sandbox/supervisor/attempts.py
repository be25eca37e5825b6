"""What a process like our zygote may really do here: each thing is tried, in a child that ends."""

import errno
import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from sandbox.kernel import processes as kernel
from sandbox.kernel.call import syscall
from sandbox.kernel.confinement import (
    landlock_create_ruleset,
    landlock_restrict_self,
    seccomp_load,
)
from sandbox.kernel.mounts import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    mount,
    mount_setattr,
    move_mount,
    open_tree,
    pivot_root,
)
from sandbox.spec.errors import HostError, SandboxError
from sandbox.supervisor.identity import BaseMap, write_maps
from sandbox.supervisor.remedies import PROCESSES

__all__ = ["Attempts", "attempt"]

_LANDLOCK_EXECUTE = 1
_MFD_EXEC = 0x10  # <linux/memfd.h>, Linux 6.3
_ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # BPF_RET of SECCOMP_RET_ALLOW


class Attempts(NamedTuple):
    """What came of it."""

    codes: Mapping[str, int]  # by name: 0, or the errno; without "user", little else was tried
    base: BaseMap  # the maps that were in force
    maps_problem: str  # "" where they were written


def attempt(base: BaseMap) -> Attempts:
    """Try every namespace, mount and lock once, with the maps `base`. Leaves nothing behind.

    For a process of one thread, an ordinary user's or root's. Raises HostError: no process can be
    started.
    """
    answers_fd, child_answers_fd = os.pipe()
    child_mapped_fd, mapped_fd = os.pipe()
    owner = (base.uid, base.gid) if os.geteuid() == 0 else None
    try:
        pid = os.fork()
    except OSError as error:
        raise HostError(f"no process can be started: {error.strerror}; fix: {PROCESSES}") from error
    if pid == 0:
        with suppress(BaseException):
            os.close(answers_fd)
            os.close(mapped_fd)
            _child(owner, child_answers_fd, child_mapped_fd)
        os._exit(0)
    os.close(child_answers_fd)
    os.close(child_mapped_fd)
    problem = ""
    with open(answers_fd) as answers:
        codes: dict[str, int] = {}
        while "user" not in codes and (line := answers.readline()):
            codes |= json.loads(line)
        if codes.get("user") == 0:
            try:
                base = write_maps(pid, base)
                os.write(mapped_fd, b"1")
            except SandboxError as error:
                problem = str(error)
        os.close(mapped_fd)
        for line in answers:
            codes |= json.loads(line)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        # By a filter around us, for the first that it gave no answer to; seccomp(2).
        tried = ("memfd", "user", *(name for name, _ in _ATTEMPTS))
        codes[next(name for name in tried if name not in codes)] = errno.EPERM
    return Attempts(codes, base, problem)


def _child(owner: tuple[int, int] | None, answers_fd: int, mapped_fd: int) -> None:
    def answer(name: str, code: int) -> None:
        os.write(answers_fd, json.dumps({name: code}).encode() + b"\n")

    def become_owner() -> None:
        if owner is not None:
            uid, gid = owner
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
            kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else our maps in /proc are root's
        kernel.unshare(kernel.CLONE_NEWUSER)

    answer("memfd", _errno_of(_memfd))
    answer("user", _errno_of(become_owner))
    if not os.read(mapped_fd, 1):
        return
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    codes: dict[str, int] = {}
    for name, try_it in _ATTEMPTS:
        # Without mounts of our own, the next ones would be made on the host's directories.
        if name in ("overlay", "device", "pivot", "setns", "proc") and codes["mount"]:
            continue
        codes[name] = _errno_of(try_it)
        answer(name, codes[name])


def _errno_of(try_it: Callable[[], object]) -> int:
    try:
        try_it()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _mounts() -> None:
    kernel.unshare(kernel.CLONE_NEWNS)
    mount(b"none", b"/", b"", MS_REC | MS_PRIVATE)
    mount(b"attempt", b"/tmp", b"tmpfs", MS_NOSUID | MS_NODEV, b"size=64k")
    for name in ("layer", "root", "proc"):
        os.mkdir(f"/tmp/{name}")


def _overlay() -> None:
    options = b"lowerdir=/tmp/layer:/usr"
    mount(b"attempt", b"/tmp/root", b"overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options)


def _device() -> None:
    # As a sandbox gets its mounts: detached, changed, and attached at an open file.
    target_fd = os.open("/tmp/null", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        tree_fd = open_tree(b"/dev/null")
        try:
            mount_setattr(tree_fd, MS_NOSUID | MS_NOEXEC)
            move_mount(tree_fd, target_fd)
        finally:
            os.close(tree_fd)
    finally:
        os.close(target_fd)


def _pivot() -> None:
    # In a child, whose root stays its own; the mount namespace is gone with us.
    def pivot() -> None:
        os.chdir("/tmp/root")
        pivot_root(b".", b".")

    _in_child(lambda: kernel.unshare(kernel.CLONE_NEWNS), pivot)


def _clone3() -> None:
    try:
        syscall("clone3", None, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # there is such a call: it does not like its arguments
            raise


def _uts() -> None:
    kernel.unshare(kernel.CLONE_NEWUTS)
    socket.sethostname("attempt")


def _memfd() -> None:
    try:
        fd = os.memfd_create("attempt", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fd = os.memfd_create("attempt", os.MFD_CLOEXEC)  # before Linux 6.3
    try:
        if not os.access(f"/proc/self/fd/{fd}", os.X_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    finally:
        os.close(fd)


def _setns() -> None:
    fd = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(fd, kernel.CLONE_NEWNS)
    finally:
        os.close(fd)


def _getfd() -> None:
    # As a supervisor takes the listener of a filter; Yama may forbid it, pidfd_getfd(2).
    ended_fd, end_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end_fd)
        os.read(ended_fd, 1)
        os._exit(0)
    os.close(ended_fd)
    pidfd = os.pidfd_open(pid)
    try:
        os.close(kernel.pidfd_getfd(pidfd, 0))
    finally:
        os.close(pidfd)
        os.close(end_fd)
        os.waitpid(pid, 0)


def _proc() -> None:
    # The first child is pid 1 of the new namespace, and only there a proc of it can be mounted.
    _in_child(lambda: mount(b"proc", b"/tmp/proc", b"proc", MS_NOSUID | MS_NODEV))


def _in_child(*steps: Callable[[], object]) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(next(filter(None, map(_errno_of, steps)), 0))
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise OSError(code, os.strerror(code))


def _landlock() -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    ruleset_fd = landlock_create_ruleset(_LANDLOCK_EXECUTE, 0, 0)
    landlock_restrict_self(ruleset_fd)


def _syscalls() -> None:
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    seccomp_load(_ALLOW_ALL, listener=True)


def _unshare(flag: int) -> Callable[[], None]:
    return lambda: kernel.unshare(flag)


# In an order in which none spoils the next: a landlocked process cannot mount.
_ATTEMPTS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("mount", _mounts),
    ("overlay", _overlay),
    ("device", _device),
    ("pivot", _pivot),
    ("network", _unshare(kernel.CLONE_NEWNET)),
    ("ipc", _unshare(kernel.CLONE_NEWIPC)),
    ("uts", _uts),
    ("setns", _setns),
    ("getfd", _getfd),
    ("cgroup", _unshare(kernel.CLONE_NEWCGROUP)),
    ("time", _unshare(kernel.CLONE_NEWTIME)),
    ("clone3", _clone3),
    ("processes", _unshare(kernel.CLONE_NEWPID)),
    ("proc", _proc),
    ("landlock", _landlock),
    ("syscalls", _syscalls),
)
