"""How the judge gets jobs run: in its own process, or by a service. Both are the public API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.result import Completed

__all__ = ["Order", "Pipe", "Runner", "Sink"]

Sink = Callable[[str, bytes], Awaitable[None]]  # "stdout" or "stderr", and what came


class Order(NamedTuple):
    """One job, and what it reads. The policy's limits fill in those that the job leaves open."""

    job: Job
    stdin: bytes | Path = b""  # a file is opened by the runner
    sink: Sink | None = None  # None: the streams are in the Completed


class Pipe(NamedTuple):
    """What one job of a pipeline writes to stdout, another reads."""

    source: int
    target: int


class Runner(Protocol):
    """Runs jobs, several at once. Each method raises SandboxError for our failures only."""

    async def run(self, order: Order) -> Completed:
        """One job, to its end."""
        ...

    async def run_pipeline(
        self,
        orders: Sequence[Order],
        pipes: Sequence[Pipe],
        ended: Callable[[int], None] | None = None,
    ) -> list[Completed | SandboxError]:
        """Jobs that are started together; `ended` is called with the number of each at its end."""
        ...
