"""The supervisor: takes what a job needs, runs it, and gives everything back."""

import contextlib
import functools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import trio

from sandbox.boundary.plan import Bind
from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import Policy
from sandbox.spec.result import Result
from sandbox.supervisor import deadlock, rootfs
from sandbox.supervisor.failures import first_failure, told_as
from sandbox.supervisor.files import Files
from sandbox.supervisor.host import TimeFacts, time_facts
from sandbox.supervisor.lifecycle import Caller, Run, not_started
from sandbox.supervisor.pipeline import Member, Pipe, Pipeline, check_pipes
from sandbox.supervisor.planner import (
    affinity_of,
    check_core,
    disk_of,
    grades_of,
    refuse_weak_grades,
    rlimits_of,
    shape_of,
    template_key,
)
from sandbox.supervisor.pool import AFTERWARDS_SECONDS, Budget, Pool
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.startup import Ground
from sandbox.supervisor.template import Template

__all__ = ["Supervisor", "first_failure", "open_supervisor"]

_Start = Callable[[Run], Awaitable[None]]  # waits until a job that is ready to execute may

_MOST_TEMPLATES = 8  # a zygote each, of some 10 MiB
_STALE_SECONDS = 1.0  # for so long a template may be used after its root has changed


@contextlib.asynccontextmanager
async def open_supervisor(
    ground: Ground, budget: Budget | None = None
) -> AsyncIterator["Supervisor"]:
    """A supervisor, for as long as this lasts. Without a budget every sandbox is made on request.

    At its end every zygote and sandbox is gone; `ground` stays the caller's.
    """
    async with trio.open_nursery() as endings, trio.open_nursery() as background:
        supervisor = Supervisor(ground, budget or Budget(memory_bytes=0), endings)
        if budget is not None:
            background.start_soon(supervisor.pool.keep_filled)
        try:
            yield supervisor
        finally:
            background.cancel_scope.cancel()
            supervisor.close()


class Supervisor:
    """Runs jobs, each in a sandbox of its own. Made by `open_supervisor`."""

    def __init__(self, ground: Ground, budget: Budget, endings: trio.Nursery) -> None:
        """endings: for what must come to its end, whoever cancels."""
        self._ground = ground
        self._endings = endings
        self._templates: list[Template] = []  # the last used one first
        self._retired: list[Template] = []  # to be closed when no job uses them any more
        self._looked_at = 0.0
        self.pool = Pool(budget, self._dispose)

    async def run(
        self, job: Job, policy: Policy, limits: Limits, files: Files, caller: Caller
    ) -> Result:
        """Run one job to its end. Raises only for our failures; nothing is left in any case: what
        is not gone when this returns goes soon after.
        """
        return await self._run(Member(job, policy, limits, files, caller), None)

    async def run_pipeline(
        self,
        members: Sequence[Member],
        pipes: Sequence[Pipe],
        ended: Callable[[int, Result | SandboxError], None] | None = None,
        closed: Callable[[int], None] = lambda _: None,
    ) -> list[Result | SandboxError]:
        """Run jobs connected by pipes, each to its own end: what came of each, in their order.

        All sandboxes stand before the first payload executes; where one cannot be built, none does,
        and the others' RefusedError says why. `ended` is told of each member when it has ended, and
        `closed` which member closed its end of a pipe, before the member at the other can see it.
        Raises SpecError: they cannot be connected so.
        """
        check_pipes(members, pipes)
        outcomes: dict[int, Result | SandboxError] = {}

        async def run(index: int) -> None:
            failure = None
            try:
                outcomes[index] = await self._run(
                    members[index], functools.partial(pipeline.start, index)
                )
            except SandboxError as error:
                outcomes[index] = failure = error
            pipeline.leave(index, failure)
            if ended is not None:
                ended(index, outcomes[index])

        try:
            with told_as("running the pipeline"):
                async with trio.open_nursery() as looking:
                    async with trio.open_nursery() as running:
                        pipeline = Pipeline(members, pipes, running, closed)
                        if deadlock.can_deadlock(pipes):
                            looking.start_soon(deadlock.watch, pipeline, self._ground.lookout)
                        for index in range(len(members)):
                            running.start_soon(run, index)
                    looking.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
        return [outcomes[index] for index in range(len(members))]

    def close(self) -> None:
        """Drop what is parked and end the zygotes, some time later."""
        for template in (*self._templates, *self._retired):
            template.close()
        self.pool.drop()

    async def _run(self, member: Member, start: _Start | None) -> Result:
        try:
            return await self._run_one(member, start)
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
        finally:
            self._close_retired()  # when the job uses its template no more

    async def _run_one(self, member: Member, start: _Start | None) -> Result:
        job, policy, limits, files, caller = member
        ground = self._ground
        check_core(limits)
        grades = grades_of(limits, ground.backend)
        refuse_weak_grades(job, grades, ground.backend)
        with told_as("planning the job"):
            noise = time_facts()
            binds = rootfs.plan_binds(job)
            template = self._template(job, binds, policy)
        line = self.pool.line(template, shape_of(job, limits))
        is_apart = job.disk_counts == "apart"
        context: dict[str, Any] = {"walls": dict(template.planner.walls), "grades": grades}
        sandbox: Sandbox | None = None
        with self.pool.in_use(line, limits, disk_apart=is_apart):
            try:
                with caller.cancellation.interrupts():
                    with told_as("building a sandbox"):
                        sandbox = self.pool.take(line)
                        if sandbox is not None:
                            sandbox.cgroup.limit(limits, disk_apart=is_apart)
                        else:
                            sandbox = await template.build(line.shape, limits, disk_apart=is_apart)
                    with told_as("fitting the sandbox to its job"):
                        disk = disk_of(limits)
                        await sandbox.fit(binds, disk, files.sources, template.open_binds)
                        sandbox.limit(rlimits_of(limits, grades), affinity_of(limits, grades))
                        run = Run(sandbox, limits, caller)
                    if start is not None:
                        await start(run)
                context["identity"] = self._identity(sandbox)
                if sandbox is None or caller.cancellation.is_set:
                    return not_started(artifacts={}, host=self._host(noise), **context)
                with told_as("watching the job"):
                    await run.watch(job.command[0], template.planner.job(job, limits))
                with told_as("collecting its artifacts"):
                    collected = await run.collect(files.destinations, template.collect)
                with told_as("measuring the job"):
                    return run.result(artifacts=collected, host=self._host(noise), **context)
            finally:
                if sandbox is not None:
                    self._dispose(sandbox)

    def _host(self, noise: TimeFacts) -> dict[str, Any]:
        stand_ins = self._ground.backend.stand_ins
        return {**noise.since(), **({"stand_ins": dict(stand_ins)} if stand_ins else {})}

    def _identity(self, sandbox: Sandbox | None) -> dict[str, Any]:
        lease = sandbox and sandbox.lease
        return {
            "host_uid": lease.host_uid if lease else os.getuid(),
            "is_own": lease is not None,
            "why": self._ground.base.why,
        }

    def _template(self, job: Job, binds: tuple[Bind, ...], policy: Policy) -> Template:
        self._retire_stale()
        key = template_key(job, binds, policy)
        for template in self._templates:
            if template.key == key:
                self._templates.remove(template)
                break
        else:
            for other in list(self._templates):
                if other.key.policy.name == policy.name and other.key.policy != policy:
                    self._retire(other)  # the policy was edited
            template = Template(key, job, binds, self._ground, self._endings, self.pool.drop)
        self._templates.insert(0, template)
        for unused in self._templates[_MOST_TEMPLATES:]:
            self._retire(unused)
        return template

    def _retire_stale(self) -> None:
        if trio.current_time() - self._looked_at >= _STALE_SECONDS:
            self._looked_at = trio.current_time()
            for template in [t for t in self._templates if t.is_stale()]:
                self._retire(template)

    def _retire(self, template: Template) -> None:
        self._templates.remove(template)
        self._retired.append(template)
        template.is_retired = True
        self.pool.drop(template)
        self._close_retired()

    def _close_retired(self) -> None:
        for template in [t for t in self._retired if not self.pool.is_used(t)]:
            self._retired.remove(template)
            template.close()
            self.pool.drop(template)

    def _dispose(self, sandbox: Sandbox) -> None:
        self._endings.start_soon(_destroy, sandbox)


async def _destroy(sandbox: Sandbox) -> None:
    # It takes as long as a short job: first whoever waits for that gets to hear of its end.
    with trio.CancelScope(shield=True):
        await trio.sleep(AFTERWARDS_SECONDS)
    await sandbox.destroy()
