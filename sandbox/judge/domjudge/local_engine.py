"""The worker's engine: the judge's own, on this host."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.domjudge import engine
from sandbox.judge.engine import open_judge
from sandbox.judge.execution import TimeLimit
from sandbox.judge.here import Here
from sandbox.judge.preparation import build_submission
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Outcome
from sandbox.spec.errors import SpecError

__all__ = ["LocalEngine", "Ready"]

_MOST_HELD = 8


class Ready(NamedTuple):
    """A program, ready to run."""

    built: Built

    @property
    def compiler_output(self) -> str:
        """See `engine.Built`."""
        return self.built.output

    @property
    def compile_seconds(self) -> float | None:
        """See `engine.Built`."""
        return self.built.seconds

    @property
    def entry_point(self) -> str | None:
        """None: whoever gave a submission has named it, or its language found it alone."""
        return None


class LocalEngine:
    """See `engine.Engine`."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._held: list[Path] = []

    async def prepare(self, problem: Problem, submission: Submission) -> Ready | engine.NotBuilt:
        """See `engine.Engine`."""
        built = await build_submission(problem, submission, self._here)
        if isinstance(built, NotBuilt):
            return engine.NotBuilt(built.why, built.output)
        # The worker has one submission at a time, and may come back to one of the last few.
        self._held.append(built.directory)
        for directory in self._held[:-_MOST_HELD]:
            if directory not in self._held[-_MOST_HELD:]:
                self._here.cache.release(directory)
        self._held = self._held[-_MOST_HELD:]
        return Ready(built)

    async def run_test(
        self, problem: Problem, built: Ready, test: Test, limits: engine.RunLimits
    ) -> Outcome:
        """See `engine.Engine`."""
        changed = problem.limits._replace(
            memory_bytes=limits.memory_bytes, output_bytes=limits.output_bytes
        )
        problem, settings = problem._replace(limits=changed), Settings(kept_bytes=limits.kept_bytes)
        limit = TimeLimit.of(
            limits.time_seconds, most_of_interest=limits.time_seconds + limits.grace_seconds
        )
        try:
            async with open_judge(problem, self._here, settings) as judge:
                return await judge.run_test(built.built, test, limit)
        except SpecError as error:  # the jury's program, not ours, and not the submission's
            return Outcome(test.name, "JE", str(error))
