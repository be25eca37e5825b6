"""Jobs for a layer above: a tenant's, as those that he submits, and in no journal or spool.

They wait for their turn and count into its share and caps. What is to be known of them afterwards
is for that layer to keep.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import trio

from sandbox.server.admission import Admission, Demand, Ticket
from sandbox.server.log import Log
from sandbox.server.policies import Policies
from sandbox.server.preparation import Prepared
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.policy import limits_for
from sandbox.spec.result import Completed, Result
from sandbox.supervisor.library import HeldOrder, Order, Pipe
from sandbox.supervisor.pipeline import Member
from sandbox.supervisor.supervisor import Supervisor
from sandbox.wire.errors import InternalError

__all__ = ["Orders"]

Closed = Callable[[int], None]


class Orders:
    """Runs them. To cancel one, cancel the task that waits for it."""

    def __init__(
        self, supervisor: Supervisor, admission: Admission, policies: Policies, log: Log
    ) -> None:
        self._supervisor, self._admission = supervisor, admission
        self._policies, self._log = policies, log

    async def run(
        self,
        tenant: str,
        orders: Sequence[Order],
        pipes: Sequence[Pipe] = (),
        closed: Closed = lambda _: None,
        *,
        own_cores: int = 0,
        priority: int = 0,
    ) -> list[Completed | SandboxError]:
        """Run one job, or several that `pipes` connect: what came of each, in their order.

        `closed`: as of Supervisor.run_pipeline. `own_cores`: so many are leased; whichever job has
        a `core` among its limits, whatever that says, runs on the last of them, and its result's
        `host` has it. Waits while the queue is full, and for ever once the server drains.
        Raises SpecError: a job cannot be meant; RefusedError: it never can run here.
        """
        policies = [self._policies.get(order.job.policy) for order in orders]
        demands = [
            self._demand(order, policy) for order, policy in zip(orders, policies, strict=True)
        ]
        demand = Demand(*map(sum, zip(*demands, strict=True)))
        with (
            await self._admitted(tenant, demand, own_cores, priority) as ticket,
            ExitStack() as held,
        ):
            ours = [
                held.enter_context(HeldOrder(order, policy))
                for order, policy in zip(orders, policies, strict=True)
            ]
            core = ticket.cores[-1] if ticket.cores else None
            members = [_placed(one.member, core) for one in ours]
            outcomes = await self._outcomes(tenant, members, pipes, closed)
            return [
                outcome
                if isinstance(outcome, SandboxError)
                else one.completed(outcome._replace(host={**outcome.host, "core": limits.core}))
                for one, outcome, limits in zip(
                    ours, outcomes, (member.limits for member in members), strict=True
                )
            ]

    async def _outcomes(
        self, tenant: str, members: Sequence[Member], pipes: Sequence[Pipe], closed: Closed
    ) -> Sequence[Result | SandboxError]:
        try:
            if len(members) > 1 or pipes:
                return await self._supervisor.run_pipeline(members, pipes, closed=closed)
            return [await self._supervisor.run(*members[0])]
        except SandboxError as error:
            return [error] * len(members)
        except Exception as error:  # a mistake of ours: it costs this job, and no other
            self._log.bug(error, tenant=tenant)
            return [InternalError(str(error))] * len(members)

    def _demand(self, order: Order, policy: object) -> Demand:
        limits = limits_for(order.job, policy)
        demand = Prepared(order.job, policy, limits, {}, ()).demand()
        if order.sink is None:  # we hold in memory what it writes
            demand = demand._replace(memory_bytes=demand.memory_bytes + limits.output_bytes)
        return demand

    async def _admitted(self, tenant: str, demand: Demand, own_cores: int, priority: int) -> Ticket:
        while True:
            try:
                ticket = self._admission.enqueue(
                    tenant, demand, priority=priority, own_cores=own_cores,
                    queue_seconds=float("inf"),
                )  # fmt: skip
                try:
                    await ticket.admitted()
                except BaseException:
                    ticket.release()
                    raise
                return ticket
            except RefusedError as error:
                if error.retry_after_seconds is None:
                    raise
                seconds = error.retry_after_seconds
            await trio.sleep(seconds)


def _placed(member: Member, core: int | None) -> Member:
    if member.limits.core is None:
        return member
    return member._replace(limits=member.limits._replace(core=core))
