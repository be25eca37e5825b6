"""A soak: warm jobs without end on one supervisor, a kill -9 now and then, and what that grew.

One job at a time, or four, and now and then a burst of a thousand. Every job's output is checked.
A job may fail only where an init was killed meanwhile, and then with our error for that; a killed
zygote must cost no job. Each thousand jobs, with as many sandboxes parked as ever, memory and all
that can leak is counted: the last third of those samples against the first is the verdict. Run it
alone: namespaces are counted of all processes that it can see into.
"""

import argparse
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trio

from bench.cgroups import v1_directories, v2_run
from bench.growth import growth, leaves, print_verdict
from bench.jobs import job_of
from bench.machine import Watch
from bench.processes import anonymous_kib, children, entries, mounts, namespaces, zombies, zygotes
from bench.resident import Resident, resident
from sandbox.spec.errors import ZygoteError

__all__ = ["main"]

_AT_ONCE = 4
_BURST, _BURST_AT_ONCE, _SAMPLES_A_BURST = 1000, 64, 10
_JOBS_A_SAMPLE = 1000
_LEAST_SAMPLES = 12  # of a short run too: a third must be some
_KILL_EVERY = {"zygote": 400, "init": 40}  # rounds, on average
_KILL_WITHIN_SECONDS = 0.02  # of the begin of a round: before, during and after its jobs
_RETRY_SECONDS = 1.5  # a pool that could not park tries again after a second
_SETTLE_SECONDS = 0.3  # for those that are gone to be gone


class Sample(NamedTuple):
    """What stands with `_AT_ONCE` sandboxes parked and no job; -1: not to be seen here."""

    jobs: int
    supervisor_kib: int  # anonymous
    zygote_kib: int
    supervisor_fds: int
    zygote_fds: int
    cgroups: int
    supervisor_mounts: int
    zygote_mounts: int
    namespaces: int
    zombies: int  # of any parent that does not reap: not a verdict on us
    median_ms: float  # of the jobs since the last sample that ran alone


# How much of a rise is none: a share, and beside it a number.
_SLACK = {
    "supervisor_kib": (0.05, 512.0),
    "zygote_kib": (0.05, 512.0),
    "median_ms": (0.25, 0.5),
}
_NOT_JUDGED = ("jobs", "zombies")


class _Soak:
    """The run, and what it has met."""

    def __init__(self, jobs: int, seed: int, kill_every: dict[str, int]) -> None:
        """kill_every: so many rounds on average; 0: never."""
        self.jobs = jobs
        self._kill_every = kill_every
        self.done = 0
        self.kills: Counter[str] = Counter()
        self.lost = 0  # with an init that was killed
        self.faults: list[str] = []
        self.samples: list[Sample] = []
        self._chance = random.Random(seed)
        self._alone_seconds: list[float] = []
        self._every = max(1, min(_JOBS_A_SAMPLE, jobs // _LEAST_SAMPLES))

    async def run(self) -> None:
        async with resident(job_of("/usr/bin/echo"), warm=_AT_ONCE) as here:
            await self._burst(here)
            sample_at = self.done + self._every
            while self.done < self.jobs:
                count = self._chance.choice((1, _AT_ONCE))
                await here.filled()
                await self._round(here, count, self._choose_kill())
                if self.done >= sample_at:
                    await self._sample(here)
                    if len(self.samples) % _SAMPLES_A_BURST == 0:
                        await self._burst(here)
                    sample_at = self.done + self._every

    async def _burst(self, here: Resident) -> None:
        """Submit all at once, far more than are parked."""
        limiter = trio.CapacityLimiter(_BURST_AT_ONCE)
        count = min(_BURST, self.jobs // 4)

        async def submit(number: int) -> None:
            async with limiter:
                await self._job(here, number, [False], is_timed=False)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(submit, self.done + number)
        self.done += count

    def _choose_kill(self) -> str | None:
        for what, rounds in self._kill_every.items():
            if rounds and self._chance.randrange(rounds) == 0:
                return what
        return None

    async def _round(self, here: Resident, count: int, kill: str | None) -> None:
        may_fail = [kill == "init"]  # one of them
        async with trio.open_nursery() as nursery:
            for number in range(count):
                is_timed = count == 1 and kill is None
                nursery.start_soon(self._job, here, self.done + number, may_fail, is_timed)
            if kill is not None:
                await trio.sleep(self._chance.random() * _KILL_WITHIN_SECONDS)
                await self._kill(kill)
        self.done += count

    async def _job(self, here: Resident, number: int, may_fail: list[bool], is_timed: bool) -> None:
        started = time.perf_counter()
        try:
            output = await here.run(job_of("/usr/bin/echo", str(number)))
        except Exception as error:  # whatever it is, it is told at the end
            if may_fail[0] and isinstance(error, ZygoteError) and "init" in str(error):
                may_fail[0] = False
                self.lost += 1
            else:
                self.faults.append(f"job {number}: {error!r}")
            return
        if output != b"%d\n" % number:
            self.faults.append(f"job {number}: printed {output!r}")
        if is_timed:
            self._alone_seconds.append(time.perf_counter() - started)

    async def _kill(self, what: str) -> None:
        found = zygotes(os.getpid())
        victims = found if what == "zygote" else [i for z in found for i in children(z)]
        if not victims:
            return
        try:
            pidfd = os.pidfd_open(self._chance.choice(victims))
        except ProcessLookupError:
            return  # its job was over
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            self.kills[what] += 1
            # Until it is dead the pool may give its sandbox to a job of the next round.
            await trio.lowlevel.wait_readable(pidfd)
        except ProcessLookupError:
            pass
        finally:
            os.close(pidfd)

    async def _sample(self, here: Resident) -> None:
        for _ in range(2):
            await trio.sleep(_RETRY_SECONDS)
            await self._round(here, _AT_ONCE, kill=None)
            await here.filled()
        await trio.sleep(_SETTLE_SECONDS)
        zygote = next(iter(zygotes(os.getpid())), -1)
        median = statistics.median(self._alone_seconds) if self._alone_seconds else 0.0
        self._alone_seconds.clear()
        self.samples.append(
            Sample(
                jobs=self.done,
                supervisor_kib=anonymous_kib(os.getpid()),
                zygote_kib=anonymous_kib(zygote),
                supervisor_fds=entries(Path("/proc/self/fd")),
                zygote_fds=entries(Path(f"/proc/{zygote}/fd")),
                cgroups=sum(1 for _ in _cgroups()),
                supervisor_mounts=mounts(os.getpid()),
                zygote_mounts=mounts(zygote),
                namespaces=len(namespaces((os.getpid(), *children(os.getpid())))),
                zombies=zombies(),
                median_ms=round(median * 1000, 3),
            )
        )
        print(f"{self.done} of {self.jobs} jobs", file=sys.stderr)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the kills, but for their moment")
    for what, rounds in _KILL_EVERY.items():
        parser.add_argument(
            f"--{what}-every",
            type=int,
            default=rounds,
            metavar="ROUNDS",
            help=f"kill one in so many rounds of 1 or {_AT_ONCE} jobs ({rounds}); 0: none",
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there too")
    options = parser.parse_args(arguments)
    if options.jobs < _LEAST_SAMPLES:
        parser.error(f"--jobs must be at least {_LEAST_SAMPLES}")
    kill_every = {what: getattr(options, f"{what}_every") for what in _KILL_EVERY}
    watch, soak = Watch(), _Soak(options.jobs, options.seed, kill_every)
    try:
        trio.run(soak.run)
    except BaseExceptionGroup as group:  # the supervisor has failed: that is the verdict
        soak.faults.append(f"after {soak.done} jobs: {leaves(group)}")
    grown = growth(soak.samples, _SLACK, _NOT_JUDGED)
    kills = ", ".join(f"{count} {what}s" for what, count in soak.kills.items()) or "nothing"
    told = f"{soak.done} jobs; killed: {kills}; {soak.lost} jobs lost with their init, as told"
    print_verdict(soak.samples, told, grown, soak.faults)
    print(watch.machine().text())
    if options.json is not None:
        found = {
            "jobs": soak.done,
            "kills": soak.kills,
            "lost": soak.lost,
            "faults": soak.faults,
            "grown": grown,
            "samples": [sample._asdict() for sample in soak.samples],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if grown or soak.faults or soak.done < soak.jobs else 0)


def _cgroups() -> Iterator[Path]:
    """Of this process's jobs, in every hierarchy."""
    runs = [
        run for base in v1_directories() for run in base.glob(f"sandbox-run-{os.getpid()}-0")
    ] or [v2_run()]
    for run in runs:
        yield from (path for path in run.rglob("*") if path.is_dir())
