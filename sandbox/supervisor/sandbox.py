"""One sandbox as the supervisor holds it: from the clone to the last byte of its cgroup."""

import contextlib
import errno
import os
import re
import resource
import select
import signal
import time
from collections.abc import Awaitable, Callable, Iterator

import trio

from sandbox.boundary.plan import Bind, BindsPlan, Disk
from sandbox.boundary.report import STEPS, Kind, Report, Step
from sandbox.inside.late import write_bind_script
from sandbox.kernel.processes import pidfd_send_signal
from sandbox.spec.errors import ExecError, SetupError, ZygoteError
from sandbox.supervisor import artifacts
from sandbox.supervisor.cgroup import JobCgroup
from sandbox.supervisor.ends import Ends
from sandbox.supervisor.identity import Lease
from sandbox.supervisor.link import Link
from sandbox.supervisor.lookout import Lookout
from sandbox.supervisor.planner import Planner, Shape
from sandbox.supervisor.probe import (
    Seen,
    check_init,
    check_mounts,
    check_namespaces,
    check_stub,
    not_shown,
)
from sandbox.supervisor.remedies import remedy
from sandbox.supervisor.zygote import Zygote

__all__ = ["Sandbox"]

_BUILD_SECONDS = 60  # for some hundred system calls
_DYING_MILLISECONDS = 100  # in which a killed process has ended
_DESTROY_SECONDS = 30  # a task in state D outlives SIGKILL; its cgroup then stays for the sweep
_INIT_DIED = "the sandbox's init died; the payload was never started"
_PID = re.compile(rb"^Pid:\t(\d+)$", re.MULTILINE)
_KILL = bytes(8)  # an order to init without a script
_BINDS_A_MESSAGE = 200  # of SCM_MAX_FD, unix(7)


class Sandbox:
    """A one-shot container. Whoever makes it calls `destroy`, whatever happened.

    `build`, and it is locked and parked; then for its one job `fit` and `execute`.
    """

    def __init__(self, planner: Planner, shape: Shape, disk: Disk, lookout: Lookout) -> None:
        self._planner, self._shape, self._disk, self._lookout = planner, shape, disk, lookout
        self._cgroup: JobCgroup | None = None
        self.lease: Lease | None = None  # its own id, to be set before `build`
        self.built_at = time.monotonic()
        self.terminal_fd: int | None = None
        self.listener_fd: int | None = None
        self.scratch_fd = -1
        with contextlib.ExitStack() as made:
            self._control, self._init_end = Link.pair()
            made.callback(self._control.close)
            made.callback(self._init_end.close)
            self._report, self._stub_end = Link.pair()
            made.callback(self._report.close)
            made.callback(self._stub_end.close)
            self.ends = Ends(wanted=not shape.terminal)
            made.callback(self.ends.close)
            self.events = select.epoll()  # what happens in here; prepared while nobody waits for it
            made.pop_all()
        self._pid = self._pidfd = self._stub_pid = self._stub_pidfd = -1
        self._foreign: frozenset[str] = frozenset()  # namespaces that it may not be in
        self._outer_filters = 0  # that it was born under
        self._seen: Seen | None = None
        self._deaths = select.poll()  # of init and stub
        self._signals: list[int] = []  # for the payload, once there is one
        self.is_destroyed = False  # or soon will be

    @property
    def cgroup(self) -> JobCgroup:
        """What holds the payload, from `build` on."""
        assert self._cgroup is not None
        return self._cgroup

    async def build(self, zygote: Zygote, make_cgroup: Callable[[], JobCgroup]) -> None:
        """Have it cloned, built, locked and verified. Raises SetupError, ZygoteError, …

        One that is to have inputs is locked by `fit` instead: its filter would forbid to write
        them.
        """
        spawn = self._planner.spawn(self.lease)

        async def prepare() -> None:  # while the zygote clones; then init finds its script there
            self._cgroup = make_cgroup()
            self.blueprint = self._planner.blueprint(
                spawn, self._shape, self._disk, self.lease, self._cgroup
            )
            await self._control.send_raw(self.blueprint.script)
            if self._cgroup.entry_fds:
                await self._control.send_raw(b"\0", self._cgroup.entry_fds)

        lease_fd = os.open("/dev/null", os.O_RDONLY) if self.lease is None else self.lease.fd
        fds = (self._init_end.fileno(), self._stub_end.fileno(), lease_fd, *self.ends.theirs)
        try:
            self._pid, self._pidfd = await zygote.spawn(spawn, fds, prepare)
        finally:
            self._init_end.close()
            self._stub_end.close()
            if self.lease is None:
                os.close(lease_fd)
        self._foreign, self._outer_filters = zygote.namespaces, zygote.filters
        self.ends.handed_over()
        self._deaths.register(self._pidfd, select.POLLIN)
        not_seen: OSError | SetupError | None = None
        try:  # while it builds
            check_init(self._pid, spawn, self.lease)
        except (OSError, SetupError) as error:
            not_seen = error  # if it has failed, then its own report is what tells why
        with trio.move_on_after(_BUILD_SECONDS) as patience:
            if not self._shape.has_inputs:
                await self._expect(self._report, Kind.LOCKED)  # the last of the two, mostly
            fds = await self._expect(self._control, Kind.READY, 2 + self._shape.terminal)
        if patience.cancelled_caught:
            raise ZygoteError(f"the sandbox's init did not answer for {_BUILD_SECONDS} s")
        self._stub_pidfd, self.scratch_fd, *rest = fds
        if rest:
            self.terminal_fd = rest[0]
            os.set_blocking(self.terminal_fd, False)
        self._stub_pid = _pid_of(self._stub_pidfd)
        for source in (self.control_fd, *self.outputs(), self.cgroup.oom_fd):
            if source is not None:
                self.events.register(source, select.EPOLLIN)
        self._deaths.register(self._stub_pidfd, select.POLLIN)
        self.cgroup.close_entries()
        if not_seen is not None:
            with self._looking():
                raise not_seen
        if not self._shape.has_inputs:
            await self._verify()

    def is_sound(self) -> bool:
        """Whether a parked sandbox lives and is still what it was when it was verified.

        False also where the kernel does not tell: poll(2), ENOMEM.
        """
        try:
            is_alive = not self._deaths.poll(0)
        except OSError:
            return False
        return is_alive and (self._seen is None or self._seen.still_holds())

    async def fit(
        self,
        binds: tuple[Bind, ...],
        disk: Disk,
        sources: tuple[artifacts.Source, ...],
        open_binds: Callable[[BindsPlan], Awaitable[list[int]]],
    ) -> None:
        """Add what is the job's own: its binds, its disk limits, its copied inputs."""
        if binds or disk != self._disk:
            await self._attach(binds, disk, open_binds)
        if self._shape.has_inputs:
            async with trio.open_nursery() as nursery:
                end = self._report.fileno()
                nursery.start_soon(artifacts.send, sources, self._shape.cwd, end)
                await self._expect(self._report, Kind.LOCKED)
            await self._verify(binds)

    def limit(self, rlimits: tuple[tuple[int, int, int], ...], affinity: tuple[int, ...]) -> None:
        """Put rlimits, and CPUs where no cpuset pins the job, on the stub, which hands them down.

        From outside, because under the job's filter the stub cannot. Raises SetupError naming the
        step.
        """
        pid = self._stub_pid
        with self._looking("step rlimits failed"):
            for number, soft, hard in rlimits:
                resource.prlimit(pid, number, (soft, hard))
            if affinity:
                os.sched_setaffinity(pid, affinity)
            holds = all(
                resource.prlimit(pid, number) == (soft, hard) for number, soft, hard in rlimits
            ) and (not affinity or os.sched_getaffinity(pid) == set(affinity))
        if not holds:
            raise SetupError(
                "step rlimits failed: the kernel does not show the wall; "
                "the payload was never started"
            )

    async def execute(self, command: bytes, job: bytes) -> None:
        """Hand the stub its job; whether it could execute it is told when it has ended."""
        self._command = command
        with contextlib.suppress(BrokenPipeError):  # it is dead, as init will report
            await self._report.send_raw(job)

    def send_signal(self, number: int) -> None:
        """Signal the payload's own process; a stub, which it would end, is let execute before.

        Raises ProcessLookupError: it is gone.
        """
        if self._has_executed():
            pidfd_send_signal(self._stub_pidfd, number)
        else:
            if not self._signals:
                self.events.register(self.report_fd, 0)  # its hang-up is always told, epoll_ctl(2)
            self._signals.append(number)

    def send_kept_signals(self) -> None:
        """The stub's end of the report is closed: send what was to wait for its exec."""
        for number in self._signals:
            with contextlib.suppress(ProcessLookupError):
                pidfd_send_signal(self._stub_pidfd, number)
        self._signals = []

    def _has_executed(self) -> bool:
        looking = select.poll()
        looking.register(self.report_fd, 0)
        return bool(looking.poll(0))

    @property
    def report_fd(self) -> int:
        """Hung up once the stub has executed its job, or is dead."""
        return self._report.fileno()

    @property
    def control_fd(self) -> int:
        """Readable when init has a report."""
        return self._control.fileno()

    async def open_namespaces(self) -> tuple[int, int]:
        """Fds of its user and mount namespaces, for a collector. Raises OSError: init is dead."""
        fds = await self._lookout.open_namespaces(self._pid)
        try:
            pidfd_send_signal(self._pidfd, 0)  # it lives: the pid was not yet another's
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        return fds

    def outputs(self) -> dict[int, str]:
        """Our ends of the payload's output streams, and their names."""
        if self.terminal_fd is not None:
            return {self.terminal_fd: "stdout"}
        return self.ends.outputs()

    def take_output(self, stream: str) -> int:
        """See `Ends.take_output`."""
        fd = self.ends.take_output(stream)
        self.events.unregister(fd)
        return fd

    def reports(self) -> list[Report | None]:
        """Init's reports so far: EXITED and EMPTY. None: it is dead, and so is all inside."""
        return self._control.reports_now()

    def kill_payload(self) -> None:
        """Kill every process of the payload; init lives on, with the mounts."""
        with contextlib.suppress(OSError):
            self.cgroup.kill()
        with contextlib.suppress(OSError):
            self._control.send_now(_KILL)

    def kill_init(self) -> None:
        """Kill init, and with it everything inside."""
        with contextlib.suppress(ProcessLookupError):
            pidfd_send_signal(self._pidfd, signal.SIGKILL)

    async def destroy(self) -> None:
        """End init and with it everything inside, and remove the cgroup. Bounded; idempotent.

        Whether or not somebody cancels: it holds processes, mounts and a uid.
        """
        self.is_destroyed = True
        self._control.close()
        self._report.close()
        for end in (self._init_end, self._stub_end):
            end.close()
        self.events.close()
        if self._seen is not None:
            self._seen.close()
        self.ends.close()
        for name in ("listener_fd", "terminal_fd", "scratch_fd"):
            fd = getattr(self, name)
            setattr(self, name, -1)
            if fd is not None and fd >= 0:
                os.close(fd)
        cgroup = self._cgroup
        with trio.move_on_after(_DESTROY_SECONDS, shield=True):
            if self._pidfd >= 0:
                # Quicker than its own reaction to our closed end. What keeps us from waiting for it
                # (ENOMEM, say) does not keep it from ending, which the cgroup tells too.
                with contextlib.suppress(OSError):
                    self.kill_init()
                    await trio.lowlevel.wait_readable(self._pidfd)
            while cgroup is not None:
                try:
                    cgroup.destroy()
                    cgroup = None
                except OSError:  # EBUSY: the kernel is still taking the last process out
                    await trio.sleep(0.001)
        if cgroup is not None:
            cgroup.abandon()
        for fd in (self._pidfd, self._stub_pidfd):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self._stub_pidfd = -1
        if self.lease is not None:
            self.lease.release()

    def never_executed(self) -> Exception:
        """Why a stub is dead that had its job to execute, and did not."""
        with contextlib.suppress(BlockingIOError):
            if (answer := self._report.receive_now()) is not None:
                _close(answer[1])
                if answer[0].first == Step.EXEC:
                    return ExecError(answer[0].second, self._command)
                return _step_failure(answer[0])
        return self._out_of_memory() or SetupError(
            "the stub was killed before its exec; the payload was never started"
        )

    async def _verify(self, binds: tuple[Bind, ...] = ()) -> None:
        """See whether the stub, which says that it is locked, is."""

        def look() -> None:  # while the lookout does
            with self._looking():
                self._seen = check_stub(
                    *(self._pid, self._stub_pid, self.blueprint, self.lease, self.cgroup),
                    *(self._outer_filters, binds),
                )

        pids = (self._pid, self._stub_pid)
        if self.blueprint.plan.notifies:
            with self._looking("step filter: its listener could not be taken"):
                (init, stub), self.listener_fd = await self._lookout.see_and_listen(
                    pids, self._stub_pidfd, look
                )
            self.events.register(self.listener_fd, select.EPOLLIN)
        else:
            with self._looking():
                init, stub = await self._lookout.see(pids, look)
        with self._looking():
            check_namespaces(init, stub, self._foreign)
        self.cgroup.begin()

    async def _attach(
        self,
        binds: tuple[Bind, ...],
        disk: Disk,
        open_binds: Callable[[BindsPlan], Awaitable[list[int]]],
    ) -> None:
        for start in range(0, len(binds) or 1, _BINDS_A_MESSAGE):
            part = binds[start : start + _BINDS_A_MESSAGE]
            trees = await open_binds(BindsPlan(part)) if part else []
            is_resized = start == 0 and disk != self._disk
            try:
                script = write_bind_script(part, disk if is_resized else None)
                with contextlib.suppress(BrokenPipeError):  # it is dead, which is seen next
                    await self._control.send_raw(script, tuple(trees))
            finally:
                for fd in trees:
                    os.close(fd)
            await self._expect(self._control, Kind.READY)
        found = os.fstatvfs(self.scratch_fd)
        if (found.f_blocks, found.f_files) != disk:
            raise not_shown(Step.DISK)
        if not self._shape.has_inputs:  # else its stub may not have mounted all; `_verify` looks
            with self._looking():
                check_mounts(self._stub_pid, self.blueprint.mounts, binds)

    @contextlib.contextmanager
    def _looking(self, problem: str = "the sandbox cannot be looked at") -> Iterator[None]:
        """Of a process that was killed, /proc may show anything: it is told as dead."""
        try:
            yield
        except (OSError, SetupError) as error:
            if self._deaths.poll(_DYING_MILLISECONDS):
                raise self._out_of_memory() or ZygoteError(_INIT_DIED) from error
            if isinstance(error, OSError):
                raise _failure(problem, error) from error
            raise

    async def _expect(self, link: Link, kind: int, count: int = 0) -> list[int]:
        """The so many fds of the next report, which must be of this kind. Raises why it is not."""
        report, fds = await link.receive() or (None, [])
        if report is not None and report.kind == kind and len(fds) == count:
            return fds
        _close(fds)
        if report is not None and report.kind == kind:
            raise ZygoteError(
                f"a sandbox's init or stub sent {len(fds)} fds where {count} were due; "
                "the payload was never started"
            )
        raise await self._setup_failure(report)

    async def _setup_failure(self, report: Report | None) -> Exception:
        # Init ends without a word when the stub has failed, or by the pipe that it has to it: then
        # the stub has told why. And the stub is killed with init, when init has failed.
        for link in (self._report, self._control):
            if report is None or report.second == errno.EPIPE:
                with trio.move_on_after(1):
                    report, fds = await link.receive() or (None, [])
                    _close(fds)
        if report is None or report.kind != Kind.FAILED or report.second == errno.EPIPE:
            return self._out_of_memory() or ZygoteError(_INIT_DIED)
        return _step_failure(report)

    def _out_of_memory(self) -> SetupError | None:
        usage = self.cgroup.sample()
        if usage.oom_kills or usage.oom_events:
            return SetupError(
                "the memory limit is too small to start the job in; the payload was never started"
            )
        return None


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _failure(what: str, error: OSError) -> SetupError | ZygoteError:
    if error.errno in (errno.ESRCH, errno.ENOENT):  # it was there a moment ago
        return ZygoteError(_INIT_DIED)
    return SetupError(f"{what}: {error.strerror}; the payload was never started")


def _step_failure(report: Report) -> SetupError:
    if not report.second:
        return not_shown(report.first)
    step, why = STEPS.get(report.first, "?"), os.strerror(report.second)
    return SetupError(
        f"step {report.first} ({step}) failed: {why}; the payload was never started"
        f"{remedy(step, report.second)}"
    )


def _pid_of(pidfd: int) -> int:
    """The pid behind a pidfd, in our pid namespace. proc_pid_fdinfo(5)."""
    fd = os.open(f"/proc/self/fdinfo/{pidfd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _PID.search(os.read(fd, 4096))
    finally:
        os.close(fd)
    if found is None:
        raise ZygoteError(_INIT_DIED)
    return int(found[1])
