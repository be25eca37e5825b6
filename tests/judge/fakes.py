"""A problem, a program and a runner that are made up: what is judged of them is known before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.judge.build_cache import BuildCache
from sandbox.judge.building import Built
from sandbox.judge.cores import Cores
from sandbox.judge.here import Here
from sandbox.judge.language_file import Language, Running
from sandbox.judge.problem import Group, Problem, ProblemLimits
from sandbox.judge.problem import Test as Case  # pytest takes a Test for one of its own
from sandbox.judge.runner import Order, Pipe, Runner
from sandbox.spec.errors import SandboxError
from sandbox.spec.result import Completed, Result

__all__ = [
    "LIMITS", "FakeRunner", "built", "completed", "here", "made_up", "noisy", "problem", "result",
]  # fmt: skip

LIMITS = ProblemLimits(
    time_seconds=1.0, time_multiplier=2.0, safety_margin=1.5, time_resolution=1.0,
    memory_bytes=1 << 30, output_bytes=8 << 20, code_bytes=128 << 10,
    compilation_seconds=60.0, compilation_memory_bytes=1 << 30,
    validation_seconds=60.0, validation_memory_bytes=1 << 30, validation_output_bytes=8 << 20,
    passes=1,
)  # fmt: skip
_LANGUAGE = Language("c", "C", Running(("/program/run",), "native"))

Answering = Callable[[Order], Awaitable[Completed]]


def result(verdict: str = "exited", **fields: Any) -> Result:
    """One that says nothing else; a quiet host of two cores."""
    values: dict[str, Any] = dict.fromkeys(Result._fields)
    values |= {
        "exit_code": 0 if verdict == "exited" else None,
        "evidence": (),
        "artifacts": {},
        "cpu_seconds": 0.1,
        "wall_seconds": 0.1,
        "host": {"cores": 2, "load_1min": 0.5, "steal_seconds": 0.0, "governor": None},
    }
    return Result(**{**values, "verdict": verdict, **fields})


def completed(verdict: str = "exited", stdout: bytes = b"", **fields: Any) -> Completed:
    return Completed(result(verdict, **fields), stdout, b"", {})


def noisy(**more: Any) -> Mapping[str, Any]:
    """A host of which the hypervisor took some."""
    return {**result().host, "steal_seconds": 0.5, **more}


def built(directory: Path, command: str = "submission") -> Built:
    return Built(directory, (command.encode(),), _LANGUAGE, "native", {}, {}, 0, 0.0, "")


def made_up(data: Group, **fields: Any) -> Problem:
    """A problem of that data, which has nothing else."""
    values: dict[str, Any] = {
        "directory": Path("/p"), "name": "made up", "format": "2025-09", "is_scoring": False,
        "is_interactive": False, "is_submit_answer": False, "limits": LIMITS,
        "output_validator": None, "output_validator_flags": (), "input_validators": (),
        "grader": None, "includes": {}, "submissions": (),
    }  # fmt: skip
    return Problem(data=data, **{**values, **fields})


def problem(directory: Path, tests: int = 1, **fields: Any) -> Problem:
    """So many tests "secret/1" and so on, whose answers are "yes"."""
    question, answer = directory / "in", directory / "ans"
    question.write_bytes(b"?\n")
    answer.write_bytes(b"yes\n")
    cases = [Case(f"secret/{n + 1}", question, answer) for n in range(tests)]
    data = Group("", (Group("secret", tuple(cases)),))
    return made_up(data, **{"directory": directory, **fields})


def here(runner: Runner, scratch: Path, cores: Cores | None = None) -> Here:
    """For what builds nothing."""
    return Here(runner, {}, BuildCache(scratch), cores or Cores(), scratch)


class FakeRunner:
    """Runs nothing: what each order comes to is asked of a function, or is next in a list."""

    def __init__(self, answers: Answering | Sequence[Completed | SandboxError]) -> None:
        self.orders: list[Order] = []
        self._answers = answers if callable(answers) else iter(answers)

    async def run(self, order: Order) -> Completed:
        self.orders.append(order)
        if callable(self._answers):
            return await self._answers(order)
        answer = next(self._answers)
        if isinstance(answer, SandboxError):
            raise answer
        return answer

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Callable[[int], None]
    ) -> list[Completed | SandboxError]:
        return [await self.run(order) for order in orders]
