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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from bench.cgroups import v1_directories, v2_run
from bench.jobs import job_of
from bench.machine import Watch
from bench.resident import Resident, resident
from bench.table import format_rows
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
_NAMESPACES = ("net", "user", "mnt")


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
        zygotes = _children(os.getpid())
        victims = zygotes if what == "zygote" else [i for z in zygotes for i in _children(z)]
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
        zygote = next(iter(_children(os.getpid())), -1)
        median = statistics.median(self._alone_seconds) if self._alone_seconds else 0.0
        self._alone_seconds.clear()
        self.samples.append(
            Sample(
                jobs=self.done,
                supervisor_kib=_anonymous_kib(os.getpid()),
                zygote_kib=_anonymous_kib(zygote),
                supervisor_fds=_count(Path("/proc/self/fd")),
                zygote_fds=_count(Path(f"/proc/{zygote}/fd")),
                cgroups=sum(1 for _ in _cgroups()),
                supervisor_mounts=_lines(os.getpid()),
                zygote_mounts=_lines(zygote),
                namespaces=len(set(_namespaces())),
                zombies=sum(map(_is_zombie, Path("/proc").glob("[0-9]*"))),
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
        soak.faults.append(f"after {soak.done} jobs: {_leaves(group)}")
    grown = _growth(soak.samples)
    _print(soak, grown)
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


def _growth(samples: Sequence[Sample]) -> dict[str, tuple[float, float]]:
    """What rose from the first third to the last: the medians of both."""
    third = len(samples) // 3
    grown = {}
    for name in Sample._fields if third else ():
        if name in _NOT_JUDGED:
            continue
        first, last = (
            statistics.median(getattr(sample, name) for sample in part)
            for part in (samples[:third], samples[-third:])
        )
        share, number = _SLACK.get(name, (0.0, 0.0))
        if last > first * (1 + share) + number:
            grown[name] = (first, last)
    return grown


def _print(soak: _Soak, grown: dict[str, tuple[float, float]]) -> None:
    rows = [tuple(name.replace("_", " ") for name in Sample._fields)]
    rows += [tuple(map(str, sample)) for sample in soak.samples]
    print(format_rows(rows, markdown=False))
    kills = ", ".join(f"{count} {what}s" for what, count in soak.kills.items()) or "nothing"
    print(f"\n{soak.done} jobs; killed: {kills}; {soak.lost} jobs lost with their init, as told")
    for name, (first, last) in grown.items():
        print(f"GROWN: {name}: {first:g} in the first third, {last:g} in the last")
    for fault, count in Counter(soak.faults).most_common(20):
        print(f"FAULT: {fault}" + (f" ({count} times)" if count > 1 else ""))
    if len(soak.faults) > 20:
        print(f"{len(soak.faults)} faults in all")
    if not grown and not soak.faults and soak.samples:
        print("nothing grew, and every job came to what it had to")


def _leaves(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(_leaves, error.exceptions))
    return repr(error)


def _children(pid: int) -> list[int]:
    """proc_pid_task(5); none of a process that is gone."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def _anonymous_kib(pid: int) -> int:
    # Not smaps_rollup: this one may be read of a process of another user namespace too.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), -1)


def _count(directory: Path) -> int:
    try:
        return len(list(directory.iterdir()))
    except OSError:
        return -1


def _lines(pid: int) -> int:
    try:
        return len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    except OSError:
        return -1


def _cgroups() -> Iterator[Path]:
    """Of this process's jobs, in every hierarchy."""
    runs = [
        run for base in v1_directories() for run in base.glob(f"sandbox-run-{os.getpid()}-0")
    ] or [v2_run()]
    for run in runs:
        yield from (path for path in run.rglob("*") if path.is_dir())


def _namespaces() -> Iterator[str]:
    """Those that a process is in, and those that an fd of ours or of a zygote keeps."""
    for process in Path("/proc").glob("[0-9]*"):
        if _is_zombie(process):
            continue
        links = [process / "ns" / name for name in _NAMESPACES]
        if int(process.name) in (os.getpid(), *_children(os.getpid())):
            links += _listed(process / "fd")
        for link in links:
            try:
                target = str(link.readlink())
            except OSError:
                continue  # gone, or not ours to see
            if target.partition(":")[0] in _NAMESPACES:
                yield target


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _is_zombie(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
