"""The worker's engine: the judge's own, on this host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.domjudge import engine
from sandbox.judge.execution import TimeLimit
from sandbox.judge.here import JudgeOf
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

    def __init__(
        self,
        judge_of: JudgeOf,
        release: Callable[[Path], None],
    ) -> None:
        """`judge_of`: a new judge of a problem, not yet prepared; what it builds is cached.

        `release`: is told of the built programs that are not needed any more.
        """
        self._judge_of = judge_of
        self._release = release
        self._held: list[Path] = []

    async def prepare(self, problem: Problem, submission: Submission) -> Ready | engine.NotBuilt:
        """See `engine.Engine`."""
        built = await self._judge_of(problem, Settings()).build(submission)
        if isinstance(built, NotBuilt):
            return engine.NotBuilt(built.why, built.output)
        # The worker has one submission at a time, and may come back to one of the last few.
        self._held.append(built.directory)
        for directory in self._held[:-_MOST_HELD]:
            if directory not in self._held[-_MOST_HELD:]:
                self._release(directory)
        self._held = self._held[-_MOST_HELD:]
        return Ready(built)

    async def run_test(
        self, problem: Problem, built: Ready, test: Test, limits: engine.RunLimits
    ) -> Outcome:
        """See `engine.Engine`."""
        changed = problem.limits._replace(
            memory_bytes=limits.memory_bytes, output_bytes=limits.output_bytes
        )
        judge = self._judge_of(
            problem._replace(limits=changed), Settings(kept_bytes=limits.kept_bytes)
        )
        try:
            await judge.prepare()
        except SpecError as error:  # the jury's program, not ours, and not the submission's
            return Outcome(test.name, "JE", str(error))
        limit = TimeLimit.of(
            limits.time_seconds, most_of_interest=limits.time_seconds + limits.grace_seconds
        )
        return await judge.run_test(built.built, test, limit)
