"""Runs attacks as jobs of one policy, several at once, and judges them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import trio

from sandbox.attack.judge import ESCAPED, ODD, Outcome, judge
from sandbox.attack.program import Program
from sandbox.attack.targets import Targets
from sandbox.spec.errors import RefusedError, SetupError, ZygoteError
from sandbox.spec.job import Artifact, Input, Job
from sandbox.spec.policy import Policy, limits_for
from sandbox.spec.result import Result
from sandbox.supervisor.files import Files
from sandbox.supervisor.identity import BaseRanges, Identities, runtime_directory
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.pool import Budget
from sandbox.supervisor.startup import Ground
from sandbox.supervisor.supervisor import Supervisor, open_supervisor

__all__ = ["Runner"]

_AT_ONCE = 2 * (os.cpu_count() or 1)
_WALL_SECONDS = 60.0  # none takes one; that a host is busy is no escape
_PATIENCE_SECONDS = 30  # until the id of the job before is free again


class Runner:
    """Runs attacks under one policy."""

    def __init__(self, ground: Ground, policy: Policy, targets: Targets) -> None:
        self._ground, self._policy, self._targets = ground, policy, targets
        self._outcomes: dict[str, Outcome] = {}

    async def run_all(self, programs: Sequence[Program]) -> dict[str, Outcome]:
        """What came of each. Raises SandboxError: the host cannot run jobs."""
        alone = [program for program in programs if program.plant is not None]
        others = iter([program for program in programs if program.plant is None])

        async def run_others() -> None:
            for program in others:
                await self._run(supervisor, program)

        async with (
            open_supervisor(self._ground, Budget()) as supervisor,
            trio.open_nursery() as nursery,
        ):
            for _ in range(_AT_ONCE):
                nursery.start_soon(run_others)
        if alone:
            await self._run_with_one_id(alone)
        return self._outcomes

    async def _run_with_one_id(self, programs: Sequence[Program]) -> None:
        """Each after what was planted for it, as the same user of the host."""
        identities, base = self._ground.identities, self._ground.base
        if base.ranges is not None:
            uids, gids = (ids._replace(count=1) for ids in (base.ranges.uids, base.ranges.gids))
            directory = runtime_directory(base.uid)
            self._ground.identities = Identities(BaseRanges(uids, gids), directory)
        try:
            async with open_supervisor(self._ground) as supervisor:
                for program in programs:
                    await self._run(supervisor, program)
        finally:
            self._ground.identities = identities

    async def _run(self, supervisor: Supervisor, program: Program) -> None:
        attack = program.attack
        try:
            if program.plant is not None:
                result, output = await self._job(supervisor, program, program.plant)
                planted = judge(attack, program.plant_steps, self._policy, result, output)
                if planted.state != ESCAPED:  # there is nothing to be found
                    self._outcomes[attack.name] = planted
                    return
            result, output = await self._job(supervisor, program, program.path)
        except (SetupError, ZygoteError) as error:
            self._outcomes[attack.name] = Outcome(ODD, str(error))
            return
        collected = None if attack.artifact is None else self._take_artifact(program)
        self._outcomes[attack.name] = judge(
            attack, program.steps, self._policy, result, output, collected
        )

    async def _job(
        self, supervisor: Supervisor, program: Program, path: Path
    ) -> tuple[Result, bytes]:
        """Run one program; its result, and what it said on stdout."""
        attack, programs = program.attack, self._targets.programs
        artifacts: tuple[Artifact, ...] = ()
        if attack.artifact is not None:
            artifacts = (Artifact(b"/work/" + attack.artifact, self._artifact(program)),)
        job = Job(
            command=(os.fsencode(path),),
            policy=self._policy.name,
            limits={"wall_seconds": _WALL_SECONDS, **attack.limits},
            inputs=(Input(programs, os.fsencode(programs), copied=False),),
            artifacts=artifacts,
        )
        limits = limits_for(job, self._policy)
        output = bytearray()

        async def keep(stream: str, data: bytes) -> None:
            if stream == "stdout":
                output.extend(data)

        patience = trio.current_time() + _PATIENCE_SECONDS
        while True:
            files = Files.open(job)
            try:
                caller = Caller(keep, None, Cancellation())
                result = await supervisor.run(job, self._policy, limits, files, caller)
                return result, bytes(output)
            except RefusedError:
                # The one id that there is may still be held by the job before.
                if program.plant is None or trio.current_time() > patience:
                    raise
                await trio.sleep(0.01)
            finally:
                files.close()

    def _artifact(self, program: Program) -> Path:
        return self._targets.directory / f"artifact-{program.attack.name}"

    def _take_artifact(self, program: Program) -> bytes | None:
        path = self._artifact(program)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        finally:
            path.unlink(missing_ok=True)
