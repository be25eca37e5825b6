"""Pid 1 of a sandbox: builds the view, parks the stub, reaps, and ends when its supervisor does."""

from __future__ import annotations

import os
import struct

from sandbox.boundary.report import REPORT_BYTES, Kind, Report, Step
from sandbox.inside.lock import become_job, forbid_new_privileges, load_filter, take_shares
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import AT_FDCWD, LATE_AT, SIGSET_BYTES, Pointer, Script
from sandbox.inside.stub import StubFds, write_stub
from sandbox.inside.view import build_view
from sandbox.kernel.processes import (
    CAP_SYS_ADMIN,
    CAPABILITY_VERSION_3,
    CLONE_INTO_CGROUP,
    CLONE_PIDFD,
    PR_GET_DUMPABLE,
    PR_SET_DUMPABLE,
    PR_SET_NAME,
    PR_SET_PDEATHSIG,
)

__all__ = ["CHILDREN_FD", "CONTROL_FD", "LEASE_FD", "STUB_PID", "write_script"]

# As they arrive; the streams follow, and the pipe that tells when the id is mapped. The lease is
# held by init to the end, so that a killed supervisor's id is not free before.
CONTROL_FD, REPORT_FD, LEASE_FD, FIRST_STREAM_FD = 4, 5, 6, 7
CHILDREN_FD = 0
STUB_PID = 2
_SIGKILL, _SIGPIPE, _SIGCHLD, _SIGXFSZ = 9, 13, 17, 25
# By the zygote and its interpreter, or by who knows whom: libc resets its own two for nobody.
_IGNORED = (_SIGPIPE, _SIGCHLD, _SIGXFSZ, 32, 33)
_SIG_BLOCK = 0
_TIOCSPTLCK = 0x40045431  # <asm-generic/ioctls.h>: unlock the slave, as unlockpt(3)
_SOL_SOCKET = _SCM_RIGHTS = 1
_POLLIN = 1
_MSG_CMSG_CLOEXEC = 0x40000000
_MSGHDR = struct.Struct("<QI4xQQQQI4x")
_MOST_CONTROL_BYTES = 1040  # a cmsghdr and SCM_MAX_FD fds


def write_script(plan: SandboxPlan) -> tuple[bytes, int]:
    """The script of init and stub, and where in it the stub's name is to be written.

    The name is random, of 15 bytes: init tells by it whether exec happened.
    """
    streams = range(FIRST_STREAM_FD, FIRST_STREAM_FD + (0 if plan.terminal else 3))
    mapped_fd = streams.stop
    script = Script(CONTROL_FD, range(CONTROL_FD, mapped_fd + 1))
    name = script.memory(bytes(15) + b"\n")
    _begin(script)
    cgroup_fds = _receive_fds(script, plan.cgroup_fds)
    read_fd, write_fd = _open_pipe(script)
    stub = script.label()
    stub_fds = script.open_fds()
    stub_pidfd = _fork(script, stub, cgroup_fds[0] if plan.born_in_cgroup else None)
    script.close(read_fd, *streams, *cgroup_fds, REPORT_FD)
    script.await_byte(mapped_fd)
    script.close(mapped_fd)
    become_job(script, plan)
    script.call("prctl", PR_SET_PDEATHSIG, _SIGKILL)  # the new uid has cleared it, prctl(2)
    take_shares(script, plan)
    build_view(script, plan)
    terminal = (_open_terminal(script),) if plan.terminal else ()
    script.call("write", write_fd, b"1", 1)  # the stub may go on: what it sees is final
    script.close(write_fd)
    # For statfs only: how full the scratch space is.
    scratch_fd = script.open("openat", AT_FDCWD, b"/tmp", os.O_PATH | os.O_CLOEXEC, 0)
    handed = (stub_pidfd, scratch_fd, *terminal)
    _lock(script, plan)
    script.call("sendmsg", CONTROL_FD, _ready(script, handed), 0, result=REPORT_BYTES)
    script.close_all_but(CONTROL_FD, CHILDREN_FD, LEASE_FD)
    _serve(script, name)
    script.place(stub, stub_fds)
    fds = StubFds(REPORT_FD, tuple(streams), tuple(cgroup_fds), mapped_fd, read_fd, write_fd)
    write_stub(script, plan, name, fds)
    return script.pack(), script.offset(name)


def _begin(script: Script) -> None:
    script.step = Step.NAMESPACES
    script.call("close_range", 0, CONTROL_FD - 1, 0)
    # While it builds it does not listen: it dies with the zygote, which dies with the supervisor.
    script.call("prctl", PR_SET_PDEATHSIG, _SIGKILL)
    script.call("prctl", PR_SET_NAME, b"init")
    script.call("umask", 0)
    default = script.data(bytes(32))
    for ignored in _IGNORED:  # execve(2) keeps that
        script.call("rt_sigaction", ignored, default, 0, SIGSET_BYTES)
    children = script.data(struct.pack("<Q", 1 << _SIGCHLD - 1))
    script.call("rt_sigprocmask", _SIG_BLOCK, children, 0, SIGSET_BYTES)
    assert script.lowest_fd() == CHILDREN_FD
    flags = os.O_CLOEXEC | os.O_NONBLOCK
    script.open("signalfd4", -1, children, SIGSET_BYTES, flags)


def _receive_fds(script: Script, count: int) -> list[int]:
    """Those that come with one byte, behind the script: made while the zygote cloned."""
    if not count:
        return []
    message = _message(script, script.space(8), 1, script.space(_MOST_CONTROL_BYTES))
    script.call("recvmsg", CONTROL_FD, message, _MSG_CMSG_CLOEXEC, result=1)
    return script.take_fds(count)


def _open_pipe(script: Script) -> tuple[int, int]:
    script.call("pipe2", script.space(8), os.O_CLOEXEC)
    read_fd, write_fd = script.take_fds(2)
    return read_fd, write_fd


def _fork(script: Script, stub: Pointer, cgroup_fd: int | None) -> int:
    """The stub, which goes on at its own part of the script; its pidfd."""
    flags = CLONE_PIDFD | (0 if cgroup_fd is None else CLONE_INTO_CGROUP)
    values = struct.pack("<11Q", flags, 0, 0, 0, _SIGCHLD, 0, 0, 0, 0, 0, cgroup_fd or 0)
    arguments = script.memory(values)  # struct clone_args
    script.point(arguments + 8, script.space(8))
    script.fork(arguments, len(values), stub, STUB_PID)
    (stub_pidfd,) = script.take_fds(1)
    return stub_pidfd


def _open_terminal(script: Script) -> int:
    """The master of a new pseudo-terminal in the sandbox's own devpts: always number 0."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    master_fd = script.open("openat", AT_FDCWD, b"/dev/pts/ptmx", flags, 0)
    script.call("ioctl", master_fd, _TIOCSPTLCK, script.data(bytes(4)))
    return master_fd


def _lock(script: Script, plan: SandboxPlan) -> None:
    script.step = Step.DUMPABLE
    script.call("prctl", PR_SET_DUMPABLE, 0)
    script.check("prctl", PR_GET_DUMPABLE, result=0)
    script.step = Step.INIT_CAPABILITIES
    # CAP_SYS_ADMIN over this sandbox's own namespaces, which late mounts need.
    kept = struct.pack("<6I", 1 << CAP_SYS_ADMIN, 1 << CAP_SYS_ADMIN, 0, 0, 0, 0)
    head = script.data(struct.pack("<2I", CAPABILITY_VERSION_3, 0))
    script.call("capset", head, script.data(kept))
    found = script.space(len(kept))
    script.check("capget", head, found)
    script.expect(found, kept)
    forbid_new_privileges(script)
    script.step = Step.INIT_FILTER
    script.call("prctl", PR_SET_PDEATHSIG, 0)  # all is built: a job outlives its zygote
    load_filter(script, plan.init_filter, listener_fd=None)


def _ready(script: Script, fds: tuple[int, ...]) -> Pointer:
    """That the sandbox stands, and the fds that its supervisor needs of it."""
    rights = struct.pack("<Q2i", 16 + 4 * len(fds), _SOL_SOCKET, _SCM_RIGHTS)
    rights += struct.pack(f"<{len(fds)}i", *fds)
    rights += bytes(-len(rights) % 8)
    report = script.data(Report(Kind.READY, STUB_PID).pack())
    return _message(script, report, REPORT_BYTES, script.data(rights), len(rights))


def _message(
    script: Script,
    content: Pointer,
    size: int,
    control: Pointer,
    control_bytes: int = _MOST_CONTROL_BYTES,
) -> Pointer:
    """A struct msghdr, recvmsg(2)."""
    piece = script.memory(struct.pack("<QQ", 0, size))
    script.point(piece, content)
    message = script.memory(_MSGHDR.pack(0, 0, 0, 1, 0, control_bytes, 0))
    script.point(message + 16, piece)
    script.point(message + 32, control)
    return message


def _serve(script: Script, name: Pointer) -> None:
    """Reap, report and take orders, until the supervisor closes its end (machine_ARCH.S)."""
    service = struct.pack("<ihhihh", CONTROL_FD, _POLLIN, 0, CHILDREN_FD, _POLLIN, 0)
    service += _MSGHDR.pack(0, 0, 0, 1, 0, _MOST_CONTROL_BYTES, 0)
    service += struct.pack("<QQ", 0, 8)  # the iovec: an order
    service += bytes(8 + 128 + 16)  # that order, a siginfo, a command name
    service += Report(Kind.EXITED).pack() + Report(Kind.EMPTY).pack()
    block = script.memory(service)
    script.point(block + 16 + 16, block + 72)
    script.point(block + 16 + 32, script.space(_MOST_CONTROL_BYTES))
    script.point(block + 72, block + 88)
    comm = script.data(b"/proc/%d/comm\0" % STUB_PID)
    script.serve(CONTROL_FD, CHILDREN_FD, comm, name, LATE_AT, block)
