"""The supervisor: takes what a job needs, runs it, and gives everything back."""

import contextlib
import itertools
import os

import trio

from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import Policy
from sandbox.spec.result import Result
from sandbox.supervisor.artifacts import Files
from sandbox.supervisor.host import time_facts
from sandbox.supervisor.lifecycle import Caller, Run
from sandbox.supervisor.planner import Planner, check_core, grades_of, refuse_weak_grades
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.startup import Ground
from sandbox.supervisor.zygote import Zygote

__all__ = ["Supervisor"]

_TEARDOWN_SECONDS = 60


class Supervisor:
    """Runs jobs of one template, each in a sandbox of its own."""

    def __init__(self, ground: Ground, zygote: Zygote, planner: Planner) -> None:
        self._ground = ground
        self._zygote = zygote
        self._planner = planner
        self._numbers = itertools.count(1)

    async def run(
        self, job: Job, policy: Policy, limits: Limits, files: Files, caller: Caller
    ) -> Result:
        """Run one job to its end. Raises only for our failures; nothing is left in any case."""
        backend = self._ground.backend
        check_core(limits)
        grades = grades_of(limits, backend)
        refuse_weak_grades(job, grades, backend)
        noise = time_facts()
        async with contextlib.AsyncExitStack() as held:
            lease = None
            if self._ground.identities is not None:
                lease = self._ground.identities.lease()
                held.callback(lease.release)
            apart = job.disk_counts == "apart"
            name = f"job-{next(self._numbers)}"
            cgroup = backend.create(name, limits, disk_apart=apart, shown=policy.cgroup_files)
            plan = self._planner.sandbox(job, limits, lease, cgroup)
            sandbox = Sandbox(plan, cgroup, lease)
            held.push_async_callback(_destroy, sandbox)
            await sandbox.spawn(self._zygote)
            run = Run(sandbox, self._zygote, job, limits, caller)
            held.callback(run.close)
            job_plan = self._planner.job(job, limits, grades)
            collected: dict[str, str] = {}
            if await run.lock_and_execute(job_plan, files.sources):
                await run.watch()
                collected = await run.collect(files.destinations, drops_groups=lease is not None)
            own = lease is not None
            return run.result(
                walls=dict(self._planner.walls),
                grades=grades,
                artifacts=collected,
                identity={
                    "host_uid": lease.host_uid if lease else os.getuid(),
                    "is_own": own,
                    "why": "" if own else self._ground.base.why,
                },
                host=noise.since(),
            )


async def _destroy(sandbox: Sandbox) -> None:
    # Cancelled or not: a job holds processes, mounts and a uid until this is done.
    with trio.CancelScope(deadline=trio.current_time() + _TEARDOWN_SECONDS, shield=True):
        await sandbox.destroy()
