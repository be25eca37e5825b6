"""A supervisor that stays, as a daemon's would: jobs one after the other, or side by side."""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.spec.result import Result
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.pool import SANDBOX_BYTES, Budget
from sandbox.supervisor.startup import start_keeper, take_ground
from sandbox.supervisor.streams import Sink
from sandbox.supervisor.supervisor import Supervisor, open_supervisor

__all__ = ["Resident", "resident"]


class Resident:
    """One supervisor, for jobs of one policy and files."""

    def __init__(self, job: Job, supervisor: Supervisor, files: Files, zygote_pid: int) -> None:
        self._supervisor = supervisor
        self._files = files
        self._policy = load_policy(job.policy)
        self.pids = {"supervisor": os.getpid(), "zygote": zygote_pid}

    async def run(
        self, job: Job, stdin: AsyncIterator[bytes] | None = None, sink: Sink | None = None
    ) -> bytes:
        """One job; its stdout, unless `sink` has taken it. It must exit with 0."""
        output = bytearray()

        async def keep(_stream: str, data: bytes) -> None:
            output.extend(data)

        caller = Caller(sink or keep, stdin, Cancellation())
        limits = limits_for(job, self._policy)
        result: Result = await self._supervisor.run(job, self._policy, limits, self._files, caller)
        if result.exit_code != 0:
            raise RuntimeError(f"{result.verdict} {result.evidence}: {bytes(output)!r}")
        return bytes(output)

    async def filled(self) -> None:
        """Wait until the pool is full again, where there is one."""
        await self._supervisor.pool.filled()


@asynccontextmanager
async def resident(job: Job, *, warm: int = 0) -> AsyncIterator[Resident]:
    """A resident supervisor for jobs of the policy and inputs of this one.

    `warm`: how many sandboxes may be parked ahead of their jobs; 0: every one is made on request.
    """
    with ExitStack() as stack:
        keeper = start_keeper()
        stack.callback(keeper.close_all)
        ground, files = take_ground(keeper, job)
        stack.callback(ground.close)
        stack.callback(files.close)
        budget = Budget(memory_bytes=warm * SANDBOX_BYTES) if warm else None
        async with open_supervisor(ground, budget) as supervisor:
            yield Resident(job, supervisor, files, keeper.first.pid)
