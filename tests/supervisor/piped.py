"""Pipelines for tests: jobs connected on a resident supervisor, each with what came of it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import trio
from supervisor.resident import Outcome, Resident, python, resident

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Input, Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.spec.result import Result
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.live import Live
from sandbox.supervisor.pipeline import Member, Pipe

__all__ = ["AROUND", "Piped", "job", "must_end", "program", "results", "run_piped"]

AROUND = (Pipe(0, "stdout", 1), Pipe(1, "stdout", 0))  # two jobs, each the other's reader


@dataclass
class Piped:
    """One job of a pipeline, and the test's hand on it."""

    job: Job
    stdin: AsyncIterator[bytes] | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)
    output: dict[str, bytearray] = field(
        default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()}
    )
    live: Live | None = None
    started: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)
    wrote: trio.Event = field(default_factory=trio.Event)

    def caller(self) -> Caller:
        return Caller(self._sink, self.stdin, self.cancellation, self._start)

    def _start(self, live: Live) -> None:
        self.live = live
        self.started.set()

    async def _sink(self, stream: str, data: bytes) -> None:
        self.output[stream] += data
        self.wrote.set()


def job(code: str, **changes: object) -> Job:
    """A job of a Python program that has what most need."""
    text = "import os, sys, time, threading\n" + code
    return python(text)._replace(**changes)


def program(path: Path, *arguments: str) -> Job:
    """A job of a program that was compiled for the test."""
    inside = b"/work/" + path.name.encode()
    command = (inside, *(text.encode() for text in arguments))
    return Job(command, "native", inputs=(Input(path, inside, False),))


async def run_piped(here: Resident, piped: Sequence[Piped], pipes: Sequence[Pipe]) -> list[Outcome]:
    """Run them to their ends."""
    with ExitStack() as opened:
        members = []
        for one in piped:
            policy = load_policy(one.job.policy)
            files = Files.open(one.job)
            opened.callback(files.close)
            members.append(
                Member(one.job, policy, limits_for(one.job, policy), files, one.caller())
            )
        found = await here.supervisor.run_pipeline(
            members, pipes, lambda index, _outcome: piped[index].ended.set()
        )
    return [
        Outcome(
            None if isinstance(outcome, SandboxError) else outcome,
            outcome if isinstance(outcome, SandboxError) else None,
            *map(bytes, one.output.values()),
        )
        for outcome, one in zip(found, piped, strict=True)
    ]


def results(
    jobs: Sequence[Job],
    pipes: Sequence[Pipe],
    meet: Callable[[list[Piped]], object] | None = None,
) -> list[Outcome]:
    """What came of these jobs on a supervisor of their own; `meet` looks on meanwhile."""

    async def main() -> list[Outcome]:
        piped = [Piped(job) for job in jobs]
        outcomes: list[Outcome] = []
        async with resident() as here, trio.open_nursery() as nursery:
            if meet is not None:
                nursery.start_soon(meet, piped)
            outcomes += await run_piped(here, piped, pipes)
        return outcomes

    return trio.run(main)


def must_end(outcomes: Sequence[Outcome]) -> list[Result]:
    """Their results, where there must be some."""
    return [outcome.must_end() for outcome in outcomes]
