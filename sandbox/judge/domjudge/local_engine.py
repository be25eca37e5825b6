"""The worker's engine: the judge's own, on this host."""

from __future__ import annotations

from pathlib import Path

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.engine import open_judge
from sandbox.judge.execution import TimeLimit
from sandbox.judge.here import Here
from sandbox.judge.preparation import build_submission
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Outcome
from sandbox.spec.errors import SpecError

__all__ = ["LocalEngine"]

_MOST_HELD = 8


class LocalEngine:
    """See `Engine`."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._held: list[Path] = []

    async def prepare(self, problem: Problem, submission: Submission) -> Built | NotBuilt:
        """See `Engine`."""
        built = await build_submission(problem, submission, self._here)
        if isinstance(built, NotBuilt):
            return built
        # The worker has one submission at a time, and may come back to one of the last few.
        self._held.append(built.directory)
        for directory in self._held[:-_MOST_HELD]:
            if directory not in self._held[-_MOST_HELD:]:
                self._here.cache.release(directory)
        self._held = self._held[-_MOST_HELD:]
        return built

    async def run_test(
        self, problem: Problem, built: Built, test: Test, limit: TimeLimit
    ) -> Outcome:
        """See `Engine`."""
        settings = Settings(kept_bytes=problem.limits.output_bytes)
        try:
            async with open_judge(problem, self._here, settings) as judge:
                return await judge.run_test(built, test, limit)
        except SpecError as error:  # the jury's program, not ours, and not the submission's
            return Outcome(test.name, "JE", str(error))
