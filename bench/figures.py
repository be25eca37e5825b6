"""What is measured: whole runs, sandboxes of a resident supervisor, and programs inside."""

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import trio

from bench.rounds import Figure
from sandbox.spec.job import Input, Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor.lifecycle import Caller
from sandbox.supervisor.planner import Planner
from sandbox.supervisor.startup import start_zygote, take_ground
from sandbox.supervisor.supervisor import Supervisor
from sandbox.supervisor.zygote import Zygote

__all__ = ["Resident", "figures", "memory_per_job", "resident"]

BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/")
MANY_JOBS = 100


class Resident:
    """A supervisor that stays: jobs of one template, one after the other or side by side."""

    def __init__(self, job: Job, stack: ExitStack) -> None:
        process = start_zygote()
        stack.callback(process.close)
        ground, self.files = take_ground(process, job)
        stack.callback(ground.backend.close)
        self.policy = load_policy(job.policy)
        planner = Planner(job, self.policy, ground.backend)
        process.build_template(planner.template)
        self._process = process
        self._make = lambda: Supervisor(ground, Zygote(process), planner)
        self._supervisor: Supervisor | None = None
        self.zygote_pid = process.pid

    async def run(self, job: Job) -> bytes:
        """One job; its stdout. It must exit with 0."""
        output = bytearray()

        async def sink(_stream: str, data: bytes) -> None:
            output.extend(data)

        self._supervisor = self._supervisor or self._make()
        caller = Caller(sink, None, trio.Event())
        limits = limits_for(job, self.policy)
        result = await self._supervisor.run(job, self.policy, limits, self.files, caller)
        assert result.exit_code == 0, (result.verdict, result.evidence, bytes(output))
        return bytes(output)


@contextmanager
def resident(programs: Path) -> Iterator[Resident]:
    """A resident supervisor whose jobs see `programs` at /programs."""
    inputs = (Input(programs, b"/programs", copied=False),)
    with ExitStack() as stack:
        yield Resident(Job((b"true",), "native", inputs=inputs), stack)


def figures(here: Resident, programs: Path) -> list[Figure]:
    """Every ratio of this project's own table."""
    inputs = (Input(programs, b"/programs", copied=False),)

    def job(*command: bytes) -> Job:
        limits = {"wall_seconds": 120.0, "cpu_seconds": 60.0, "processes": 16}
        return Job(command, "native", limits=limits, inputs=inputs)

    async def spawn() -> float:
        start = time.perf_counter()
        await here.run(job(b"/usr/bin/true"))
        return time.perf_counter() - start

    async def four() -> float:
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(here.run, job(b"/usr/bin/true"))
        return time.perf_counter() - start

    def inside(name: str) -> Callable[[], Awaitable[float]]:
        async def measure() -> float:
            return float(await here.run(job(b"/programs/" + name.encode())))

        return measure

    def bare(name: str) -> Callable[[], Awaitable[float]]:
        async def measure() -> float:
            return float(subprocess.check_output([programs / name]))

        return measure

    cli = (sys.executable, "-m", "sandbox", "run", "--", "true")
    trio_alone = (sys.executable, "-I", "-c", "import trio")
    bwrap = _timed(*BWRAP, "true")
    return [
        Figure("one-shot `sandbox run -- true`", _timed(*cli), bwrap, "bwrap"),
        Figure("one-shot `sandbox run -- true`", _timed(*cli), _timed(*trio_alone), "import trio"),
        Figure("a job of a resident supervisor, created cold", spawn, bwrap, "bwrap", 1.0),
        Figure("four such jobs at once", four, _four(*BWRAP, "true"), "four bwrap"),
        Figure("CPU-bound program inside", inside("cpu"), bare("cpu"), "bare", 1.01),
        Figure("1 000 000 syscalls inside", inside("syscalls"), bare("syscalls"), "bare"),
    ]


async def memory_per_job(here: Resident) -> dict[str, float]:
    """KiB of private memory that each of many running jobs costs the supervisor."""
    before = _private_kib(os.getpid())
    zygote_before = _private_kib(here.zygote_pid)
    peak = 0.0
    async with trio.open_nursery() as nursery:
        for _ in range(MANY_JOBS):
            nursery.start_soon(here.run, Job((b"/usr/bin/sleep", b"3"), "native"))
        for _ in range(20):
            await trio.sleep(0.2)
            peak = max(peak, _private_kib(os.getpid()))
    zygote = _private_kib(here.zygote_pid) - zygote_before
    return {
        "supervisor_kib_per_job": (peak - before) / MANY_JOBS,
        "zygote_kib_per_job": zygote / MANY_JOBS,
        "supervisor_peak_mib": peak / 1024,
    }


def _timed(*command: object) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = time.perf_counter()
        subprocess.run([*map(str, command)], check=True, stdin=subprocess.DEVNULL)
        return time.perf_counter() - start

    return measure


def _four(*command: str) -> Callable[[], Awaitable[float]]:
    async def measure() -> float:
        start = time.perf_counter()
        running = [subprocess.Popen(command) for _ in range(4)]
        assert all(process.wait() == 0 for process in running)
        return time.perf_counter() - start

    return measure


def _private_kib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
