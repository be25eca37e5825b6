"""What many jobs that run at once cost the processes that look after them."""

import os
from pathlib import Path
from typing import NamedTuple

import trio

from bench.resident import Resident
from sandbox.spec.job import Job

__all__ = ["Memory", "measure_memory"]

_JOBS = 100


class Memory(NamedTuple):
    """Anonymous memory of one process: with the jobs running ÷ with none, and KiB a job."""

    process: str
    jobs: int
    ratio: float
    kib_per_job: float


class _HeldInput:
    """The stdin of many jobs, which ends for all of them once all of them run."""

    def __init__(self) -> None:
        self._readers = 0
        self.all_run, self.end = trio.Event(), trio.Event()

    def __aiter__(self) -> "_HeldInput":
        return self

    async def __anext__(self) -> bytes:
        self._readers += 1
        if self._readers == _JOBS:
            self.all_run.set()
        await self.end.wait()
        raise StopAsyncIteration


async def measure_memory(here: Resident, job: Job) -> list[Memory]:
    """Run many of `job`, which must live until its stdin ends."""
    pids = {"supervisor": os.getpid(), "zygote": here.zygote_pid}
    await here.run(job)  # what is imported and cached once
    before = {process: _anonymous_kib(pid) for process, pid in pids.items()}
    stdin = _HeldInput()
    async with trio.open_nursery() as nursery:
        for _ in range(_JOBS):
            nursery.start_soon(here.run, job, stdin)
        await stdin.all_run.wait()
        during = {process: _anonymous_kib(pid) for process, pid in pids.items()}
        stdin.end.set()
    return [
        Memory(process, _JOBS, during[process] / kib, (during[process] - kib) / _JOBS)
        for process, kib in before.items()
    ]


def _anonymous_kib(pid: int) -> float:
    # Not PSS: every sandbox's init shares the interpreter's pages with both, and each more that
    # does makes their own part smaller. proc_pid_smaps(5).
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
