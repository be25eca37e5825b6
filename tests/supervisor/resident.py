"""A supervisor with a pool, for tests: any job on it, and by which way each got its sandbox."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import Policy, limits_for, load_policy
from sandbox.spec.result import Result
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.live import Live
from sandbox.supervisor.planner import Shape
from sandbox.supervisor.pool import Budget, Line, Pool
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.startup import Ground, start_keeper, take_ground
from sandbox.supervisor.streams import Sink
from sandbox.supervisor.supervisor import Supervisor, open_supervisor
from sandbox.supervisor.template import Template
from sandbox.supervisor.zygote import ZygoteProcess

__all__ = [
    "HELD", "PATIENCE_SECONDS", "ROOMY", "TRUE", "Held", "Outcome", "Resident", "Spy",
    "python", "resident", "until",
]  # fmt: skip

PATIENCE_SECONDS = 60
ROOMY = Budget(memory_bytes=64 << 20, least_free_bytes=0)
TRUE = Job((b"/usr/bin/true",), "native")
HELD = Job((b"/usr/bin/cat",), "native")  # runs until its stdin ends


def python(program: str, policy: str = "default") -> Job:
    """A job of a Python program."""
    return Job((b"python3", b"-I", b"-S", b"-c", program.encode()), policy)


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds; nothing tells of it, and the patience is that of `resident`."""
    while not condition():
        await trio.sleep(0.005)


class Outcome(NamedTuple):
    """What came of one job: a result, or an error of ours."""

    result: Result | None
    error: SandboxError | None
    stdout: bytes
    stderr: bytes

    def must_end(self) -> Result:
        """The result, where there must be one."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class Held:
    """A stdin that says when its job runs (it has read what came first), and ends when told."""

    def __init__(self) -> None:
        self.runs, self.end = trio.Event(), trio.Event()

    async def stdin(self) -> AsyncIterator[bytes]:
        yield b"up\n"
        await self.end.wait()

    async def sink(self, _stream: str, _data: bytes) -> None:
        self.runs.set()


class Spy:
    """Every sandbox, by the way it came to be."""

    def __init__(self) -> None:
        self.taken: list[Sandbox] = []  # from the pool, by a job
        self.requested: list[Sandbox] = []  # built for a job, because none was parked
        self.parked: list[Sandbox] = []  # built by a refill
        self.limits: dict[Sandbox, Limits] = {}  # that it was built with
        self.refills = 0  # begun
        self.most_idle = 0
        self._refilling: set[object] = set()  # the tasks that do

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Look on at every pool and template from here on."""
        take, build, refill, keep = Pool.take, Template.build, Line.refill, Pool.keep_filled

        def seen_take(pool: Pool, line: Line) -> Sandbox | None:
            sandbox = take(pool, line)
            if sandbox is not None:
                self.taken.append(sandbox)
            return sandbox

        async def seen_build(
            template: Template, shape: Shape, limits: Limits, *, disk_apart: bool
        ) -> Sandbox:
            is_refill = trio.lowlevel.current_task() in self._refilling
            sandbox = await build(template, shape, limits, disk_apart=disk_apart)
            (self.parked if is_refill else self.requested).append(sandbox)
            self.limits[sandbox] = limits
            return sandbox

        async def seen_refill(line: Line) -> None:
            self.refills += 1
            task = trio.lowlevel.current_task()
            self._refilling.add(task)
            try:
                await refill(line)
            finally:
                self._refilling.remove(task)
            idle = sum(len(line.idle) for line in self._pool._lines.values())
            self.most_idle = max(self.most_idle, idle)

        async def seen_keep_filled(pool: Pool) -> None:
            self._pool = pool
            await keep(pool)

        patch.setattr(Pool, "take", seen_take)
        patch.setattr(Template, "build", seen_build)
        patch.setattr(Line, "refill", seen_refill)
        patch.setattr(Pool, "keep_filled", seen_keep_filled)


class Resident:
    """One supervisor, and the spy that looks on."""

    def __init__(self, supervisor: Supervisor, ground: Ground, spy: Spy) -> None:
        self.supervisor, self.ground, self.spy = supervisor, ground, spy
        self.pool = supervisor.pool

    async def run(
        self,
        job: Job,
        policy: Policy | None = None,
        *,
        stdin: AsyncIterator[bytes] | None = None,
        sink: Sink | None = None,
        cancellation: Cancellation | None = None,
        started: Callable[[Live], None] | None = None,
    ) -> Outcome:
        """Run one job of its own policy, or of this one, to its end."""
        streams = {"stdout": bytearray(), "stderr": bytearray()}

        async def keep(stream: str, data: bytes) -> None:
            streams[stream] += data

        policy = policy or load_policy(job.policy)
        caller = Caller(sink or keep, stdin, cancellation or Cancellation(), started)
        result = error = None
        files = Files.open(job)
        try:
            limits = limits_for(job, policy)
            result = await self.supervisor.run(job, policy, limits, files, caller)
        except SandboxError as raised:
            error = raised
        finally:
            files.close()
        return Outcome(result, error, *map(bytes, streams.values()))

    async def at_once(self, count: int, job: Job = HELD, policy: Policy | None = None) -> None:
        """Run so many that end only when all of them run: a pool then parks as many."""
        held = [Held() for _ in range(count)]
        async with trio.open_nursery() as nursery:
            for one in held:
                nursery.start_soon(self._hold, one, job, policy)
            for one in held:
                await one.runs.wait()
            for one in held:
                one.end.set()

    async def parked(
        self, count: int = 1, job: Job = HELD, policy: Policy | None = None
    ) -> list[Sandbox]:
        """Have so many parked for such jobs, which read their stdin, or run one that does not."""
        if count == 1:
            (await self.run(job, policy)).must_end()
        else:
            await self.at_once(count, job, policy)
        await self.pool.filled()
        return self.idle

    @property
    def idle(self) -> list[Sandbox]:
        """What is parked now, in no order."""
        return [sandbox for line in self.pool._lines.values() for sandbox in line.idle]

    def zygote(self, number: int = 0) -> ZygoteProcess | None:
        """The zygote that serves the template used last, or so many before."""
        found = self.supervisor._templates[number]._zygote
        return found and found.process

    def cgroups(self) -> list[Path]:
        """The directories of all sandboxes that are not destroyed yet."""
        runs = (base for text in self.ground.backend.path.split() for base in Path(text).glob("*"))
        own = f"sandbox-run-{os.getpid()}-"
        return [job for run in runs if run.name.startswith(own) for job in run.glob("job-*")]

    async def _hold(self, held: Held, job: Job, policy: Policy | None) -> None:
        (await self.run(job, policy, stdin=held.stdin(), sink=held.sink)).must_end()


@asynccontextmanager
async def resident(
    budget: Budget | None = ROOMY, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Resident]:
    """A resident supervisor, for at most so long."""
    spy = Spy()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch, trio.fail_after(patience):
        spy.watch(patch)
        keeper = start_keeper()
        stack.callback(keeper.close_all)
        ground, files = take_ground(keeper, TRUE)
        stack.callback(ground.close)
        files.close()
        async with open_supervisor(ground, budget) as supervisor:
            yield Resident(supervisor, ground, spy)
