"""What is measured: whole runs, sandboxes of a resident supervisor, and programs inside."""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import trio

from bench.cpu import cpu_of
from bench.fairness import fairness_figures
from bench.jobs import job_of, program_of
from bench.peers import BWRAP, Peers, timed
from bench.ratios import Goal
from bench.resident import Resident
from bench.rounds import Figure, Measure
from bench.service import Service, service_figures
from bench.service_streams import live_figures, stream_figures
from bench.stage import Stage
from bench.streams import STREAM_MIB, Sink, framed, plain
from bench.yardstick import Floor
from sandbox.spec.job import Job

__all__ = ["POOL", "figures"]

POOL = 16  # parked sandboxes of the warm supervisor
_MANY, _IN_FLIGHT = 48, 4
_FLOOR, _BWRAP = "the floor", "bwrap"


def figures(
    cold: Resident,
    warm: Resident,
    service: Service,
    stage: Stage,
    peers: Peers,
    floor: Floor | None,
) -> list[Figure]:
    """Every ratio of this project's own table; without a compiler, those that need none."""
    one_warm = _one_warm(warm)
    found = [*_lone_jobs(cold, one_warm, stage, peers, floor), *_many_jobs(cold, warm, floor)]
    if floor is not None:
        found += [*_programs(cold, stage), *stream_figures(service.daemon, stage)]
    return [
        *found,
        *service_figures(service, stage, warm, one_warm, peers.found[_BWRAP]),
        *live_figures(service.daemon),
        *fairness_figures(service),
    ]


def _one_warm(warm: Resident) -> Measure:
    async def measure() -> Sequence[float]:
        await warm.filled()
        start = time.perf_counter()
        await warm.run(job_of("/usr/bin/true"))
        seconds = time.perf_counter() - start
        await warm.filled()  # or the refill would disturb whoever is next
        return [seconds]

    return measure


def _lone_jobs(
    cold: Resident, one_warm: Measure, stage: Stage, peers: Peers, floor: Floor | None
) -> list[Figure]:
    true = job_of("/usr/bin/true")

    async def one_cold() -> Sequence[float]:
        start = time.perf_counter()
        await cold.run(true)
        return [time.perf_counter() - start]

    async def one_right_after() -> Sequence[float]:
        await one_cold()
        return await one_cold()

    async def one_by_the_floor() -> Sequence[float]:
        assert floor is not None
        start = time.perf_counter()
        floor.run()
        return [time.perf_counter() - start]

    one_shot = timed(sys.executable, "-m", "sandbox", "run", "--", "true", cwd=stage.package)
    import_trio = timed(sys.executable, "-I", "-c", "import trio")
    bwrap: dict[str, Measure] = {_BWRAP: peers.found[_BWRAP]}
    by_floor: dict[str, Measure] = {_FLOOR: one_by_the_floor} if floor else {}
    return [
        Figure("warm job, submit to result", one_warm, bwrap | by_floor, Goal(0.4, 0.25)),
        Figure(
            "cold job, request to result", one_cold, bwrap | by_floor | peers.found, Goal(1, 0.7)
        ),
        Figure("cold job right after another", one_right_after, bwrap | by_floor),
        Figure(
            "`sandbox run -- true`, one shot",
            one_shot,
            {"`import trio`": import_trio, **bwrap},
            Goal(1.3, 1.1),
        ),
    ]


def _many_jobs(cold: Resident, warm: Resident, floor: Floor | None) -> list[Figure]:
    true = job_of("/usr/bin/true")
    bwraps = ("-n1", *BWRAP, "true")
    at_once = timed("xargs", f"-P{_IN_FLIGHT}", *bwraps, stdin="1 " * _MANY)
    bwraps_in_turn = timed("xargs", *bwraps, stdin="1 " * _MANY)

    async def through_the_pool() -> None:
        await _in_flight(warm, true)
        await warm.filled()  # what the pool lent for the run is paid back in it

    async def by_the_floor() -> None:
        assert floor is not None
        floor.run(_MANY, _IN_FLIGHT)

    async def by_the_floor_in_turn() -> None:
        assert floor is not None
        floor.run(_MANY)

    async def in_turn() -> None:
        for _ in range(_MANY):
            await cold.run(true)

    async def burst() -> Sequence[float]:
        """The seconds from the common start until each of POOL results."""
        await warm.filled()
        found: list[float] = []

        async def one() -> None:
            await warm.run(true)
            found.append(time.perf_counter() - start)

        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(POOL):
                nursery.start_soon(one)
        await warm.filled()
        return found

    floor_rate = {_FLOOR: _rate(by_the_floor)} if floor else {}
    floor_cpu = {_FLOOR: cpu_of(by_the_floor_in_turn, _MANY)} if floor else {}
    bwrap_cpu = {_BWRAP: cpu_of(bwraps_in_turn, _MANY)}
    return [
        Figure(
            f"jobs a second, {_IN_FLIGHT} in flight, refill counted",
            _rate(through_the_pool),
            {_BWRAP: _rate(at_once), **floor_rate},
            Goal(1, 1.5, at_least=True),
        ),
        Figure("CPU time a cold job", cpu_of(in_turn, _MANY), floor_cpu | bwrap_cpu, Goal(2, 1.4)),
        Figure(
            "CPU time a job through the pool",
            cpu_of(through_the_pool, _MANY),
            floor_cpu | bwrap_cpu,
            Goal(2, 1.4),
        ),
        Figure(
            f"p99 of {POOL} submitted at once",
            burst,
            {"their p50": None},
            Goal(6, 3),
            quantile=0.99,
        ),
    ]


def _programs(cold: Resident, stage: Stage) -> list[Figure]:
    def inside(*command: str) -> Measure:
        async def measure() -> Sequence[float]:
            return [float(await cold.run(program_of(stage.programs, *command)))]

        return measure

    def bare(name: str, *arguments: str) -> Measure:
        async def measure() -> Sequence[float]:
            return [float(subprocess.check_output([stage.programs / name, *arguments]))]

        return measure

    async def pour(sink: Sink) -> None:
        await cold.run(program_of(stage.programs, "/programs/pour", str(STREAM_MIB)), sink=sink)

    return [
        Figure(
            "an allowed system call",
            inside("/programs/syscalls"),
            {
                "a filter of one instruction": bare("syscalls", "filtered"),
                "no filter": bare("syscalls"),
            },
            Goal(1.05, 1.02),
        ),
        Figure(
            "CPU-bound program", inside("/programs/cpu"), {"bare": bare("cpu")}, Goal(1.02, 1.005)
        ),
        Figure(
            "stdout to the caller in msgpack frames",
            framed(pour),
            {"trio reads a pipe": plain(str(stage.programs / "pour"), str(STREAM_MIB))},
            Goal(0.5, 0.8, at_least=True),
        ),
    ]


async def _in_flight(here: Resident, job: Job) -> None:
    async def one_after_the_other() -> None:
        for _ in range(_MANY // _IN_FLIGHT):
            await here.run(job)

    async with trio.open_nursery() as nursery:
        for _ in range(_IN_FLIGHT):
            nursery.start_soon(one_after_the_other)


def _rate(work: Callable[[], Awaitable[object]]) -> Measure:
    """Jobs a second of `work`, which runs so many."""

    async def measure() -> Sequence[float]:
        start = time.perf_counter()
        await work()
        return [_MANY / (time.perf_counter() - start)]

    return measure
