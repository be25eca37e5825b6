"""What the worker asks of the engine: build one submission, run it on one test."""

from __future__ import annotations

from typing import Protocol

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.verdict import Outcome

__all__ = ["Engine"]


class Engine(Protocol):
    """Raises SandboxError for failures of ours; an Outcome's JE is the problem's own."""

    async def prepare(self, problem: Problem, submission: Submission) -> Built | NotBuilt:
        """Compile `submission` within the problem's compilation limits."""
        ...

    async def run_test(
        self, problem: Problem, built: Built, test: Test, limit: TimeLimit
    ) -> Outcome:
        """Run it on one test, and have the answer checked; the Outcome has all of its outputs."""
        ...
