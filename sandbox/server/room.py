"""The budget: what of it is taken by the running jobs, and what is kept for one that waits."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.server.cores import Cores
from sandbox.server.demand import JOBS, NOTHING, OWN_CORES, Amount, Demand, minus, plus, shortage
from sandbox.server.ticket import Ticket

__all__ = ["Room"]

# So long may others pass a job that finds too little room; then the room is kept for it.
_PATIENCE_SECONDS = 5.0


class Room:
    """Takes jobs in as long as they fit."""

    def __init__(self, budget: Demand, cores: Sequence[int]) -> None:
        self.budget = Amount.of(budget, len(cores))
        self.taken = NOTHING
        self.kept_for: Ticket | None = None
        self.cores = Cores(cores)

    def is_full(self) -> bool:
        """Whether not even the smallest job fits."""
        return self.taken[JOBS] >= self.budget[JOBS]

    def fits(self, ticket: Ticket) -> bool:
        """Whether it may start now: within the budget and its tenant's cap, beside what is kept."""
        kept = self.kept_for
        taken, of_tenant = self.taken, ticket.account.taken
        if kept is not None and kept is not ticket:
            # What one that waits lacks is not made less; of what it needs nothing of, take freely.
            taken = plus(taken, kept.amount)
            if kept.account is ticket.account:
                of_tenant = plus(of_tenant, kept.amount)
        return (
            shortage(ticket.amount, taken, self.budget) is None
            and shortage(ticket.amount, of_tenant, ticket.account.most) is None
        )

    def keep_if_due(self, ticket: Ticket, now: float) -> None:
        """It is the turn of `ticket`, and it does not fit: keep what it needs once it is time."""
        ticket.blocked_at = min(ticket.blocked_at, now)
        if now - ticket.blocked_at >= _PATIENCE_SECONDS:
            self.keep(ticket)

    def keep(self, ticket: Ticket) -> None:
        """Keep what `ticket` needs, unless another's is kept: one at a time."""
        self.kept_for = self.kept_for or ticket

    def forget(self, ticket: Ticket) -> None:
        """It waits no more: nothing is kept for it."""
        if self.kept_for is ticket:
            self.kept_for = None

    def take(self, amount: Amount) -> tuple[int, ...]:
        """Take what fits; the cores that are leased with it."""
        self.taken = plus(self.taken, amount)
        return self.cores.lease(amount[OWN_CORES])

    def give_back(self, amount: Amount, cores: tuple[int, ...]) -> None:
        """Give back what was taken, and the cores that were leased with it."""
        self.taken = minus(self.taken, amount)
        self.cores.give_back(cores)
