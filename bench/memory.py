"""Memory: what jobs that run cost their supervisor, and what sandboxes cost that wait for one.

Run as a program for each try: a supervisor's heap keeps what it has once had room for.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import trio

from bench.cgroups import v1_directories, v2_run
from bench.jobs import job_of
from bench.ratios import Goal, Ratio, ratio_of
from bench.resident import Resident, resident
from sandbox.spec.job import Job
from sandbox.supervisor.cgroup.files import cgroup_mounts, process_cgroups
from sandbox.supervisor.cgroup.parse import numbers

__all__ = ["measure_memory"]

_RUNNING, _IDLE = "supervisor's memory for a running job", "memory of an idle sandbox"
_UNITS = {_RUNNING: ("1 KiB", Goal(64, 24)), _IDLE: ("1 MiB", Goal(1.5, 1.0))}
_JOBS = 100
_FEW, _MANY, _TRIES = 4, 36, 3
_SETTLE_SECONDS = 0.5  # for those that are gone to be gone


def measure_memory(only: str) -> list[Ratio]:
    """Those of the two figures that have `only` in their name."""
    wanted = [name for name in _UNITS if only in name]
    tries = [_try() for _ in range(_TRIES if wanted else 0)]
    return [
        ratio_of(name, unit, [[found[name]] for found in tries], [[1.0]] * _TRIES, goal=goal)
        for name in wanted
        for unit, goal in (_UNITS[name],)
    ]


def _try() -> dict[str, float]:
    command = [sys.executable, "-m", "bench.memory"]
    base = next((base for base in v1_directories() if (base / "memory.stat").exists()), None)
    if base is None:  # v2: it makes itself a cgroup, as every supervisor does
        return json.loads(subprocess.check_output(command))
    own = base / f"bench-{os.getpid()}"
    own.mkdir()
    try:
        entered = f'echo $$ > {own}/cgroup.procs && exec "$@"'
        return json.loads(subprocess.check_output(["sh", "-c", entered, "sh", *command]))
    finally:
        own.rmdir()


class _HeldInput:
    """The stdin of many jobs, which ends for all of them once all of them run."""

    def __init__(self, jobs: int) -> None:
        self._missing = jobs
        self.all_run, self.end = trio.Event(), trio.Event()

    def __aiter__(self) -> "_HeldInput":
        return self

    async def __anext__(self) -> bytes:
        self._missing -= 1
        if self._missing == 0:
            self.all_run.set()
        await self.end.wait()
        raise StopAsyncIteration


async def _measure(job: Job) -> dict[str, float]:
    async with resident(job) as here:
        await _at_once(here, job, 1)  # what is imported and cached once
        running = await _at_once(here, job, _JOBS)
    parked = []
    for count in (_FEW, _MANY):
        async with resident(job, warm=count) as here:
            await _at_once(here, job, count)  # a pool keeps as many as were lately asked for
            await here.filled()
            await trio.sleep(_SETTLE_SECONDS)
            parked.append(_cgroups_kib() - _own_kib())
    return {_RUNNING: running, _IDLE: (parked[1] - parked[0]) / (_MANY - _FEW) / 1024}


async def _at_once(here: Resident, job: Job, count: int) -> float:
    """Run so many of `job`, which lives until its stdin ends; KiB that we grow by for each."""
    before, stdin = _own_kib(), _HeldInput(count)
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(here.run, job, stdin)
        await stdin.all_run.wait()
        grown = _own_kib() - before
        stdin.end.set()
    return grown / count


def _own_kib() -> float:
    # Not PSS: every sandbox's init shares the interpreter's pages with the supervisor, and each
    # more that does makes the supervisor's own part smaller. proc_pid_smaps(5).
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


def _cgroups_kib() -> float:
    """Anonymous memory of this process, the zygote and all sandboxes.

    By their cgroups, because an init that is not dumpable shows its own memory to root only.
    """
    own = process_cgroups().get("memory")
    if own is None:
        return numbers((v2_run() / "memory.stat").read_bytes())[b"anon"] / 1024
    shown = (mount.shown(own) for mount in cgroup_mounts() if "memory" in mount.controllers)
    directory = Path(next(filter(None, shown)))
    runs = directory.parent.glob(f"sandbox-run-{os.getpid()}-*")
    stats = (numbers((path / "memory.stat").read_bytes()) for path in (directory, *runs))
    return sum(stat[b"total_rss"] for stat in stats) / 1024


if __name__ == "__main__":
    print(json.dumps(trio.run(_measure, job_of("/usr/bin/cat"))))
