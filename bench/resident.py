"""A supervisor that stays, as a daemon's would: jobs one after the other, or side by side."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import trio

from sandbox.boundary.plan import SandboxPlan
from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor.lifecycle import Caller
from sandbox.supervisor.planner import Planner
from sandbox.supervisor.startup import start_zygote, take_ground
from sandbox.supervisor.supervisor import Supervisor
from sandbox.supervisor.zygote import Zygote, ZygoteProcess

__all__ = ["Resident", "resident"]


class _TimedZygote(Zygote):
    """Keeps when it was last asked for a sandbox."""

    asked_at = 0.0  # seconds of the wall clock: a job's other clocks are shifted

    async def spawn(self, plan: SandboxPlan, fds: tuple[int, ...]) -> tuple[int, int]:
        self.asked_at = time.time()
        return await super().spawn(plan, fds)


class Resident:
    """One zygote and its supervisor, for jobs of one template. Made inside trio."""

    def __init__(self, job: Job, process: ZygoteProcess, stack: ExitStack) -> None:
        ground, self._files = take_ground(process, job)
        stack.callback(ground.backend.close)
        stack.callback(self._files.close)
        self._policy = load_policy(job.policy)
        planner = Planner(job, self._policy, ground.backend)
        process.build_template(planner.template)
        self._zygote = _TimedZygote(process)
        self._supervisor = Supervisor(ground, self._zygote, planner)
        self.zygote_pid = process.pid

    @property
    def asked_at(self) -> float:
        """When the zygote was last asked for a sandbox: seconds of the wall clock."""
        return self._zygote.asked_at

    async def run(self, job: Job, stdin: AsyncIterator[bytes] | None = None) -> bytes:
        """One job; its stdout. It must exit with 0."""
        output = bytearray()

        async def sink(_stream: str, data: bytes) -> None:
            output.extend(data)

        caller = Caller(sink, stdin, trio.Event())
        limits = limits_for(job, self._policy)
        result = await self._supervisor.run(job, self._policy, limits, self._files, caller)
        if result.exit_code != 0:
            raise RuntimeError(f"{result.verdict} {result.evidence}: {bytes(output)!r}")
        return bytes(output)


@contextmanager
def resident(job: Job) -> Iterator[Resident]:
    """A resident supervisor for jobs of the root, policy and inputs of this one."""
    with ExitStack() as stack:
        process = start_zygote()
        closing = stack.enter_context(ExitStack())
        stack.callback(process.close)
        yield Resident(job, process, closing)
