"""The zygote: one thread that clones sandboxes. It parses no job data and keeps no secret."""

import _signal
import gc
import os
import sys

from sandbox.boundary.channel import Channel
from sandbox.boundary.plan import Bind, CollectPlan, LatePlan, SandboxPlan, TemplatePlan, decode
from sandbox.boundary.report import Kind, Report, Step
from sandbox.inside.collector import run_collector
from sandbox.inside.init import Sandbox, own_namespaces, run_init
from sandbox.kernel.processes import (
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
    except EOFError:
        return  # the supervisor found that it cannot run anything here
    except OSError as error:
        channel.send(Report(Kind.FAILED, step, error.errno or 0).pack())
        return
    channel.send(Report(Kind.READY).pack())
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # children reap themselves; pidfds tell
    gc.freeze()
    _serve(channel, host)


def _serve(channel: Channel, host: HostView) -> None:
    outside = own_namespaces()
    while True:
        try:
            data, fds = channel.receive()
        except EOFError:
            return
        order, plan = data[:1], data[1:]
        try:
            if order == b"s":
                _spawn(channel, outside, decode(SandboxPlan, plan), fds)
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


def _spawn(
    channel: Channel, outside: dict[bytes, bytes], plan: SandboxPlan, fds: list[int]
) -> None:
    """Clone one sandbox and map its one id. fds: as `Sandbox` has them."""
    mapped_fd, mapping_fd = os.pipe()
    pid, pidfd = clone3(plan.clone_flags)
    if pid == 0:
        os.close(mapping_fd)
        channel.close()
        run_init(Sandbox(plan, outside, fds), mapped_fd)
    try:
        os.close(mapped_fd)
        line = b"%d %d 1" % (plan.inside_id, plan.base_id)
        for name in (b"uid_map", b"gid_map"):
            with open(b"/proc/%d/%s" % (pid, name), "wb", buffering=0) as file:
                file.write(line)
        os.write(mapping_fd, b"1")
        channel.send(Report(Kind.READY, pid).pack(), (pidfd,))
    finally:
        os.close(mapping_fd)
        os.close(pidfd)


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
