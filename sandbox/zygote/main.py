"""The zygote: one thread that clones sandboxes. It parses no job data and keeps no secret."""

from __future__ import annotations

import _signal
import gc
import os
import select

from sandbox.boundary.channel import BASE_FD, CHANNEL_FD, Channel
from sandbox.boundary.plan import (
    Bind,
    BindsPlan,
    CollectPlan,
    SpawnPlan,
    TemplatePlan,
    decode,
)
from sandbox.boundary.report import Kind, Report, Step
from sandbox.kernel.call import libc
from sandbox.kernel.processes import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    clone3,
    setns,
    unshare,
)
from sandbox.zygote.collector import run_collector
from sandbox.zygote.spawn import ExecFailed, Spawner
from sandbox.zygote.template import HostView, build_template

__all__ = ["serve"]

_OOM_SCORE = 500  # of 1000
_DYING_MILLISECONDS = 100  # in which a killed process has ended
FIRST_FD = 4  # of what arrives for a sandbox: sandbox/inside/init.py counts on it


def serve(*, joins_base: bool) -> None:
    """Serve the supervisor on CHANNEL_FD until it closes its end.

    `joins_base`: BASE_FD is the base user namespace, which an earlier zygote has made.
    """
    channel = Channel(CHANNEL_FD)
    _die_first()
    step = Step.USER_NAMESPACE
    try:
        if joins_base:
            setns(BASE_FD, CLONE_NEWUSER)
            os.close(BASE_FD)
        else:
            unshare(CLONE_NEWUSER)
        channel.send(Report(Kind.READY).pack())
        step = Step.TEMPLATE
        data, _ = channel.receive()  # comes when the id maps are written
        unshare(CLONE_NEWNET | CLONE_NEWIPC)  # there is nobody to talk to but the supervisor
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        plan = decode(TemplatePlan, data)
        host = HostView()
        build_template(plan)
        spawner = Spawner(plan.machine, plan.spawn_at)
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
    _serve(channel, host, spawner)


def _die_first() -> None:
    """Of all that is ours, jobs go first where the host runs out of memory: they inherit this.

    Who may not lower it may raise it, proc_pid_oom_score_adj(5).
    """
    try:
        with open(b"/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            if int(file.read(16)) < _OOM_SCORE:
                file.write(b"%d" % _OOM_SCORE)
    except OSError:
        pass  # a container whose /proc is not to be written


def _serve(channel: Channel, host: HostView, spawner: Spawner) -> None:
    while True:
        try:
            data, fds = channel.receive()
        except EOFError:
            return
        order, plan = data[:1], data[1:]
        step = {b"s": Step.CLONE, b"b": Step.BINDS}.get(order, Step.COLLECTOR)
        try:
            if order == b"s":
                _spawn(channel, spawner, decode(SpawnPlan, plan), fds)
            elif order == b"b":
                _open_binds(channel, host, decode(BindsPlan, plan))
            else:
                _collect(channel, decode(CollectPlan, plan), fds)
        except OSError as error:
            step = Step.MACHINE if isinstance(error, ExecFailed) else step
            channel.send(Report(Kind.FAILED, step, error.errno or 0).pack())
        finally:
            for fd in fds:
                os.close(fd)


def _spawn(channel: Channel, spawner: Spawner, plan: SpawnPlan, fds: list[int]) -> None:
    """Clone one sandbox and map its one id, which both its processes wait for on a pipe."""
    mapped_fd, mapping_fd = os.pipe()
    try:
        handed = [*fds, mapped_fd]
        if handed != [*range(FIRST_FD, FIRST_FD + len(handed))]:
            raise OSError(9, os.strerror(9))  # EBADF: an fd of ours is where there should be none
        for fd in handed:
            os.set_inheritable(fd, True)
        shift_clocks(plan)
        pid, pidfd = spawner.spawn(plan.clone_flags)
        try:
            _map_id(pid, pidfd, plan)
            os.write(mapping_fd, b"12")
            channel.send(Report(Kind.READY, pid).pack(), (pidfd,))
        finally:
            os.close(pidfd)
    finally:
        os.close(mapped_fd)
        os.close(mapping_fd)


def _map_id(pid: int, pidfd: int, plan: SpawnPlan) -> None:
    """Write both maps. Raises OSError: ESRCH, it was killed, whatever else /proc says of that."""
    line = b"%d %d 1" % (plan.inside_id, plan.base_id)
    try:
        for name in (b"uid_map", b"gid_map"):
            map_fd = os.open(b"/proc/%d/%s" % (pid, name), os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(map_fd, line)
            finally:
                os.close(map_fd)
    except OSError:
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        if ended.poll(_DYING_MILLISECONDS):
            raise OSError(3, os.strerror(3)) from None  # ESRCH
        raise


def shift_clocks(plan: SpawnPlan) -> None:
    """Have the next child born into a time namespace in which the host's uptime is not seen.

    Made here because offsets can be set only until somebody is in it. time_namespaces(7)
    """
    if plan.time_offsets is not None:
        unshare(CLONE_NEWTIME)
        with open(b"/proc/self/timens_offsets", "wb", buffering=0) as file:
            file.write(plan.time_offsets)


def _open_binds(channel: Channel, host: HostView, plan: BindsPlan) -> None:
    """Answer with a detached tree for each of the binds, for one sandbox to attach."""
    trees = host.open_binds(map(Bind._make, plan.binds))
    try:
        channel.send(Report(Kind.READY).pack(), tuple(trees))
    finally:
        for fd in trees:
            os.close(fd)


def _collect(channel: Channel, plan: CollectPlan, fds: list[int]) -> None:
    """Start the collector. fds: where it writes, the sandbox's user and mount namespaces."""
    pid, pidfd = clone3()
    if pid == 0:
        channel.close()
        run_collector(plan, *fds)
    try:
        channel.send(Report(Kind.READY, pid).pack(), (pidfd,))
    finally:
        os.close(pidfd)  # else no sandbox's fds would have their numbers any more
