"""One compilation: a job that sees the sources and leaves files; what it says is bounded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.judge.problem import ProblemLimits
from sandbox.judge.runner import Order, Runner
from sandbox.spec.job import Artifact, Input, Job
from sandbox.spec.result import Result

__all__ = ["Compiled", "NotBuilt", "compile_sources"]

WORK = b"/work/"
# CPU time is what is judged. A busy machine takes longer for it, and who does nothing ends sooner.
_WALL_FACTOR = 4.0
_HALF_BYTES = 32768


class NotBuilt(NamedTuple):
    """Why there is no program, and what the compiler said, bounded. Nothing of ours has failed."""

    why: str
    output: str
    seconds: float | None = None
    evidence: tuple[str, ...] = ()


class Compiled(NamedTuple):
    """A compiler that was content."""

    output: str
    seconds: float


class _Said:
    """Keeps the head and the tail of what is written."""

    def __init__(self) -> None:
        self._head, self._tail, self._left_out = bytearray(), bytearray(), 0

    async def add(self, stream: str, data: bytes) -> None:
        room = _HALF_BYTES - len(self._head)
        self._head += data[:room]
        self._tail += data[max(room, 0) :]
        if (over := len(self._tail) - _HALF_BYTES) > 0:
            del self._tail[:over]
            self._left_out += over

    def text(self) -> str:
        head, tail = (part.decode("utf-8", "replace") for part in (self._head, self._tail))
        if self._left_out:
            return f"{head}\n… {self._left_out} bytes left out …\n{tail}"
        return (self._head + self._tail).decode("utf-8", "replace")


async def compile_sources(
    runner: Runner,
    command: tuple[bytes, ...],
    sources: Iterable[tuple[str, Path]],
    results: Mapping[bytes, Path],
    *,
    policy: str,
    environment: Mapping[bytes, bytes],
    own_limits: Mapping[str, Any],
    host_files: Iterable[Path] = (),
    limits: ProblemLimits,
) -> Compiled | NotBuilt:
    """Run `command` among copies of the sources; `results` (path in the job -> file here) must
    come of it. Raises SandboxError: a failure of ours."""
    said = _Said()
    job = Job(
        command=command,
        policy=policy,
        limits={
            "cpus": 1.0,  # what a judge plans with
            "processes": 128,
            **own_limits,
            "memory_bytes": limits.compilation_memory_bytes,
            "cpu_seconds": limits.compilation_seconds,
            "wall_seconds": _WALL_FACTOR * limits.compilation_seconds,
            "idle_seconds": limits.compilation_seconds,
        },
        environment=environment,
        inputs=(
            *(Input(path, WORK + os.fsencode(name), copied=True) for name, path in sources),
            *(Input(path, os.fsencode(path), copied=False) for path in host_files if path.exists()),
        ),
        artifacts=tuple(Artifact(place, path) for place, path in results.items()),
    )
    done = await runner.run(Order(job, sink=said.add))
    why = _failure(done.result, limits) or _missing(done.result, results)
    if why is not None:
        return NotBuilt(why, said.text(), done.result.wall_seconds, done.result.evidence)
    return Compiled(said.text(), done.result.wall_seconds)


def _failure(result: Result, limits: ProblemLimits) -> str | None:
    seconds = limits.compilation_seconds
    match result.verdict:
        case "exited" if result.exit_code == 0:
            return None
        case "exited":
            return f"the compiler ended with exit code {result.exit_code}"
        case "signaled":
            return f"the compiler was ended by signal {result.signal}"
        case "cpu_time":
            return f"the compiler took over {seconds:g} s of CPU time"
        case "wall_time":
            return f"the compiler was not done after {_WALL_FACTOR * seconds:g} s"
        case "idle":
            return f"the compiler did nothing for {seconds:g} s"
        case "memory":
            mebibytes = limits.compilation_memory_bytes >> 20
            return f"the compiler took over {mebibytes} MiB of memory"
        case "output":
            return "the compiler wrote more than it may"
    return f"the compiler met a limit: {result.verdict}: {'; '.join(result.evidence)}"


def _missing(result: Result, results: Mapping[bytes, Path]) -> str | None:
    for place in results:
        state = result.artifacts.get(os.fsdecode(place), "not collected")
        if not state.startswith("collected"):
            return f"the compiler left no program: {state}"
    return None
