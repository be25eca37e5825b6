"""The zygote: one thread that clones sandboxes. It parses no job data and keeps no secret."""

from __future__ import annotations

import _signal
import fcntl
import gc
import os
import sys

from sandbox.boundary.archive import write_all
from sandbox.boundary.channel import Channel
from sandbox.boundary.plan import Bind, CollectPlan, LatePlan, SandboxPlan, TemplatePlan, decode
from sandbox.boundary.report import Kind, Report, Step
from sandbox.inside.birth import Birth
from sandbox.inside.collector import run_collector
from sandbox.inside.init import own_namespaces, run_init
from sandbox.inside.placement import own_cgroups
from sandbox.inside.stub import run_stub
from sandbox.kernel.call import libc
from sandbox.kernel.processes import (
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    clone3,
    close_range,
    prctl,
    setns,
    unshare,
)
from sandbox.zygote.template import HostView, build_template

__all__ = ["BASE_FD", "CHANNEL_FD", "main"]

CHANNEL_FD, BASE_FD = 3, 4
_MFD_EXEC = 0x10  # <linux/memfd.h>, Linux 6.3
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def main() -> None:
    """Serve the supervisor on CHANNEL_FD until it closes its end.

    argv[1]: the uid and gid to become first, where the supervisor was started as root; or "base",
    where BASE_FD is the base user namespace of an earlier zygote.
    """
    close_range(BASE_FD + 1)
    os.setsid()  # the terminal's Ctrl-C is for the supervisor
    channel = Channel(CHANNEL_FD)
    joins_base = sys.argv[1:] == ["base"]
    if sys.argv[1:] and not joins_base:
        owner = int(sys.argv[1])
        os.setgroups([])
        os.setresgid(owner, owner, owner)
        os.setresuid(owner, owner, owner)
        prctl(PR_SET_DUMPABLE, 1)  # else /proc/PID/uid_map of our children belongs to root
    prctl(PR_SET_PDEATHSIG, _signal.SIGKILL)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    step = Step.USER_NAMESPACE
    try:
        if joins_base:
            setns(BASE_FD, CLONE_NEWUSER)
        else:
            unshare(CLONE_NEWUSER)
        close_range(BASE_FD)
        channel.send(Report(Kind.READY, os.getpid()).pack())
        step = Step.TEMPLATE
        data, _ = channel.receive()  # comes when the id maps are written
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        plan = decode(TemplatePlan, data)
        host = HostView()
        build_template(plan)
        loader_fd = _keep_program(plan.loader)
    except EOFError:
        return  # the supervisor found that it cannot run anything here
    except OSError as error:
        channel.send(Report(Kind.FAILED, step, error.errno or 0).pack())
        return
    channel.send(Report(Kind.READY).pack())
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # children reap themselves; pidfds tell
    gc.collect()
    gc.freeze()
    libc.malloc_trim(0)  # what each child would copy and free again
    _serve(channel, host, loader_fd)


def _serve(channel: Channel, host: HostView, loader_fd: int) -> None:
    namespaces, cgroups = own_namespaces(), own_cgroups()
    while True:
        try:
            data, fds = channel.receive()
        except EOFError:
            return
        order, plan = data[:1], data[1:]
        try:
            if order == b"s":
                birth = Birth(decode(SandboxPlan, plan), namespaces, cgroups, loader_fd, fds)
                try:
                    _spawn(channel, birth)
                finally:
                    birth.close()
            elif order == b"b":
                _open_binds(channel, host, decode(LatePlan, plan))
            else:
                _collect(channel, decode(CollectPlan, plan), fds)
        except OSError as error:
            step = Step.BINDS if order == b"b" else Step.CLONE
            channel.send(Report(Kind.FAILED, step, error.errno or 0).pack())
        finally:
            for fd in fds:
                os.close(fd)


def _spawn(channel: Channel, birth: Birth) -> None:
    """Clone one sandbox and map its one id."""
    plan = birth.plan
    shift_clocks(plan)
    pid, pidfd = clone3(plan.clone_flags)
    if pid == 0:
        # The stub comes first: what init has written to before a fork, it copies again after it.
        pid, pidfd = clone3(0, birth.placement.into_fd)
        channel.close()
        if pid == 0:
            run_stub(birth)
        run_init(birth, pid, pidfd)
    try:
        line = b"%d %d 1" % (plan.inside_id, plan.base_id)
        for name in (b"uid_map", b"gid_map"):
            map_fd = os.open(b"/proc/%d/%s" % (pid, name), os.O_WRONLY | os.O_CLOEXEC)
            os.write(map_fd, line)
            os.close(map_fd)
        birth.tell_mapped()
        channel.send(Report(Kind.READY, pid).pack(), (pidfd,))
    finally:
        os.close(pidfd)


def _keep_program(image: bytes) -> int:
    """An fd of a program that nobody can change any more, to be executed. memfd_create(2)."""
    try:
        fd = os.memfd_create("loader", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_EXEC)
    except OSError:  # EINVAL: before Linux 6.3 there was no need to say so
        fd = os.memfd_create("loader", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    write_all(fd, image)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def shift_clocks(plan: SandboxPlan) -> None:
    """Have the next child born into a time namespace in which the host's uptime is not seen.

    Made here because offsets can be set only until somebody is in it. time_namespaces(7)
    """
    if plan.time_offsets is not None:
        unshare(CLONE_NEWTIME)
        with open(b"/proc/self/timens_offsets", "wb", buffering=0) as file:
            file.write(plan.time_offsets)


def _open_binds(channel: Channel, host: HostView, plan: LatePlan) -> None:
    """Answer with a detached tree for each of the binds, for one sandbox to attach."""
    trees = host.open_binds(map(Bind._make, plan.binds))
    try:
        channel.send(Report(Kind.READY).pack(), tuple(trees))
    finally:
        for fd in trees:
            os.close(fd)


def _collect(channel: Channel, plan: CollectPlan, fds: list[int]) -> None:
    """Start the collector. fds: where it writes, the sandbox's user and mount namespaces."""
    pid, pidfd = clone3(0)
    if pid == 0:
        channel.close()
        run_collector(plan, *fds)
    channel.send(Report(Kind.READY, pid).pack(), (pidfd,))
    os.close(pidfd)
