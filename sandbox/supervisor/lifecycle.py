"""One job, from a locked sandbox to a Result. What the job does is in the Result."""

import contextlib
import os
import re
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from sandbox.boundary.plan import CollectPlan
from sandbox.boundary.report import Kind, Report
from sandbox.spec.errors import ZygoteError
from sandbox.spec.limits import Limits
from sandbox.spec.result import Result
from sandbox.supervisor import artifacts, seccomp
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.ending import Ending
from sandbox.supervisor.live import Live
from sandbox.supervisor.planner import last_capability
from sandbox.supervisor.rootfs import INSIDE_ID
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.streams import Output, Sink, feed
from sandbox.supervisor.verdict import (
    Scratch,
    cpu_evidence,
    decide,
    wall_evidence,
)

__all__ = ["Caller", "Cancellation", "Run", "not_started"]

_LOOK_SECONDS = 0.1  # the longest time between two looks at what is only sampled
_LEAST_LOOK_SECONDS = 0.002  # so a job's CPU time is seen at most about this late, on an idle host
_DRAIN_SECONDS = 10  # for init to kill and reap all; then init is killed, and has as long again
_END_OF_FILE = b"\x04"  # VEOF of a new terminal, termios(3)
_INNERMOST_PID = re.compile(rb"\nNSpid:(?:\t\d+)*\t(\d+)\n")
_IDLE_CPU_SECONDS = 0.001  # less progress between two looks than this is none


class Cancellation:
    """How a caller tells, once and at any time, that it has enough."""

    def __init__(self) -> None:
        self.is_set = False
        self._scope: trio.CancelScope | None = None

    def set(self) -> None:
        """Cancel the job; one that has ended is not disturbed."""
        self.is_set = True
        if self._scope is not None:
            self._scope.cancel()

    @contextlib.contextmanager
    def interrupts(self, deadline: float = float("inf")) -> Iterator[trio.CancelScope]:
        """What is awaited in here ends early where the caller cancels, or at the deadline."""
        with trio.CancelScope(deadline=deadline) as self._scope:
            if self.is_set:
                self._scope.cancel()
            yield self._scope
        self._scope = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a job's streams come from and go to, and what tells that the caller has enough."""

    sink: Sink  # called with "stdout" or "stderr", and bytes
    stdin: AsyncIterator[bytes] | None
    cancellation: Cancellation
    started: Callable[[Live], None] | None = None  # called as soon as the payload runs


def not_started(**context: Any) -> Result:
    """The Result of a job whose caller cancelled before there was a payload."""
    return Result(
        verdict="cancelled",
        exit_code=None,
        signal=None,
        evidence=("the caller cancelled the job before it started",),
        cpu_seconds=0.0,
        cpu_user_seconds=None,
        cpu_system_seconds=None,
        wall_seconds=0.0,
        memory_peak_bytes=None,
        memory_split_bytes={},
        processes_peak=None,
        throttled_seconds=None,
        disk_peak_bytes=0,
        disk_peak_inodes=0,
        stdout_bytes=0,
        stderr_bytes=0,
        stdin_bytes=0,
        overshoot={},
        **context,
    )


class Run:
    """One job's run in one sandbox."""

    def __init__(self, sandbox: Sandbox, limits: Limits, caller: Caller) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._caller = caller
        self.ending = Ending(sandbox.kill_payload)
        self.output = Output(limits, caller.sink, self.ending)
        self.drains: list[Callable[[], Awaitable[None]]] = []  # of outputs that were taken
        self._scratch = Scratch()
        self._split: dict[str, int] = {}
        self._stdin_bytes = 0
        self._is_empty = False
        self._seen, self._seen_at = (-1.0, -1), 0.0
        self._look_at = float("inf")
        self._drain_at: float | None = None  # no end of the job has begun
        self._is_init_killed = False
        self._failure: Exception | None = None
        self._unread: dict[int, str] = {}  # outputs that nobody has read from yet
        self._started_at = trio.current_time()

    async def watch(self, command: bytes, job: bytes) -> None:
        """Execute the job, and serve it until its end: its streams, and every limit that somebody
        must watch. One task looks at all of it, for a task of their own each would cost a short
        job more than its exec."""
        sandbox = self._sandbox
        await sandbox.execute(command, job)
        self._started_at = self._seen_at = trio.current_time()
        self._plan_next_look(0.0)
        self._unread = sandbox.outputs()
        if self._caller.started is not None:
            self._caller.started(Live(sandbox, self.ending, self._started_at))
        if self._caller.stdin is None and sandbox.terminal_fd is None:
            sandbox.ends.close_stdin()
            await self._serve(None)  # as far as nobody writes: a nursery is dear for that
        if not self._is_done():
            async with trio.open_nursery() as streams:
                stdin_scope = trio.CancelScope()
                if self._caller.stdin is not None:
                    streams.start_soon(self._feed_stdin, self._caller.stdin, stdin_scope)
                await self._serve(streams)
                sandbox.ends.end_outputs()  # the writers are dead, so the streams end
                stdin_scope.cancel()
                if self._failure is not None:
                    streams.cancel_scope.cancel()
        sandbox.ends.end_outputs()
        if self._failure is not None:
            raise self._failure
        for fd, stream in self._unread.items():
            await self.output.pump(stream, fd)
        for drain in self.drains:
            await drain()

    def take_output(self, stream: str) -> int:
        """An output's end, before `watch`: somebody else is to pump it, and to close it."""
        return self._sandbox.take_output(stream)

    def take_stdin(self) -> int:
        """The same of the stdin's end; who takes it calls `count_stdin`."""
        return self._sandbox.ends.take_stdin()

    def count_stdin(self, count: int) -> None:
        """So many bytes were written to the payload's stdin."""
        self._stdin_bytes += count

    def pids(self) -> list[int]:
        """The payload's processes, but for zombies."""
        return self._sandbox.cgroup.pids()

    def cpu_seconds(self) -> float:
        """CPU time of the payload so far."""
        return self._sandbox.cgroup.cpu_seconds()

    async def _serve(self, streams: trio.Nursery | None) -> None:
        """Until no process of the payload is left; or, without a nursery, until one writes."""
        events = self._sandbox.events
        while not self._is_done():
            with self._patience() as scope:
                while not scope.cancel_called and not self._is_done():
                    await trio.lowlevel.wait_readable(events)
                    writing = []
                    for fd, happened in events.poll(0):
                        if fd in self._unread:
                            writing.append(fd)
                        else:
                            self._hear(fd, happened)
                    if self._is_done() or (writing and streams is None):
                        return
                    for fd in writing:
                        events.unregister(fd)
                        streams.start_soon(self.output.pump, self._unread.pop(fd), fd)
            self._keep_time()

    def _is_done(self) -> bool:
        return self._failure is not None or (self.ending.over.is_set() and self._is_empty)

    def _hear(self, fd: int, happened: int) -> None:
        """Something has happened in the sandbox."""
        sandbox = self._sandbox
        if fd == sandbox.control_fd:
            self._hear_init()
        elif fd == sandbox.cgroup.oom_fd:
            # v1 kills one process and leaves the rest (no memory.oom.group): end the whole job.
            sandbox.events.unregister(fd)  # it stays readable
            self.ending.limit("memory")
        elif fd == sandbox.report_fd:
            sandbox.events.unregister(fd)
            sandbox.send_kept_signals()
        elif happened & select.EPOLLIN:
            self._hear_filter(fd)
        else:  # nobody has the filter any more
            sandbox.events.unregister(fd)

    async def collect(
        self,
        destinations: tuple[artifacts.Destination, ...],
        start_collector: Callable[[CollectPlan, tuple[int, ...]], Awaitable[int]],
    ) -> dict[str, str]:
        """Read the artifacts through a collector, while init still holds the mounts."""
        if not destinations:
            return {}
        read_fd, write_fd = os.pipe()
        fds: tuple[int, ...] = (write_fd,)
        try:
            os.set_blocking(read_fd, False)
            plan = CollectPlan(
                INSIDE_ID,
                self._sandbox.lease is not None,
                last_capability(),
                tuple(destination.artifact.path for destination in destinations),
                self._limits.disk_bytes,
                seccomp.collector_filter(),
            )
            try:
                fds += await self._sandbox.open_namespaces()
            except OSError as error:
                raise ZygoteError("the sandbox's init died; its artifacts are lost") from error
            pidfd = await start_collector(plan, fds)
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            for fd in fds:
                os.close(fd)
        try:
            return await artifacts.receive(destinations, read_fd, plan.max_bytes)
        finally:
            os.close(read_fd)  # a collector that still writes ends by SIGPIPE's error
            try:
                await trio.lowlevel.wait_readable(pidfd)
            finally:
                os.close(pidfd)

    def result(self, **context: Mapping[str, Any]) -> Result:
        """Read the counters, which stand still now, and decide. `context`: walls, grades, …"""
        usage = self._sandbox.cgroup.sample()
        self._sample_scratch()
        ending, limits = self.ending, self._limits
        wall_seconds = ending.ended_at - self._started_at
        verdict, evidence = decide(
            ending.verdict,
            ending.evidence,
            exit_code=ending.exit_code,
            signal_number=ending.signal,
            wall_seconds=wall_seconds,
            usage=usage,
            scratch=self._scratch,
            is_output_over=self.output.is_over,
            limits=limits,
        )
        overshoot = {"wall": max(0.0, wall_seconds - limits.wall_seconds)}
        if limits.cpu_seconds is not None:
            overshoot["cpu_time"] = max(0.0, usage.cpu_seconds - limits.cpu_seconds)
        return Result(
            verdict=verdict,
            exit_code=ending.exit_code,
            signal=ending.signal,
            evidence=tuple(evidence),
            cpu_seconds=usage.cpu_seconds,
            cpu_user_seconds=usage.cpu_user_seconds,
            cpu_system_seconds=usage.cpu_system_seconds,
            wall_seconds=wall_seconds,
            memory_peak_bytes=usage.memory_peak_bytes,
            memory_split_bytes=dict(self._split),
            processes_peak=usage.processes_peak,
            throttled_seconds=usage.throttled_seconds,
            disk_peak_bytes=self._scratch.peak_bytes,
            disk_peak_inodes=self._scratch.peak_inodes,
            stdout_bytes=self.output.bytes["stdout"],
            stderr_bytes=self.output.bytes["stderr"],
            stdin_bytes=self._stdin_bytes,
            overshoot=overshoot,
            **context,  # type: ignore[arg-type]
        )

    async def _feed_stdin(self, stdin: AsyncIterator[bytes], scope: trio.CancelScope) -> None:
        terminal_fd = self._sandbox.terminal_fd
        fd = self._sandbox.ends.stdin_fd if terminal_fd is None else terminal_fd
        with scope, contextlib.suppress(OSError):  # the reader is gone
            await feed(stdin, fd, self.count_stdin)
            if terminal_fd is not None:  # it has no end; this is how its user tells one
                os.write(fd, _END_OF_FILE)
        if terminal_fd is None:
            self._sandbox.ends.close_stdin()  # EOF for the job

    def _hear_init(self) -> None:
        has_exited = False
        for report in self._sandbox.reports():
            if report is None:
                self._failure = ZygoteError(
                    "the sandbox's init died while the job ran; its result is lost"
                )
            elif report.kind == Kind.EMPTY:
                self._is_empty = True
            elif report.kind == Kind.EXITED and (report.third or self._was_ended_early(report)):
                self.ending.exited(signaled=bool(report.first), status=report.second)
                has_exited = True
            elif report.kind == Kind.EXITED:
                self._failure = self._sandbox.never_executed()
        if self._is_empty and not self.ending.over.is_set() and self._failure is None:
            self._failure = ZygoteError("the payload's end was not told; its result is lost")
        if has_exited and not self._is_empty:
            # What it left behind may hold its streams open, and must not outlive it.
            self._sandbox.kill_payload()

    def _was_ended_early(self, report: Report) -> bool:
        """Whether it was we who killed a stub that was about to execute its job."""
        return self.ending.verdict is not None and bool(report.first)

    def _hear_filter(self, listener_fd: int) -> None:
        violation = seccomp.receive(listener_fd)
        if violation is not None:  # else its caller was killed first
            # Never answered: the caller stays in the call until the kill.
            evidence = f"seccomp: {violation.text} by pid {_pid_inside(violation.pid)}"
            self.ending.limit("violation", evidence)

    def _patience(self) -> contextlib.AbstractContextManager[trio.CancelScope]:
        """Bounds the wait for anything to happen."""
        if self._drain_at is not None:
            return trio.CancelScope(deadline=self._drain_at)
        return self._caller.cancellation.interrupts(min(self._look_at, self._wall_ends_at))

    @property
    def _wall_ends_at(self) -> float:
        return self._started_at + self._limits.wall_seconds + self._limits.extra_seconds

    def _keep_time(self) -> None:
        now = trio.current_time()
        if self._drain_at is None:
            self._keep_limits(now)
            if self.ending.has_begun:
                self._drain_at = now + _DRAIN_SECONDS
        elif now >= self._drain_at and not self._is_init_killed:
            self._sandbox.kill_init()
            self._is_init_killed = True
            self._drain_at = now + _DRAIN_SECONDS
        elif now >= self._drain_at:
            # In an uninterruptible sleep, or frozen: kill(2) has no effect until that ends.
            verdict = self.ending.verdict or "none"
            self._failure = ZygoteError(
                f"the job does not end, though it was killed (its verdict so far: {verdict}); its "
                "processes keep their id and cgroup until they do"
            )

    def _keep_limits(self, now: float) -> None:
        if self._caller.cancellation.is_set:
            self.ending.limit("cancelled", "the caller cancelled the job")
        if now >= self._wall_ends_at:
            used = now - self._started_at
            self.ending.limit("wall_time", wall_evidence(used, self._limits.wall_seconds))
        if now >= self._look_at:
            self._look(now)

    def _look(self, now: float) -> None:
        """CPU time and idleness, which only looking tells; and samples for the Result."""
        limits, cgroup = self._limits, self._sandbox.cgroup
        used = cgroup.cpu_seconds()
        moved = self.output.total_bytes + self._stdin_bytes
        if used > self._seen[0] + _IDLE_CPU_SECONDS or moved != self._seen[1]:
            self._seen, self._seen_at = (used, moved), now
        elif limits.idle_seconds is not None and now - self._seen_at >= limits.idle_seconds:
            self.ending.limit("idle", f"no CPU time and no I/O for {limits.idle_seconds:g} s")
        if limits.cpu_seconds is not None and used >= limits.cpu_seconds + limits.extra_seconds:
            self.ending.limit("cpu_time", cpu_evidence(used, limits.cpu_seconds))
        self._sample_scratch()
        self._sample_memory(cgroup.memory_split())
        self._plan_next_look(used)

    def _plan_next_look(self, used: float) -> None:
        limits = self._limits
        pause = _LOOK_SECONDS
        if limits.idle_seconds is not None:
            pause = min(pause, max(limits.idle_seconds / 4, _LEAST_LOOK_SECONDS))
        if limits.cpu_seconds is not None:
            left = limits.cpu_seconds + limits.extra_seconds - used
            # It cannot use more than this many seconds in less time than that.
            cores = min(limits.cpus, CORES)
            pause = min(pause, max(left / cores, _LEAST_LOOK_SECONDS))
        self._look_at = trio.current_time() + pause

    def _sample_scratch(self) -> None:
        found = os.fstatvfs(self._sandbox.scratch_fd)
        self._scratch.seen(
            found.f_blocks, found.f_bfree, found.f_frsize, found.f_files, found.f_ffree
        )

    def _sample_memory(self, split: Mapping[str, int]) -> None:
        for part, count in split.items():
            self._split[part] = max(self._split.get(part, 0), count)


def _pid_inside(pid: int) -> str:
    """The pid that a process of ours has in its own, innermost namespace. proc_pid_status(5)."""
    try:
        status = Path(f"/proc/{pid}/status").read_bytes()
    except OSError:  # dead already, by another's kill
        return "?"
    # Its name comes first, and is the job's: any bytes, of which the kernel escapes newlines only.
    found = _INNERMOST_PID.search(status)
    return found[1].decode() if found else "?"
