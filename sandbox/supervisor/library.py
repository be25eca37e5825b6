"""The supervisor as a library: jobs in the caller's own process, without a service."""

import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from sandbox.spec.errors import HostError
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.policy import limits_for, load_policy
from sandbox.spec.result import Completed
from sandbox.supervisor import supervisor as resident
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.pool import Budget
from sandbox.supervisor.startup import start_keeper, take_ground
from sandbox.supervisor.streams import Sink

__all__ = ["Supervisor"]


class Supervisor:
    """Runs jobs for as long as the `async with` block lasts, under trio.

    >>> async def main():
    ...     async with Supervisor() as supervisor:
    ...         done = await supervisor.run(["tr", "a-z", "A-Z"], stdin=b"hello")
    ...         print(done.result.verdict, done.stdout)
    >>> trio.run(main)
    exited b'HELLO'

    It takes what the host gives to this user (see `sandbox doctor`) and gives it back at the end.
    It locks its helpers and not this process, which is yours and may have other things to do:
    `sandbox serve` and `sandbox run` lock their own (supervisor/confinement.py).
    Not for root, which must drop its privileges for good before anything runs.
    """

    def __init__(self, budget: Budget | None = None, *, allow_degraded: bool = False) -> None:
        """`budget`: of sandboxes parked ahead of their jobs; None: the default one."""
        self._budget = budget or Budget()
        self._allow_degraded = allow_degraded
        self._held = contextlib.AsyncExitStack()
        self._supervisor: resident.Supervisor

    async def __aenter__(self) -> "Supervisor":
        """Raises HostError: the host lacks something, or this is root."""
        if os.geteuid() == 0:
            raise HostError(
                "a program that runs as root cannot run jobs in its own process, for it would have"
                " to give up root for good; fix: run it as an ordinary user, or use sandbox serve"
            )
        async with contextlib.AsyncExitStack() as held:
            keeper = start_keeper()
            held.callback(keeper.close_all)
            ground, _ = take_ground(keeper, allow_degraded=self._allow_degraded)
            held.callback(ground.close)
            opened = resident.open_supervisor(ground, self._budget)
            self._supervisor = await held.enter_async_context(opened)
            self._held = held.pop_all()
        return self

    async def __aexit__(self, *failure: Any) -> bool | None:
        return await self._held.__aexit__(*failure)

    async def run(
        self,
        job: Job | Sequence[str | bytes],
        *,
        stdin: bytes | AsyncIterator[bytes] = b"",
        sink: Sink | None = None,
        cancellation: Cancellation | None = None,
        **settings: Any,
    ) -> Completed:
        """Run one job to its end: a Job, or a command with `settings` as a spec file has them.

        `sink` is called with "stdout" or "stderr" and bytes, as they come; what it takes is not in
        the Completed. Artifacts go where the job says. Raises SpecError naming the field,
        RefusedError, HostError, SetupError, ExecError; what the job does wrong is in its result.
        """
        if not isinstance(job, Job):
            job = job_from_mapping({"command": list(job), **settings}, Path.cwd())
        elif settings:
            raise TypeError("settings are in the Job already")
        outputs = {"stdout": bytearray(), "stderr": bytearray()}

        async def keep(stream: str, data: bytes) -> None:
            outputs[stream] += data

        policy = load_policy(job.policy)
        limits = limits_for(job, policy)
        source = _once(stdin) if isinstance(stdin, bytes) else stdin
        caller = Caller(sink or keep, source, cancellation or Cancellation())
        files = Files.open(job)
        try:
            result = await self._supervisor.run(job, policy, limits, files, caller)
        finally:
            files.close()
        return Completed(result, bytes(outputs["stdout"]), bytes(outputs["stderr"]), {})


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data
