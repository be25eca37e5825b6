"""A Runner in the tests' own process, that remembers."""

from __future__ import annotations

import trio

from sandbox import Supervisor
from sandbox.judge import runner
from sandbox.judge.runner import Order
from sandbox.spec.result import Completed


class LocalRunner(runner.LocalRunner):
    """The judge's, with what came of each job."""

    def __init__(self, supervisor: Supervisor) -> None:
        super().__init__(supervisor)
        self.jobs: list[Completed] = []

    async def run(self, order: Order) -> Completed:
        self.jobs.append(await super().run(order))
        return self.jobs[-1]


def run(main, *arguments):
    """trio.run of `main(runner, *arguments)`."""

    async def inside():
        async with Supervisor() as supervisor:
            return await main(LocalRunner(supervisor), *arguments)

    return trio.run(inside)
