"""The lookout: looks at sandboxes for a supervisor that may not.

A process under Landlock may not look into one that is outside of its domain, landlock(7), and a
supervisor locks itself. This one is in the base user namespace with CAP_SYS_PTRACE over it, so the
kernel lets it look at sandboxes and zygotes, and at nothing else of its user.
"""

from __future__ import annotations

import _socket
import os
import struct

from sandbox.boundary.channel import BASE_FD, CHANNEL_FD
from sandbox.boundary.look import ERRNO, LISTEN, OPEN, WAITS
from sandbox.boundary.report import LISTENER_FD
from sandbox.kernel.confinement import seccomp_load
from sandbox.kernel.processes import (
    CLONE_NEWUSER,
    PR_SET_NO_NEW_PRIVS,
    capset,
    pidfd_getfd,
    prctl,
    setns,
)

__all__ = ["watch"]

_RIGHTS = 1 << 2 | 1 << 19  # CAP_DAC_READ_SEARCH, for what threads wait for; CAP_SYS_PTRACE
_NAMES: tuple[bytes, ...] = (
    b"user", b"mnt", b"pid", b"net", b"ipc", b"uts", b"cgroup", b"time",
)  # namespaces(7)  # fmt: skip
if not os.path.lexists(b"/proc/self/ns/time"):
    _NAMES = _NAMES[:-1]  # a kernel without it
_REQUEST_BYTES = 1 << 16


def watch(program: bytes) -> None:
    """Answer the supervisor on CHANNEL_FD, under the filter `program`, until it closes its end.

    Questions and answers: sandbox/boundary/look.py.
    """
    try:
        setns(BASE_FD, CLONE_NEWUSER)
        capset(_RIGHTS, _RIGHTS, 0)
    except PermissionError:
        # A container's filter. Who owns that namespace may look into it from outside as well, and
        # the keeper's Landlock domain keeps us from all else; only what threads wait for is hidden.
        pass
    os.close(BASE_FD)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp_load(program, listener=False)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, fileno=CHANNEL_FD)
    space = _socket.CMSG_SPACE(4)
    while True:
        request, ancillary, _, _ = channel.recvmsg(_REQUEST_BYTES, space, _socket.MSG_CMSG_CLOEXEC)
        if not request:
            return
        given = [fd for _, _, data in ancillary for (fd,) in struct.iter_unpack("i", data)]
        pids = [pid for (pid,) in struct.iter_unpack("<i", request[1:])]
        found: list[int] = []
        try:
            answer = ERRNO.pack(0) + _answer(request[:1], pids, given, found)
        except OSError as error:
            answer = ERRNO.pack(error.errno or 0)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack(f"{len(found)}i", *found))]
        channel.sendmsg([answer], rights if found else [])
        for fd in given + found:
            os.close(fd)


def _answer(kind: bytes, pids: list[int], given: list[int], found: list[int]) -> bytes:
    if kind == WAITS:
        from sandbox.supervisor.waits import look  # takes long to load, and is rarely asked

        return look(pids)
    if kind == OPEN:
        for name in _NAMES[:2]:
            path = b"/proc/%d/ns/%b" % (pids[0], name)
            found.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return b""
    seen = b"\n".join(map(_links, pids))
    if kind == LISTEN:
        found.append(pidfd_getfd(given[0], LISTENER_FD))
    return seen


def _links(pid: int) -> bytes:
    fd = os.open(b"/proc/%d/ns" % pid, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return b" ".join([os.readlink(name, dir_fd=fd) for name in _NAMES])
    finally:
        os.close(fd)
