"""How the judge gets jobs run: in its own process, or by a service. Both are the public API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sandbox import Completed, Order, Pipe, Result, SandboxError, Supervisor

__all__ = ["LocalRunner", "Order", "Pipe", "Runner"]

Ended = Callable[[int, Result | SandboxError], None]


class Runner(Protocol):
    """Runs jobs, several at once. Each method raises SandboxError for our failures only."""

    async def run(self, order: Order) -> Completed:
        """One job, to its end."""
        ...

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], ended: Ended | None = None
    ) -> list[Completed | SandboxError]:
        """Jobs that are started together; `ended` is told of each at its end."""
        ...


class LocalRunner:
    """Runs them in this process."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def run(self, order: Order) -> Completed:
        """See `Runner`."""
        job, stdin, sink, cancellation = order
        return await self._supervisor.run(
            job, stdin=b"" if stdin is None else stdin, sink=sink, cancellation=cancellation
        )

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], ended: Ended | None = None
    ) -> list[Completed | SandboxError]:
        """See `Runner`."""
        return await self._supervisor.run_pipeline(orders, pipes, ended)
