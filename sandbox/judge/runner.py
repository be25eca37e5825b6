"""How the judge gets jobs run: in its own process, or by a service. Both are the public API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from sandbox import Completed, Order, Pipe, SandboxError, Supervisor

__all__ = ["LocalRunner", "Order", "Pipe", "Runner"]

Closed = Callable[[int], None]


class Runner(Protocol):
    """Runs jobs, several at once. Each method raises SandboxError for our failures only."""

    async def run(self, order: Order) -> Completed:
        """One job, to its end."""
        ...

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Closed
    ) -> list[Completed | SandboxError]:
        """Jobs that are started together; `closed` is told who closed his end of a pipe."""
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
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Closed
    ) -> list[Completed | SandboxError]:
        """See `Runner`."""
        return await self._supervisor.run_pipeline(orders, pipes, closed)
