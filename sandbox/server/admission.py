"""When a submitted job may start: within the budget, its tenant's cap, and its turn.

Nothing here blocks, reads or writes: every call decides at once, and wakes who may go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from sandbox.server.demand import (
    JOBS,
    NOTHING,
    OWN_CORES,
    Amount,
    Demand,
    Share,
    compared,
    shortage,
)
from sandbox.server.pace import Pace
from sandbox.server.room import Room
from sandbox.server.shares import Account, Ledger
from sandbox.server.ticket import State, Ticket
from sandbox.spec.errors import RefusedError

__all__ = ["Admission", "Demand", "Load", "Share", "Ticket"]

# Of the jobs behind those at the heads of the queues, so many are looked at in one decision.
_LOOKAHEAD = 16
# To whoever comes or waits while the server drains; the next one may be up by then.
_DRAINING = ("the server is about to end and starts no more jobs", 5.0)
_FEWEST_SWEPT = 64  # tenants


class Load(NamedTuple):
    """What a tenant has running and queued."""

    used: Demand
    queued: int


class Admission:
    """Admits the jobs of all tenants into one budget.

    Of the tenants with something queued, the one goes next that had least for its weight (see
    shares.py); within a tenant the highest priority, then the oldest. Where that job finds too
    little room, smaller ones pass it for a few seconds; from then on the room is kept for it. A
    tenant at its own cap holds up nobody but itself.
    """

    def __init__(
        self,
        budget: Demand,
        share_of: Callable[[str], Share],
        *,
        most_queued: int,
        cores: Sequence[int],
    ) -> None:
        self._room = Room(budget, cores)
        self._share_of = share_of
        self._most_queued = most_queued
        self._queued = 0
        self._is_draining = False
        self._accounts: dict[str, Account[Ticket]] = {}
        self._waiting: dict[str, Account[Ticket]] = {}  # those with something queued
        self._ledger: Ledger[Ticket] = Ledger(self._room.budget)
        self._pace = Pace()
        self._sweep_at = _FEWEST_SWEPT

    @property
    def used(self) -> Demand:
        """What the admitted jobs take."""
        return self._room.taken.demand()

    @property
    def queued(self) -> int:
        """How many jobs wait."""
        return self._queued

    @property
    def own_cores(self) -> int:
        """How many cores there are that a job can have to itself."""
        return self._room.budget[OWN_CORES]

    @property
    def free_cores(self) -> tuple[int, ...]:
        """The cores that no job has to itself."""
        return self._room.cores.free

    def loads(self) -> dict[str, Load]:
        """What each tenant has running and queued, for those that have any."""
        return {
            name: Load(account.taken.demand(), len(account.waiting))
            for name, account in self._accounts.items()
            if not account.is_idle()
        }

    def enqueue(
        self, tenant: str, demand: Demand, *, priority: int, own_cores: int, queue_seconds: float
    ) -> Ticket:
        """A place in the queue of `tenant`, or at once among the running. Release it always.

        own_cores: so many whole cores are leased to the job, which counts for as many CPUs.
        queue_seconds: for how long it may be queued. Raises RefusedError: without a time to retry,
        it can never be admitted; with one, too many are queued, or the server drains.
        """
        if demand.jobs < 1:
            raise ValueError(f"no job in {demand}")
        if self._is_draining:
            raise RefusedError(*_DRAINING)
        if own_cores > demand.cpus:
            demand = demand._replace(cpus=own_cores)
        amount = Amount.of(demand, own_cores)
        account = self._account(tenant)
        now = trio.current_time()
        ticket = Ticket(account, amount, priority, now + queue_seconds, self._leave, self._expire)
        if not self._queued and self._room.fits(ticket):
            self._admit(ticket, now)
            return ticket
        if (problem := self._impossible(account, amount)) is not None:
            raise RefusedError(problem)
        self._refuse_if_full(account, now)
        account.waiting.add(ticket, priority)
        self._waiting[tenant] = account
        self._queued += 1
        self._decide(now)
        return ticket

    def drain(self) -> None:
        """Refuse everything new from now on, and all that is queued; what runs is left alone."""
        self._is_draining = True
        for account in list(self._waiting.values()):
            for ticket in list(account.waiting):
                self._unqueue(ticket)
                ticket.close(_DRAINING)
        self._decide(trio.current_time())

    def reload_shares(self) -> None:
        """Ask for every tenant's share again; refuse what is queued and fits its cap no more."""
        now = trio.current_time()
        self._room.kept_for = None
        for account in self._accounts.values():
            self._ledger.settle(account, now)
            account.set_share(self._share_of(account.name))
            for ticket in list(account.waiting):
                if (problem := self._impossible(account, ticket.amount)) is not None:
                    self._unqueue(ticket)
                    ticket.close((problem, None))
        self._decide(now)

    def _account(self, tenant: str) -> Account[Ticket]:
        account = self._accounts.get(tenant)
        if account is None:
            if len(self._accounts) >= self._sweep_at:
                self._sweep()
            account = Account(tenant, self._share_of(tenant))
            self._accounts[tenant] = account
        return account

    def _sweep(self) -> None:
        # What the idle ones are owed lapses; what they owe must not.
        for name, account in list(self._accounts.items()):
            if account.is_idle() and not self._ledger.is_owing(account):
                del self._accounts[name]
        self._sweep_at = max(2 * len(self._accounts), _FEWEST_SWEPT)

    def _impossible(self, account: Account[Ticket], amount: Amount) -> str | None:
        for most, whose in (
            (self._room.budget, "all jobs together"),
            (account.most, f"all jobs of tenant {account.name} together"),
        ):
            if (kind := shortage(amount, NOTHING, most)) is not None:
                name, asked, allowed = compared(amount, most, kind)
                return f"{name}: this takes {asked}, and {whose} may take {allowed}"
        return None

    def _refuse_if_full(self, account: Account[Ticket], now: float) -> None:
        queued, most = len(account.waiting), account.most_queued
        if queued >= most:
            raise RefusedError(
                f"busy: {queued} of {most} places in the queue of tenant {account.name} taken",
                self._retry_after_seconds(account, now),
            )
        # A tenant with nothing queued gets a place all the same: a flood by others never shuts
        # it out, and the queue grows by one place for each tenant.
        if self._queued >= self._most_queued and (queued or not self._most_queued):
            raise RefusedError(self._busy(), self._pace.retry_after_seconds(self._queued, now))

    def _retry_after_seconds(self, account: Account[Ticket], now: float) -> float:
        pace = account.pace if account.pace.is_known() else self._pace
        return pace.retry_after_seconds(len(account.waiting), now)

    def _busy(self) -> str:
        places = f"{self._room.taken[JOBS]} of {self._room.budget[JOBS]} places taken"
        return f"busy: {places}, {self._queued} queued"

    def _decide(self, now: float) -> None:
        """Admit whatever may start now. To be called after every change."""
        while True:
            ready = [
                account
                for account in self._waiting.values()
                if shortage(account.waiting.head().amount, account.taken, account.most) is None
            ]
            self._ledger.contend(ready, now)
            ticket = self._next(ready, now)
            if ticket is None:
                return
            self._unqueue(ticket)
            self._admit(ticket, now)

    def _next(self, ready: list[Account[Ticket]], now: float) -> Ticket | None:
        room = self._room
        if room.is_full():
            return None
        if room.kept_for is not None and room.fits(room.kept_for):
            return room.kept_for
        turns = self._ledger.in_turn(ready)
        looks = _LOOKAHEAD
        for account in turns:
            if account is not turns[0] and self._ledger.has_far_more(account, turns[0]):
                room.keep(turns[0].waiting.head())
            for place, ticket in enumerate(account.waiting):
                if place:
                    looks -= 1
                    if looks < 0:
                        break
                if room.kept_for is not ticket and room.fits(ticket):
                    return ticket
                if not place and account is turns[0]:
                    room.keep_if_due(ticket, now)
        return None

    def _admit(self, ticket: Ticket, now: float) -> None:
        self._ledger.take(ticket.account, ticket.amount, now)
        ticket.admit(self._room.take(ticket.amount), now)

    def _unqueue(self, ticket: Ticket) -> None:
        account = ticket.account
        account.waiting.remove(ticket, ticket.priority)
        if not account.waiting:
            del self._waiting[account.name]
        self._queued -= 1
        self._room.forget(ticket)

    def _leave(self, ticket: Ticket) -> None:
        now = trio.current_time()
        if ticket.state is State.QUEUED:
            self._unqueue(ticket)
        else:
            account = ticket.account
            self._ledger.give_back(account, ticket.amount, now, now - ticket.admitted_at)
            self._room.give_back(ticket.amount, ticket.cores)
            for pace in (self._pace, account.pace):
                pace.note(now)
        ticket.close()
        self._decide(now)

    def _expire(self, ticket: Ticket) -> None:
        now = trio.current_time()
        retry_after_seconds = self._retry_after_seconds(ticket.account, now)
        problem = (
            f"not admitted in time: place {ticket.position} in the queue of tenant "
            f"{ticket.account.name}; {self._busy()}"
        )
        self._unqueue(ticket)
        ticket.close((problem, retry_after_seconds))
        self._decide(now)
