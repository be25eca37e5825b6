"""What the worker asks of the engine: build one submission, run it on one test."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.verdict import Outcome

__all__ = ["Built", "Engine", "NotBuilt", "RunLimits"]


class RunLimits(NamedTuple):
    """Of one run. Seconds of CPU time; the wall limit that guards it is the engine's."""

    time_seconds: float  # over this it is TLE
    grace_seconds: float  # and so much later it is killed
    memory_bytes: int
    output_bytes: int
    processes: int
    kept_bytes: int  # how much of stdout, and of stderr, the Outcome is to hold


class Built(Protocol):
    """A program, ready to run. What else it holds is the engine's own."""

    @property
    def compiler_output(self) -> str:
        """What the compiler said, bounded."""
        ...

    @property
    def compile_seconds(self) -> float | None:
        """CPU time; None: there was nothing to compile."""
        ...

    @property
    def entry_point(self) -> str | None:
        """The main class or file that was found, where nobody had named one."""
        ...


class NotBuilt(NamedTuple):
    """A compile error: the submission's fault."""

    why: str  # in a line
    compiler_output: str = ""


class Engine(Protocol):
    """Raises SandboxError for failures of ours; an Outcome's JE is the problem's own."""

    async def prepare(self, problem: Problem, submission: Submission) -> Built | NotBuilt:
        """Compile `submission` within the problem's compilation limits."""
        ...

    async def run_test(
        self, problem: Problem, built: Built, test: Test, limits: RunLimits
    ) -> Outcome:
        """Run it on one test, and have the answer checked."""
        ...
