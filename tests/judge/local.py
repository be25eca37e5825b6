"""A Runner in the tests' own process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import trio

from sandbox import Supervisor
from sandbox.judge.runner import Order
from sandbox.spec.result import Completed


class LocalRunner:
    """Runs jobs one by one or several at once, without pipelines; remembers the results."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self.jobs: list[Completed] = []

    async def run(self, order: Order) -> Completed:
        stdin = order.stdin.read_bytes() if isinstance(order.stdin, Path) else order.stdin
        done = await self._supervisor.run(order.job, stdin=stdin, sink=order.sink)
        self.jobs.append(done)
        return done


@contextlib.asynccontextmanager
async def local_runner() -> AsyncIterator[LocalRunner]:
    async with Supervisor() as supervisor:
        yield LocalRunner(supervisor)


def run(main, *arguments):
    """trio.run of `main(runner, *arguments)`."""

    async def inside():
        async with local_runner() as runner:
            return await main(runner, *arguments)

    return trio.run(inside)
