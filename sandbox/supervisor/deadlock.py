"""Jobs of a pipeline that wait for each other for ever: found from what the kernel tells, and told.

Nothing else is called a deadlock. A job is in one only if each of its threads is asleep: in a read,
write or poll without an end, of pipes between the pipeline's jobs, or waiting for others of its own
job. And if all that could wake it are jobs of the deadlock too, and no byte is on its way to it.
Two looks must agree, between which none of these threads has run: then all of this was so at one
moment, and will be so for ever.

Only one kind of timer is not seen: an alarm(2) that nobody catches. It could only kill its process.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import trio

from sandbox.supervisor.joint import Joint
from sandbox.supervisor.lookout import Lookout, NotSeenError, Thread
from sandbox.supervisor.pipeline import Pipe, Pipeline
from sandbox.supervisor.waits import HIDDEN, OWN

__all__ = ["Wait", "can_deadlock", "find_deadlocks", "tell", "watch"]

_STILL_SECONDS = 0.05  # without a byte that moves, before the first look
_MOST_STILL_SECONDS = 0.8  # between two looks at a pipeline that goes on standing still


class Wait(NamedTuple):
    """What a job waits for: to "read from" or "write to" another one."""

    verb: str
    other: int


def can_deadlock(pipes: Sequence[Pipe]) -> bool:
    """Whether any job reads, through however many others, what it writes itself.

    No others can wait for each other: of one pipe, only one side waits at a time.
    """
    source_of = {pipe.target: pipe.source for pipe in pipes}
    for start in source_of:
        job: int | None = start
        for _ in range(len(source_of) + 1):  # more steps than there are pipes
            job = None if job is None else source_of.get(job)
        if job is not None:  # it went in a circle
            return True
    return False


def find_deadlocks(waits: Mapping[int, frozenset[Wait]]) -> list[list[int]]:
    """The smallest sets of jobs that wait for none but each other.

    `waits`: all that the threads of each job wait for, of those jobs that nothing else can wake. A
    job outside of such a set that waits for it goes on once the set has ended.
    """
    waiting = {job: {wait.other for wait in found} for job, found in waits.items()}
    while free := [job for job, others in waiting.items() if others - waiting.keys()]:
        for job in free:
            del waiting[job]
    reach = {job: _reachable(job, waiting) for job in waiting}
    knots = {found for found in reach.values() if all(reach[job] == found for job in found)}
    return sorted(sorted(knot) for knot in knots)


def tell(knot: Sequence[int], waits: Mapping[int, frozenset[Wait]], names: Sequence[str]) -> str:
    """The evidence: who waits for whom."""
    told: list[int] = []
    parts = []
    for start in knot:
        job, text = start, ""
        while job not in told:
            told.append(job)
            first, *more = sorted(waits[job], key=lambda wait: wait.other)
            text += ", which" if text else f"job {job} ({names[job]})"
            text += " waits to " + " and to ".join(
                f"{wait.verb} job {wait.other} ({names[wait.other]})" for wait in (first, *more)
            )
            job = first.other
        parts += [text] if text else []
    return "deadlock: " + "; ".join(parts)


async def watch(pipeline: Pipeline, lookout: Lookout) -> None:
    """End every deadlock of a pipeline that runs: each of its jobs is `idle`. Runs until cancelled.

    While one job of each circle is busy, this costs a few counters every 50 ms.
    """
    await pipeline.started.wait()
    pause, seen = _STILL_SECONDS, _progress(pipeline)
    while True:
        await trio.sleep(pause)
        before, seen = seen, _progress(pipeline)
        still = {job for job, progress in seen.items() if progress == before.get(job)}
        has_changed = len(still) < len(before)
        pause = _STILL_SECONDS if has_changed else min(2 * pause, _MOST_STILL_SECONDS)
        if can_deadlock([p for p in pipeline.joints if {p.source, p.target} <= still]):
            await _end_deadlocks(pipeline, still, lookout)


async def _end_deadlocks(pipeline: Pipeline, still: set[int], lookout: Lookout) -> None:
    problem = ""
    try:
        first = await _look(pipeline, still, lookout)
        waits, moved = _waits(first, pipeline.joints), _progress(pipeline)
        if found := find_deadlocks(waits):
            second = await _look(pipeline, still, lookout)
            # What a process wrote that was born and has ended between the looks, which only the
            # pipes tell, is still in one or has moved.
            again, moved_since = _waits(second, pipeline.joints), _progress(pipeline)
            for knot in found:
                if all(
                    job in moved_since
                    and moved[job] == moved_since[job]
                    and first[job] == second[job]
                    and waits[job] == again.get(job)
                    for job in knot
                ):
                    _end(pipeline, knot, waits)
        for job, threads in first.items():
            if not threads:
                problem = f"the processes of job {job} are not known"  # without a cgroup
            elif any(HIDDEN in thread.waits for thread in threads):
                problem = f"the kernel lets nobody see what job {job} waits for"
    except NotSeenError as error:
        problem = str(error)
    for run in pipeline.runs.values():
        run.ending.note = problem and f"deadlock: not looked for: {problem}"


def _end(pipeline: Pipeline, knot: list[int], waits: Mapping[int, frozenset[Wait]]) -> None:
    names = [_name(member.job.command[0]) for member in pipeline.members]
    evidence = tell(knot, waits, names)
    for job in knot:
        pipeline.runs[job].ending.limit("idle", evidence)


async def _look(pipeline: Pipeline, jobs: set[int], lookout: Lookout) -> dict[int, list[Thread]]:
    pids = {
        job: run.pids()
        for job, run in pipeline.runs.items()
        if job in jobs and not run.ending.has_begun
    }
    threads = await lookout.look([pid for found in pids.values() for pid in found])
    return {job: [t for t in threads if t.pid in found] for job, found in pids.items()}


def _waits(
    threads: Mapping[int, list[Thread]], joints: Mapping[Pipe, Joint]
) -> dict[int, frozenset[Wait]]:
    """What jobs wait for that nothing outside of the pipeline can wake."""
    possible: dict[bytes, Wait] = {}
    for pipe, joint in joints.items():
        if joint.is_starved():
            possible[joint.read_wait] = Wait("read from", pipe.source)
        elif joint.is_stuck():
            possible[joint.write_wait] = Wait("write to", pipe.target)
    waits = {}
    for job, found in threads.items():
        all_waits = {wait for thread in found for wait in thread.waits} - {OWN}
        if all_waits and all_waits <= possible.keys():
            waits[job] = frozenset(possible[wait] for wait in all_waits)
    return waits


def _progress(pipeline: Pipeline) -> dict[int, tuple[float, int]]:
    """Of each job that runs, its CPU time, and the bytes that moved at its pipes."""
    return {
        job: (
            run.cpu_seconds(),
            sum(j.moved_bytes for p, j in pipeline.joints.items() if job in (p.source, p.target)),
        )
        for job, run in pipeline.runs.items()
        if not run.ending.has_begun
    }


def _reachable(start: int, waiting: Mapping[int, Iterable[int]]) -> frozenset[int]:
    found: set[int] = set()
    pending = list(waiting[start])
    while pending:
        job = pending.pop()
        if job not in found:
            found.add(job)
            pending += waiting[job]
    return frozenset(found)


def _name(command: bytes) -> str:
    return os.path.basename(command).decode(errors="backslashreplace")
