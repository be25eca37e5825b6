"""One job, from a built sandbox to a Result. What the job does is in the Result."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from sandbox.boundary.plan import CollectPlan, JobPlan
from sandbox.boundary.report import Kind
from sandbox.spec.errors import ZygoteError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.result import Result
from sandbox.supervisor import artifacts, seccomp
from sandbox.supervisor.cgroup import Usage
from sandbox.supervisor.ending import Ending
from sandbox.supervisor.rootfs import INSIDE_ID
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.streams import Output, Sink, feed, open_pipes
from sandbox.supervisor.verdict import (
    Scratch,
    cpu_evidence,
    decide,
    wall_evidence,
)
from sandbox.supervisor.zygote import Zygote

__all__ = ["Caller", "Run"]

_LOOK_SECONDS = 0.1  # the longest time between two looks at what is only sampled
_LEAST_LOOK_SECONDS = 0.002  # so a job's CPU time is seen at most about this late, on an idle host
_END_OF_FILE = b"\x04"  # VEOF of a new terminal, termios(3)
_IDLE_CPU_SECONDS = 0.001  # less progress between two looks than this is none


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a job's streams come from and go to, and what tells that the caller has enough."""

    sink: Sink  # called with "stdout" or "stderr", and bytes
    stdin: AsyncIterator[bytes] | None
    cancelled: trio.Event
    terminal_started: Callable[[int], None] | None = None  # with the pty's master fd


class Run:
    """One job's run in one sandbox."""

    def __init__(
        self, sandbox: Sandbox, zygote: Zygote, job: Job, limits: Limits, caller: Caller
    ) -> None:
        self._sandbox = sandbox
        self._zygote = zygote
        self._job = job
        self._limits = limits
        self._caller = caller
        self._ending = Ending(sandbox.kill_payload)
        self._output = Output(limits, caller.sink, self._ending)
        self._scratch = Scratch()
        self._split: dict[str, int] = {}
        self._stdin_bytes = 0
        self._started_at = 0.0
        self._fds: list[int] = []

    async def lock_and_execute(self, plan: JobPlan, sources: tuple[artifacts.Source, ...]) -> bool:
        """Give the stub its job and its streams; on return the payload runs.

        False: the caller cancelled first, and nothing has run.
        """
        theirs: list[int] = []
        if not plan.terminal:
            theirs, self._fds = open_pipes()
        inputs_fd = -1
        if plan.has_inputs:
            read_fd, inputs_fd = os.pipe()
            os.set_blocking(inputs_fd, False)
            theirs.append(read_fd)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._give_up_when_cancelled, nursery.cancel_scope)
                if plan.has_inputs:
                    nursery.start_soon(artifacts.send, sources, inputs_fd)
                await self._sandbox.lock(plan, tuple(theirs))
                nursery.cancel_scope.cancel()
        finally:
            for fd in (*theirs, *([inputs_fd] if plan.has_inputs else [])):
                os.close(fd)
        self._started_at = trio.current_time()
        if self._caller.cancelled.is_set():
            self._ending.cancelled_early()
            return False
        await self._sandbox.execute(self._job.command[0])
        self._started_at = trio.current_time()
        return True

    async def watch(self) -> None:
        """Serve the job until its end: its streams, and every limit that somebody must watch."""
        ending = self._ending
        terminal_fd = self._sandbox.terminal_fd
        async with trio.open_nursery() as watchers:
            watchers.start_soon(self._watch_init)
            watchers.start_soon(self._watch_wall)
            watchers.start_soon(self._watch_counters)
            watchers.start_soon(self._watch_cancel)
            if self._sandbox.cgroup.oom_fd is not None:
                watchers.start_soon(self._watch_memory, self._sandbox.cgroup.oom_fd)
            if self._sandbox.listener_fd is not None:
                watchers.start_soon(self._watch_violation, self._sandbox.listener_fd)
            async with trio.open_nursery() as streams:
                if terminal_fd is not None:
                    os.set_blocking(terminal_fd, False)
                    if self._caller.terminal_started is not None:
                        self._caller.terminal_started(terminal_fd)
                    watchers.start_soon(self._feed_stdin, terminal_fd)
                    streams.start_soon(self._output.pump, "stdout", terminal_fd)
                else:
                    watchers.start_soon(self._feed_stdin, self._fds[0])
                    streams.start_soon(self._output.pump, "stdout", self._fds[1])
                    streams.start_soon(self._output.pump, "stderr", self._fds[2])
                await ending.wait()
                # What it left behind may hold its streams open, and must not outlive it.
                await self._sandbox.kill_payload()
            # The writers are dead, so the streams did end; output may trail the exit until here.
            await self._sandbox.drain()
            watchers.cancel_scope.cancel()

    async def collect(
        self, destinations: tuple[artifacts.Destination, ...], *, drops_groups: bool
    ) -> dict[str, str]:
        """Read the artifacts through a collector, while init still holds the mounts."""
        if not destinations:
            return {}
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        plan = CollectPlan(
            INSIDE_ID,
            drops_groups,
            tuple(destination.artifact.path for destination in destinations),
            self._limits.disk_bytes,
            seccomp.collector_filter(),
        )
        fds = (write_fd, self._sandbox.user_ns_fd, self._sandbox.mount_ns_fd)
        try:
            _pid, pidfd = await self._zygote.collect(plan, fds)
        finally:
            os.close(write_fd)
        try:
            return await artifacts.receive(destinations, read_fd)
        finally:
            os.close(read_fd)  # a collector that still writes ends by SIGPIPE's error
            await trio.lowlevel.wait_readable(pidfd)
            os.close(pidfd)

    def result(self, **context: Mapping[str, Any]) -> Result:
        """Read the counters, which stand still now, and decide. `context`: walls, grades, …"""
        usage = self._sandbox.cgroup.sample()
        self._sample_scratch()
        ending, limits = self._ending, self._limits
        wall_seconds = ending.ended_at - self._started_at
        verdict, evidence = decide(
            ending.verdict,
            ending.evidence,
            exit_code=ending.exit_code,
            signal_number=ending.signal,
            wall_seconds=wall_seconds,
            usage=usage,
            scratch=self._scratch,
            is_output_over=self._output.is_over,
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
            stdout_bytes=self._output.bytes["stdout"],
            stderr_bytes=self._output.bytes["stderr"],
            stdin_bytes=self._stdin_bytes,
            overshoot=overshoot,
            **context,  # type: ignore[arg-type]
        )

    def close(self) -> None:
        """Close our ends of the job's streams."""
        while self._fds:
            fd = self._fds.pop()
            if fd >= 0:
                os.close(fd)

    async def _watch_init(self) -> None:
        while True:
            report = await self._sandbox.next_end()
            if report is None:
                raise ZygoteError("the sandbox's init died while the job ran; its result is lost")
            if report.kind == Kind.EXITED:
                if not report.third:
                    raise self._sandbox.never_executed()
                self._ending.exited(signaled=bool(report.first), status=report.second)

    async def _watch_wall(self) -> None:
        limits = self._limits
        await trio.sleep_until(self._started_at + limits.wall_seconds + limits.extra_seconds)
        used = trio.current_time() - self._started_at
        await self._ending.limit("wall_time", wall_evidence(used, limits.wall_seconds))

    async def _watch_counters(self) -> None:
        """CPU time and idleness, which only looking tells; and samples for the Result."""
        limits, cgroup = self._limits, self._sandbox.cgroup
        cores = min(limits.cpus, os.cpu_count() or 1)
        seen, seen_at = (-1.0, -1), trio.current_time()
        while True:
            used, now = cgroup.cpu_seconds(), trio.current_time()
            moved = self._output.total_bytes + self._stdin_bytes
            if used > seen[0] + _IDLE_CPU_SECONDS or moved != seen[1]:
                seen, seen_at = (used, moved), now
            pause = _LOOK_SECONDS
            if limits.idle_seconds is not None:
                pause = min(pause, max(limits.idle_seconds / 4, _LEAST_LOOK_SECONDS))
                if now - seen_at >= limits.idle_seconds:
                    await self._ending.limit(
                        "idle", f"no CPU time and no I/O for {limits.idle_seconds:g} s"
                    )
            if limits.cpu_seconds is not None:
                left = limits.cpu_seconds + limits.extra_seconds - used
                if left <= 0:
                    evidence = cpu_evidence(used, limits.cpu_seconds)
                    await self._ending.limit("cpu_time", evidence)
                # It cannot use more than this many seconds in less time than that.
                pause = min(pause, max(left / cores, _LEAST_LOOK_SECONDS))
            self._sample_scratch()
            self._sample_memory(cgroup.sample())
            await trio.sleep(pause)

    async def _watch_memory(self, oom_fd: int) -> None:
        # v1 kills one process and leaves the rest (no memory.oom.group): end the whole job.
        await trio.lowlevel.wait_readable(oom_fd)
        await self._ending.limit("memory")

    async def _watch_violation(self, listener_fd: int) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener_fd)
            violation = seccomp.receive(listener_fd)
            if violation is None:  # the caller was killed first, or nobody has the filter any more
                await trio.sleep(_LEAST_LOOK_SECONDS)
            else:
                # Never answered: the caller stays in the call until the kill.
                evidence = f"seccomp: {violation.text} by pid {_pid_inside(violation.pid)}"
                await self._ending.limit("violation", evidence)
                return

    async def _give_up_when_cancelled(self, scope: trio.CancelScope) -> None:
        await self._caller.cancelled.wait()
        scope.cancel()

    async def _watch_cancel(self) -> None:
        await self._caller.cancelled.wait()
        await self._ending.limit("cancelled", "the caller cancelled the job")

    async def _feed_stdin(self, fd: int) -> None:
        if self._caller.stdin is not None:
            with contextlib.suppress(OSError):  # the reader is gone
                await feed(self._caller.stdin, fd, self._count_stdin)
                if not self._fds:  # a terminal has no end; this is how its user tells one
                    os.write(fd, _END_OF_FILE)
        if self._fds:
            self._fds[0] = -1
            os.close(fd)  # EOF for the job; a terminal's stays open for its output

    def _count_stdin(self, count: int) -> None:
        self._stdin_bytes += count

    def _sample_scratch(self) -> None:
        found = os.fstatvfs(self._sandbox.scratch_fd)
        self._scratch.seen(
            found.f_blocks, found.f_bfree, found.f_frsize, found.f_files, found.f_ffree
        )

    def _sample_memory(self, usage: Usage) -> None:
        for part, count in usage.memory_split_bytes.items():
            self._split[part] = max(self._split.get(part, 0), count)


def _pid_inside(pid: int) -> str:
    """The pid that a process of ours has in its own, innermost namespace. proc_pid_status(5)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # dead already, by another's kill
        return "?"
    return next((line.split()[-1] for line in lines if line.startswith("NSpid:")), "?")
