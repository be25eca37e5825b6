"""How judgings run their jobs in a service: each is a job of the tenant, and waits for its turn."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

import trio

from sandbox.judge.cores import Watched
from sandbox.judge.runner import Closed, Order, Pipe
from sandbox.judge.service.quiet import Quiet
from sandbox.server.admission import Admission
from sandbox.server.orders import Orders
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.result import Completed

__all__ = ["TenantRunner", "Turns", "run_one"]

_ONE, _ALL = 0, 1  # in place of a core's number: which it is, the admission says


async def run_one(orders: Orders, tenant: str, order: Order) -> Completed:
    """A job of the tenant's, to its end; on no core of its own."""
    return _only(await orders.run(tenant, [order]))


class Turns:
    """In place of Cores: there is no core to be had ahead of a job.

    Whoever held one while he waited for memory could hold up whoever waits with the memory for a
    core. So a run is marked, and its core is leased with all else that it takes.
    """

    def __init__(self, admission: Admission, cores: int, outputs: trio.CapacityLimiter) -> None:
        """`cores`: how many there are to be leased. `outputs`: of the tenant, how many at a time
        may be in our memory, from the run to what the validator says of it."""
        self._admission, self._outputs = admission, outputs
        self.count = max(1, cores)

    def watch(self) -> Watched:
        """Begin to count a run's neighbours: all jobs of the service are, and it is none yet."""
        return Watched(self._admission.used.jobs + 1, 0)

    def neighbours_since(self, watched: Watched) -> int:
        """How many other jobs there were at once, as far as they did not come and go between."""
        return max(watched.runs - 1, self._admission.used.jobs)

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[int]:
        """A core, while others may have others."""
        async with self._outputs:
            yield _ONE

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[int]:
        """Every core that is leased to jobs."""
        async with self._outputs:
            yield _ALL


class TenantRunner:
    """See `Runner`."""

    def __init__(
        self, orders: Orders, tenant: str, cores: int, priority: int, quiet: Quiet
    ) -> None:
        """`cores`: how many there are to be leased; `priority`: of the jobs, within the tenant."""
        self._orders, self._tenant = orders, tenant
        self._cores, self._priority, self._quiet = cores, priority, quiet

    async def run(self, order: Order) -> Completed:
        """See `Runner`."""
        return _only(await self.run_pipeline([order], (), lambda _: None))

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Closed
    ) -> list[Completed | SandboxError]:
        """See `Runner`."""
        marks = [order.job.limits.get("core") for order in orders]
        if self._cores > 1 and _ALL in marks:
            seconds = max(order.job.limits["wall_seconds"] for order in orders)
            if self._quiet.take(self._tenant, seconds):
                with contextlib.suppress(RefusedError):  # the tenant may not have them all
                    return await self._alone(orders, pipes, closed, seconds)
        is_pinned = self._cores and any(mark is not None for mark in marks)
        return await self._run(orders, pipes, closed, 1 if is_pinned else 0)

    async def _alone(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Closed, seconds: float
    ) -> list[Completed | SandboxError]:
        # The wait counts: for most of it the cores that are free are kept for this one.
        begun = trio.current_time()
        try:
            return await self._run(orders, pipes, closed, self._cores)
        finally:
            used = trio.current_time() - begun
            self._quiet.give_back(self._tenant, seconds - used)

    async def _run(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Closed, own_cores: int
    ) -> list[Completed | SandboxError]:
        return await self._orders.run(
            self._tenant, orders, pipes, closed, own_cores=own_cores, priority=self._priority
        )


def _only(outcomes: list[Completed | SandboxError]) -> Completed:
    """What came of the one order."""
    (outcome,) = outcomes
    if isinstance(outcome, SandboxError):
        raise outcome
    return outcome
