"""The stub: forked by init, it is locked, parked, and becomes the payload."""

from __future__ import annotations

import os

from sandbox.boundary.report import LISTENER_FD, REPORT_BYTES, REPORT_FD, Kind, Report, Step
from sandbox.inside.lock import (
    become_job,
    drop_capabilities,
    forbid_new_privileges,
    load_filter,
    restrict_paths,
)
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import AT_FDCWD, SIGSET_BYTES, Pointer, Script
from sandbox.inside.view import make_directories, mount_cgroup_files
from sandbox.kernel.processes import CLONE_NEWCGROUP, PR_SET_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as Record
else:
    from sandbox.boundary.record import Record

__all__ = ["StubFds", "write_stub"]

_F_DUPFD_CLOEXEC, _F_GETFD, _FD_CLOEXEC = 1030, 1, 1
_SIG_SETMASK = 2
_OUT_OF_THE_WAY_FD = 64
_UMASK = 0o022


class StubFds(Record):
    """What it has of init."""

    report: int
    streams: tuple[int, ...]  # none where it is to have a terminal
    cgroups: tuple[int, ...]
    mapped: int  # a pipe that tells when the id is mapped
    view: int  # one that tells when the view stands, and its other end
    view_end: int


def write_stub(script: Script, plan: SandboxPlan, name: Pointer, fds: StubFds) -> None:
    """What the stub does."""
    script.report_fd = fds.report
    script.close(fds.view_end)  # so that it ends with init
    _enter_cgroup(script, plan, fds.cgroups)
    script.await_byte(fds.mapped)
    become_job(script, plan)
    script.await_byte(fds.view)
    mount_cgroup_files(script, plan)
    _lead_session(script)
    _take_streams(script, plan, fds)
    drop_capabilities(script, plan)
    forbid_new_privileges(script)
    _enter_cwd(script, plan)
    _close_fds(script)
    restrict_paths(script, plan)
    if plan.has_inputs:
        script.step = Step.INPUTS
        script.load_next(REPORT_FD, returns=True)
    script.step = Step.FILTER
    script.call("prctl", PR_SET_NAME, name)
    # From here on it needs what REQUIRED in sandbox/supervisor/seccomp.py lists.
    load_filter(script, plan.filter, listener_fd=LISTENER_FD if plan.notifies else None)
    locked = script.data(Report(Kind.LOCKED).pack())
    script.call("write", REPORT_FD, locked, REPORT_BYTES, result=REPORT_BYTES)
    script.step = Step.EXEC
    script.execute_job(REPORT_FD)


def _enter_cgroup(script: Script, plan: SandboxPlan, cgroup_fds: tuple[int, ...]) -> None:
    """Made by init, whose own cgroups are not the job's; v2: it is born in the payload's.

    v1: it moves itself, through `tasks` files that the supervisor opened. The kernel judges by the
    opener's credentials, and lets it move only its own uid, so this comes first: cgroups(7).
    """
    script.step = Step.CGROUP_PAYLOAD
    for fd in cgroup_fds[: 0 if plan.born_in_cgroup else None]:
        # A lone thread that moves itself by `tasks` is spared the wait for a grace period that
        # `cgroup.procs` costs after some quiet (cgroup_threadgroup_rwsem): 150 times as fast.
        script.call("write", fd, b"0", 1, result=1)
    script.step = Step.CGROUP_NAMESPACE
    # After the placement: the namespace's root is where its maker stands.
    script.call("unshare", CLONE_NEWCGROUP)


def _lead_session(script: Script) -> None:
    script.step = Step.SESSION
    script.call("setsid")
    script.check("getsid", 0, result=2)
    script.call("rt_sigprocmask", _SIG_SETMASK, script.data(bytes(SIGSET_BYTES)), 0, SIGSET_BYTES)
    script.call("umask", _UMASK)


def _take_streams(script: Script, plan: SandboxPlan, fds: StubFds) -> None:
    script.step = Step.STREAMS
    if plan.terminal:
        # Opened by a session leader without one, it becomes the controlling terminal.
        fd = script.open("openat", AT_FDCWD, b"/dev/pts/0", os.O_RDWR | os.O_CLOEXEC, 0)
        script.call("fcntl", fd, _F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY_FD, result=_OUT_OF_THE_WAY_FD)
    for number, fd in enumerate(fds.streams or [_OUT_OF_THE_WAY_FD] * 3):
        script.call("dup3", fd, number, 0, result=number)
    # Its EOF must tell the supervisor that nobody has it any more.
    script.call("dup3", fds.report, REPORT_FD, os.O_CLOEXEC, result=REPORT_FD)
    script.report_fd = REPORT_FD


def _close_fds(script: Script) -> None:
    script.step = Step.DESCRIPTORS  # a leaked fd is an escape
    script.close_all_but(*range(REPORT_FD + 1))
    lowest = script.lowest_fd()
    script.check("fcntl", 0, _F_DUPFD_CLOEXEC, 0, result=lowest)
    script.check("close", lowest)
    script.check("fcntl", REPORT_FD, _F_GETFD, 0, result=_FD_CLOEXEC)


def _enter_cwd(script: Script, plan: SandboxPlan) -> None:
    script.step = Step.CWD
    make_directories(script, plan.cwd)
    script.call("chdir", plan.cwd)
    found = script.space(len(plan.cwd) + 1)
    script.check("getcwd", found, len(plan.cwd) + 1, result=len(plan.cwd) + 1)
    script.expect(found, plan.cwd)
