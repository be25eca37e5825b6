"""One run of a submission, and what a run's end means to a judge."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.build_plan import PROGRAM_PLACE
from sandbox.judge.building import Built
from sandbox.judge.problem import ProblemLimits, Test
from sandbox.judge.verdict import TestRun
from sandbox.spec.errors import ExecError, SandboxError
from sandbox.spec.job import Input, Job
from sandbox.spec.result import Completed, Result

__all__ = [
    "Failure", "TimeLimit", "failure_of", "measured", "not_run", "submission_job", "working_files",
]  # fmt: skip

# The guard: CPU time is what is judged, and who sleeps or waits must end too.
_WALL_FACTOR, _WALL_SECONDS = 2.0, 1.0
# A run just over its limit is to be seen to end, so that it can be told from a hang.
_EXTRA_FACTOR, _LEAST_EXTRA_SECONDS = 0.1, 0.05
# A run that the machine kept waiting is run again with so much more patience: CPU time decides.
_PATIENCE = 3.0
_STEAL_SECONDS = 0.01  # the kernel counts it in hundredths
_THROTTLED_SECONDS = 0.001
# Of a file that is no program: by a section a source can have its linker name any interpreter, one
# that is a directory, an empty file or no file too. We made the file, and whoever runs may run it.
_NO_PROGRAM = frozenset({
    errno.EACCES, errno.EINVAL, errno.EIO, errno.ELIBBAD, errno.ELOOP, errno.ENAMETOOLONG,
    errno.ENOENT, errno.ENOEXEC, errno.ENOMEM, errno.ENOTDIR,
})  # fmt: skip


class TimeLimit(NamedTuple):
    """Of one submission: its language's multiplier is in it."""

    seconds: float
    extra_seconds: float  # between the limit and the kill
    wall_seconds: float

    @classmethod
    def of(cls, seconds: float, *, most_of_interest: float = 0.0) -> TimeLimit:
        """`most_of_interest`: runs up to there are to be measured, whatever the limit says."""
        extra = max(_LEAST_EXTRA_SECONDS, _EXTRA_FACTOR * seconds, most_of_interest - seconds)
        return cls(seconds, extra, _WALL_FACTOR * (seconds + extra) + _WALL_SECONDS)

    def patient(self) -> TimeLimit:
        """The same CPU time, in more wall time: for who had to wait for a core."""
        return self._replace(wall_seconds=_PATIENCE * self.wall_seconds)


class Failure(NamedTuple):
    """What a submission has come to without its output being looked at."""

    verdict: str
    why: str


def submission_job(
    built: Built,
    test: Test,
    limits: ProblemLimits,
    time: TimeLimit,
    core: int,
    directory: Path | None = None,
) -> Job:
    """One run on one test. Its stdin and streams are for whoever runs it.

    `directory`: what its working directory is to be, read-only; None: it owns one, with copies of
    its `working_files`.
    """
    if directory is None:
        cwd = b"/work"
        files = [
            Input(path, b"/work/" + name.encode(), copied=True)
            for name, path in working_files(built, test)
        ]
    else:
        cwd = b"/work/read-only"
        files = [Input(directory, cwd, copied=False)]
    return Job(
        command=(*built.command, *(word.encode() for word in test.arguments)),
        policy=built.policy,
        limits={
            **built.limits,
            "memory_bytes": limits.memory_bytes + built.memory_overhead_bytes,
            "cpu_seconds": time.seconds,
            "extra_seconds": time.extra_seconds,
            "wall_seconds": time.wall_seconds,
            "idle_seconds": None,
            "output_bytes": limits.output_bytes,
            "stack_bytes": limits.memory_bytes,
            "core": core,
        },
        environment=built.environment,
        cwd=cwd,
        inputs=(*built.inputs, *files),
    )


def working_files(built: Built, test: Test) -> tuple[tuple[str, Path], ...]:
    """What the working directory of a run has: its scripts, and over them the test's own files."""
    own = [name for name, _ in test.files]

    def is_covered(name: str) -> bool:
        return any(f"{name}/".startswith(f"{one}/") or one.startswith(f"{name}/") for one in own)

    return (*(one for one in built.beside if not is_covered(one[0])), *test.files)


def failure_of(done: Completed, built: Built, time: TimeLimit) -> Failure | None:
    """None: it ended as a program should, and what it wrote decides."""
    result = done.result
    match result.verdict:
        case "exited" if result.exit_code == 0:
            return None
        case "exited" | "signaled" if found := _out_of_memory(done, built):
            return Failure("MLE", f"{found} (exit code {result.exit_code})")
        case "exited":
            return Failure("RTE", f"exit code {result.exit_code}")
        case "signaled":
            return Failure("RTE", f"signal {result.signal}")
        case "cpu_time":
            return Failure("TLE", f"CPU time over {time.seconds:g} s")
        case "wall_time":
            used = result.cpu_seconds or 0.0
            why = f"not over after {time.wall_seconds:g} s of wall time ({used:.2f} s of CPU time)"
            return Failure("TLE", why)
        case "idle":
            return Failure("TLE", "it waited for ever")
        case "memory":
            return Failure("MLE", "memory limit")
        case "output":
            return Failure("OLE", "output limit")
        case "disk" | "processes" | "violation":
            return Failure("RTE", f"{result.verdict}: {'; '.join(result.evidence)}")
    return Failure("JE", f"the run ended as {result.verdict}: {'; '.join(result.evidence)}")


def not_run(error: SandboxError) -> Failure:
    """Why the submission was not run: for what its compiler has made of it, or for a failure of
    ours. Who could have himself taken for the latter would never be judged."""
    is_no_program = isinstance(error, ExecError) and error.errno in _NO_PROGRAM
    if is_no_program and error.command.startswith(f"{PROGRAM_PLACE}/".encode()):
        return Failure("RTE", f"it cannot be executed: {error}")
    return Failure("JE", f"the submission was not run: {error}")


def _out_of_memory(done: Completed, built: Built) -> str:
    """What a runtime says that has a heap as large as the limit, and ends before the kernel acts.

    Whoever writes that himself has failed too.
    """
    texts = built.language.out_of_memory
    return next((text for text in texts if text.encode() in done.stderr), "")


def measured(result: Result, core: int | None, *, neighbours: int) -> TestRun:
    """What the runner has measured, and what may have disturbed it.

    `core`: as it was asked for; a runner that leases cores tells which it was.
    """
    return TestRun(
        cpu_seconds=result.cpu_seconds or 0.0,
        wall_seconds=result.wall_seconds,
        memory_bytes=result.memory_peak_bytes,
        core=result.host.get("core", core),
        noise=tuple(_noise(result, neighbours)),
    )


def _noise(result: Result, neighbours: int) -> Iterator[str]:
    host = result.host
    if (steal := host.get("steal_seconds") or 0.0) >= _STEAL_SECONDS:
        yield f"the hypervisor took {steal:g} s"
    if (throttled := result.throttled_seconds or 0.0) >= _THROTTLED_SECONDS:
        yield f"throttled for {throttled:.3f} s"
    if (governor := host.get("governor")) not in (None, "performance"):
        yield f"frequency governor {governor}"
    if neighbours:
        yield f"{neighbours} other run{'s' if neighbours > 1 else ''} at the same time"
    if (load := host.get("load_1min") or 0.0) > host.get("cores", 1):
        yield f"load {load:.1f} on {host.get('cores', 1)} cores"
