"""What is measured: whole runs, sandboxes of a resident supervisor, and programs inside."""

import subprocess
import sys
import time

import trio

from bench.resident import Resident
from bench.rounds import Figure, Measure
from bench.stage import Stage
from sandbox.spec.job import Input, Job

__all__ = ["figures", "job_of"]

_BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/")
_MANY, _IN_FLIGHT = 24, 4


def job_of(stage: Stage, *command: str) -> Job:
    """A job that sees the C programs at /programs, under the policy for compiled ones."""
    return Job(
        tuple(map(str.encode, command)),
        "native",
        limits={"wall_seconds": 120.0, "cpu_seconds": 60.0},
        inputs=(Input(stage.programs, b"/programs", copied=False),),
    )


def figures(here: Resident, stage: Stage) -> list[Figure]:
    """Every ratio of this project's own table."""

    async def one() -> float:
        start = time.perf_counter()
        await here.run(job_of(stage, "/usr/bin/true"))
        return time.perf_counter() - start

    async def one_right_after() -> float:
        await one()
        return await one()

    async def many() -> float:
        async def one_after_the_other() -> None:
            for _ in range(_MANY // _IN_FLIGHT):
                await one()

        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(_IN_FLIGHT):
                nursery.start_soon(one_after_the_other)
        return time.perf_counter() - start

    async def until_started() -> float:
        return float(await here.run(job_of(stage, "/programs/now"))) - here.asked_at

    async def until_started_by_bwrap() -> float:
        start = time.time()
        return float(subprocess.check_output([*_BWRAP, stage.programs / "now"])) - start

    def inside(*command: str) -> Measure:
        async def measure() -> float:
            return float(await here.run(job_of(stage, *command)))

        return measure

    def bare(name: str, *arguments: str) -> Measure:
        async def measure() -> float:
            return float(subprocess.check_output([stage.programs / name, *arguments]))

        return measure

    one_shot = _timed(sys.executable, "-m", "sandbox", "run", "--", "true", cwd=stage.package)
    bwrap = _timed(*_BWRAP, "true")
    many_bwraps = _timed(*("xargs", f"-P{_IN_FLIGHT}", "-n1", *_BWRAP, "true"), stdin="1 " * _MANY)
    return [
        Figure(
            "`sandbox run -- true`, one shot",
            one_shot,
            {"bwrap": bwrap, "`import trio`": _timed(sys.executable, "-I", "-c", "import trio")},
        ),
        Figure("a cold job, request to result", one, {"bwrap": bwrap}, 1.0),
        Figure("a cold job right after another, the same", one_right_after, {"bwrap": bwrap}),
        Figure(
            "a cold job, clone request to first instruction",
            until_started,
            {"bwrap": until_started_by_bwrap},
        ),
        Figure(f"{_MANY} cold jobs, {_IN_FLIGHT} in flight", many, {"bwrap, as many": many_bwraps}),
        Figure("CPU-bound program", inside("/programs/cpu"), {"bare": bare("cpu")}, 1.01),
        Figure(
            "1 000 000 system calls",
            inside("/programs/syscalls"),
            {
                "bare": bare("syscalls"),
                "under a filter of one instruction": bare("syscalls", "filtered"),
            },
        ),
    ]


def _timed(*command: object, cwd: object = None, stdin: str = "") -> Measure:
    argv = [*map(str, command)]

    async def measure() -> float:
        start = time.perf_counter()
        subprocess.run(argv, check=True, cwd=cwd, input=stdin.encode())
        return time.perf_counter() - start

    return measure
