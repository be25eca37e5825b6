"""One sandbox as the supervisor holds it: from the clone to the last byte of its cgroups."""

import contextlib
import os
import signal

import trio

from sandbox.boundary.plan import JobPlan, SandboxPlan, encode
from sandbox.boundary.report import LISTENER_FD, STEPS, Kind, Report, Step
from sandbox.kernel.processes import pidfd_getfd, pidfd_send_signal
from sandbox.spec.errors import ExecError, SetupError, ZygoteError
from sandbox.supervisor.cgroup import JobCgroup
from sandbox.supervisor.identity import Lease
from sandbox.supervisor.link import Link
from sandbox.supervisor.probe import check_stub
from sandbox.supervisor.zygote import Zygote

__all__ = ["Sandbox"]

_DRAIN_SECONDS = 10  # for init to kill and reap all; then init itself is killed
_DESTROY_SECONDS = 30  # a task in state D outlives SIGKILL; its cgroup then stays for the sweep


class Sandbox:
    """A one-shot container. Whoever makes it calls `destroy`, whatever happened."""

    def __init__(self, plan: SandboxPlan, cgroup: JobCgroup, lease: Lease | None) -> None:
        self.cgroup = cgroup
        self.terminal_fd: int | None = None
        self.listener_fd: int | None = None
        self.scratch_fd = self.user_ns_fd = self.mount_ns_fd = -1
        self._plan = plan
        self._lease = lease
        self._control, self._init_end = Link.pair()
        self._report, self._stub_end = Link.pair()
        self._pidfd = self._stub_pid = self._stub_pidfd = -1
        self._empty = trio.Event()

    async def spawn(self, zygote: Zygote) -> None:
        """Have it cloned and built; it is then parked and verified. Raises SetupError, …"""
        lease_fd = os.open("/dev/null", os.O_RDONLY) if self._lease is None else self._lease.fd
        cgroup = self.cgroup
        fds = [self._init_end.fileno(), self._stub_end.fileno(), lease_fd]
        fds += [] if cgroup.into_fd is None else [cgroup.into_fd]
        fds += [*cgroup.init_procs_fds, *cgroup.payload_procs_fds]
        try:
            _pid, self._pidfd = await zygote.spawn(self._plan, tuple(fds))
        finally:
            self._init_end.close()
            self._stub_end.close()
            if self._lease is None:
                os.close(lease_fd)
        answer = await self._control.receive()
        if answer is None or answer[0].kind != Kind.READY:
            raise await self._setup_failure(answer and answer[0])
        self._stub_pidfd, self.user_ns_fd, self.mount_ns_fd, self.scratch_fd, *rest = answer[1]
        self.terminal_fd = rest[0] if rest else None
        self._stub_pid = _pid_of(self._stub_pidfd)
        cgroup.close_procs()

    async def lock(self, plan: JobPlan, fds: tuple[int, ...]) -> None:
        """Hand the job to the stub; when this returns, every wall stands and nothing has run."""
        await self._report.send(encode(plan), fds)
        answer = await self._report.receive()
        if answer is None or answer[0].kind != Kind.LOCKED:
            raise await self._setup_failure(answer and answer[0])
        if plan.notifies:
            try:
                self.listener_fd = pidfd_getfd(self._stub_pidfd, LISTENER_FD)
            except OSError as error:
                raise SetupError(
                    f"step filter: its listener could not be taken: {error.strerror}; "
                    "the payload was never started"
                ) from error
        uid = self._lease.host_uid if self._lease else os.getuid()
        check_stub(self._stub_pid, uid, self.cgroup, has_time=self._plan.time_offsets is not None)

    async def execute(self, command: bytes) -> None:
        """Say go, and return once the payload runs. Raises ExecError with execve's errno."""
        await self._report.send_raw(b"1")
        answer = await self._report.receive()
        if answer is not None:
            report = answer[0]
            if report.first == Step.EXEC:
                raise ExecError(report.second, command)
            raise await self._setup_failure(report)

    async def next_end(self) -> Report | None:
        """Init's next report: EXITED or EMPTY. None: init is dead, and so is all inside."""
        answer = await self._control.receive()
        if answer is None:
            return None
        if answer[0].kind == Kind.EMPTY:
            self._empty.set()
        return answer[0]

    async def kill_payload(self) -> None:
        """Kill every process of the payload; init lives on, with the mounts."""
        with contextlib.suppress(OSError):
            self.cgroup.kill()
        with contextlib.suppress(OSError):
            await self._control.send(b"k")

    async def drain(self) -> None:
        """Wait until the payload is gone; kill init where that takes too long."""
        with trio.move_on_after(_DRAIN_SECONDS) as patience:
            await self._empty.wait()
        if patience.cancelled_caught:
            self._kill_init()

    async def destroy(self) -> None:
        """End init and with it everything inside, and remove the cgroups. Bounded; idempotent."""
        self._control.close()
        self._report.close()
        for end in (self._init_end, self._stub_end):
            end.close()
        for name in ("listener_fd", "terminal_fd", "scratch_fd", "user_ns_fd", "mount_ns_fd"):
            fd = getattr(self, name)
            setattr(self, name, -1)
            if fd is not None and fd >= 0:
                os.close(fd)
        with trio.move_on_after(_DESTROY_SECONDS):
            if self._pidfd >= 0:
                with trio.move_on_after(1) as patience:
                    await trio.lowlevel.wait_readable(self._pidfd)
                if patience.cancelled_caught:
                    self._kill_init()
                    await trio.lowlevel.wait_readable(self._pidfd)
            while True:
                try:
                    self.cgroup.destroy()
                    break
                except OSError:  # EBUSY: the kernel is still taking the last process out
                    await trio.sleep(0.001)
        for fd in (self._pidfd, self._stub_pidfd):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self._stub_pidfd = -1
        if self._lease is not None:
            self._lease.release()

    def never_executed(self) -> SetupError:
        """Why a stub is dead that had the word to execute, and did not."""
        usage = self.cgroup.sample()
        if usage.oom_kills or usage.oom_events:
            return SetupError(
                "the memory limit is too small to start the job in; the payload was never started"
            )
        return SetupError("the stub was killed before its exec; the payload was never started")

    def _kill_init(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def _setup_failure(self, report: Report | None) -> Exception:
        if report is None:
            # Init ends without a word when the stub has failed: then the stub has told why.
            with trio.move_on_after(1):
                answer = await self._report.receive()
                report = answer and answer[0]
        if report is None:
            usage = self.cgroup.sample()
            if usage.oom_kills or usage.oom_events:
                return self.never_executed()
            return ZygoteError("the sandbox's init died; the payload was never started")
        step, code = STEPS.get(report.first, "?"), report.second
        why = os.strerror(code) if code else "the kernel does not show the wall"
        return SetupError(
            f"step {report.first} ({step}) failed: {why}; the payload was never started"
        )


def _pid_of(pidfd: int) -> int:
    """The pid behind a pidfd, in our pid namespace. proc_pid_fdinfo(5)."""
    with open(f"/proc/self/fdinfo/{pidfd}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
