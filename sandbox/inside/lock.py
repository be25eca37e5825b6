"""The last walls before exec, in the only order that works; the stub is what runs them."""

from __future__ import annotations

import _signal  # signal.py builds enums, which the zygote would carry in every sandbox
import errno
import fcntl
import os
import stat

from sandbox.boundary.plan import SandboxPlan
from sandbox.boundary.report import REPORT_FD
from sandbox.boundary.report import Step as Code
from sandbox.inside.identity import (
    capabilities_gone,
    drop_capabilities,
    forbid_new_privileges,
    privileges_forbidden,
)
from sandbox.inside.inputs import write_inputs
from sandbox.inside.steps import Step, StepFailed
from sandbox.kernel.confinement import (
    landlock_add_path,
    landlock_create_ruleset,
    landlock_restrict_self,
)
from sandbox.kernel.processes import close_range

__all__ = ["LOCK_STEPS", "RIGHTS_STEPS", "Lock"]

_PROBE = b"/tmp/.landlock"
_UNBLOCKABLE = (_signal.SIGKILL, _signal.SIGSTOP)


class Lock:
    """What one stub is locked with: its plan, the fd that it reports on, the payload's streams."""

    def __init__(
        self, plan: SandboxPlan, report_fd: int, stdio_fds: list[int], loader_fd: int
    ) -> None:
        self.plan = plan
        self.report_fd = report_fd
        self.stdio_fds = stdio_fds
        self.loader_fd = loader_fd

    def lead_session(self) -> None:
        os.setsid()
        if self.plan.terminal:
            # Opened by a session leader without one, it becomes the controlling terminal.
            self.stdio_fds = [os.open(b"/dev/pts/0", os.O_RDWR | os.O_CLOEXEC)] * 3
        # CPython ignores SIGPIPE and SIGXFSZ, and exec would keep that.
        for number in _signal.valid_signals():
            if _signal.getsignal(number) != _signal.SIG_DFL and number not in _UNBLOCKABLE:
                _signal.signal(number, _signal.SIG_DFL)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
        os.umask(0o022)

    def leads_session(self) -> bool:
        return os.getsid(0) == os.getpid()

    def enter_cwd(self) -> None:
        os.makedirs(self.plan.cwd, exist_ok=True)
        os.chdir(self.plan.cwd)

    def works_in_cwd(self) -> bool:
        return os.getcwdb() == self.plan.cwd

    def write_inputs(self) -> None:
        if self.plan.has_inputs:
            write_inputs(self.report_fd)

    def inputs_written(self) -> bool:
        return True  # no wall; a file that could not be written whole has raised

    def close_fds(self) -> None:
        # Out of the way first: what arrived may itself sit on a low number. The loader's fd closes
        # when that is executed, and the report's, by the loader, when the payload is.
        moved = [_move_up(fd) for fd in (*self.stdio_fds, self.report_fd, self.loader_fd)]
        for number, fd in enumerate(moved):
            os.dup2(fd, number, inheritable=number <= REPORT_FD)
        self.report_fd, self.loader_fd = REPORT_FD, REPORT_FD + 1
        close_range(self.loader_fd + 1)

    def only_planned_fds(self) -> bool:
        # The listing itself holds one more.
        return set(map(int, os.listdir(b"/proc/self/fd"))) == {*range(self.loader_fd + 2)}

    def restrict_paths(self) -> None:
        if self.plan.landlock is None:
            return
        ruleset_fd = landlock_create_ruleset(*self.plan.landlock)
        for path, access in self.plan.landlock_paths:
            landlock_add_path(ruleset_fd, path, access)
        landlock_restrict_self(ruleset_fd)
        os.close(ruleset_fd)

    def paths_restricted(self) -> bool:
        # Landlock tells nothing of itself. No rule allows device nodes, and without Landlock this
        # one (a whiteout) could be made by anybody: mknod(2), Linux 5.8.
        if self.plan.landlock is None:
            return True
        try:
            os.mknod(_PROBE, stat.S_IFCHR, 0)
        except OSError as error:
            return error.errno == errno.EACCES
        os.unlink(_PROBE)
        return False

    def execute_loader(self, name: bytes) -> None:
        """Become the loader. Raises StepFailed: this host lets nobody execute a memfd."""
        try:
            os.execve(self.loader_fd, (name,), {})
        except OSError as error:
            raise StepFailed(Code.LOADER, error.errno or 0) from None


def _move_up(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)


RIGHTS_STEPS = (
    Step(Code.CAPABILITIES, drop_capabilities, capabilities_gone),
    Step(Code.NO_NEW_PRIVILEGES, forbid_new_privileges, privileges_forbidden),
)

LOCK_STEPS = (
    Step(Code.SESSION, Lock.lead_session, Lock.leads_session),
    Step(Code.CWD, Lock.enter_cwd, Lock.works_in_cwd),
    Step(Code.DESCRIPTORS, Lock.close_fds, Lock.only_planned_fds),  # a leaked fd is an escape
    Step(Code.LANDLOCK, Lock.restrict_paths, Lock.paths_restricted),
    Step(Code.INPUTS, Lock.write_inputs, Lock.inputs_written),
)
