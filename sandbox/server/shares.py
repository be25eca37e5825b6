"""Whose turn it is: who uses, and has used, the least for its weight.

What a tenant uses is its dominant share: the greatest part that it has of anything in the budget
(Ghodsi et al., "Dominant Resource Fairness", NSDI 2011). Multiplied by the time that it is held
and divided by the weight, it adds up to a virtual time (Goyal et al., "Start-time Fair Queueing",
SIGCOMM 1996). Shares alone would favour whoever refills its places fastest; time alone would give
all places that come free at once to one tenant.

Only the time in which somebody waits is counted: what nobody else wants costs nothing. Nor does
anybody save up: who comes after a pause starts level with those who are waiting.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Generic, TypeVar

from sandbox.server.demand import NOTHING, OWN_CORES, UNLIMITED, Amount, Share, minus, part, plus
from sandbox.server.pace import Pace
from sandbox.server.waiting import Waiting

__all__ = ["Account", "Ledger"]

# A tenant with one job at a time is not there while it sends the next one. For so long it is still
# owed what it waited for.
_OWED_FOR_SECONDS = 1.0
# Of the whole budget, for a weight of 1. Without a bound, who has small jobs would pass who has big
# ones for some seconds again and again, and get more than its share.
_MOST_LEAD_SECONDS = 1.0
_FIRST_HELD_SECONDS = 1.0
_HELD_SMOOTHING = 1 / 16

T = TypeVar("T")


class Account(Generic[T]):
    """One tenant: what it waits for, what it has, and what it has used."""

    def __init__(self, name: str, share: Share) -> None:
        self.name = name
        self.waiting: Waiting[T] = Waiting()
        self.taken = NOTHING
        self.pace = Pace()
        self.part = 0.0  # of the budget, that `taken` is
        self.used_seconds = 0.0  # virtual: part x seconds / weight
        self.counted_to = 0.0  # on the ledger's clock
        self.turn = 0  # when it was served last
        self.is_contending = False
        self.left_at = 0.0
        self.owed_seconds = 0.0
        self.set_share(share)

    def set_share(self, share: Share) -> None:
        """What is counted from now on is counted by this share."""
        self.weight, self.most_queued = share.weight, share.most_queued
        # A cap does not speak of whole cores; they count as CPUs in it.
        most = share.most
        self.most = UNLIMITED if most is None else Amount.of(most, UNLIMITED[OWN_CORES])

    def is_idle(self) -> bool:
        """Whether nothing of it is queued or running."""
        return not self.waiting and self.taken == NOTHING


class Ledger(Generic[T]):
    """What all tenants have used, and so the order in which they are served."""

    def __init__(self, budget: Amount) -> None:
        self._budget = budget
        self._turns = itertools.count(1)
        self._contending: list[Account[T]] = []
        self._clock = 0.0  # of the seconds in which somebody waited
        self._seen_at = 0.0
        self._level_seconds = 0.0  # the virtual time that nobody who comes now is behind
        self._held_seconds = _FIRST_HELD_SECONDS  # how long jobs take, by the last ones

    def contend(self, ready: list[Account[T]], now: float) -> None:
        """From `now` on these have something queued that their own cap would let run."""
        self._advance(now)
        for account in {*self._contending, *ready}:
            self._count(account)
        stayed = [account for account in ready if account.is_contending]
        # Where all leave at once, nobody who comes next was kept waiting by them.
        if level_with := stayed or self._contending:
            least_seconds = min(account.used_seconds for account in level_with)
            self._level_seconds = max(self._level_seconds, least_seconds)
        for account in ready:
            if not account.is_contending:
                is_owed = now - account.left_at <= _OWED_FOR_SECONDS
                owed_seconds = account.owed_seconds if is_owed else 0.0
                level_seconds = self._level_seconds - owed_seconds
                account.used_seconds = max(account.used_seconds, level_seconds)
                account.is_contending = True
        for account in set(self._contending).difference(ready):
            account.is_contending = False
            account.left_at = now
            account.owed_seconds = max(self._level_seconds - account.used_seconds, 0.0)
        self._contending = ready

    def in_turn(self, accounts: Iterable[Account[T]]) -> list[Account[T]]:
        """`accounts`, whose turn it is first."""
        # A job that has just started has used nothing yet: it counts as if it took as long as
        # others, or whoever is behind would be given every place that is free.
        ahead = self._held_seconds
        return sorted(
            accounts, key=lambda it: (it.used_seconds + it.part / it.weight * ahead, it.turn)
        )

    def has_far_more(self, account: Account[T], other: Account[T]) -> bool:
        """Whether `account` has had so much more than `other` that it must not pass it."""
        return account.used_seconds - other.used_seconds >= _MOST_LEAD_SECONDS

    def take(self, account: Account[T], amount: Amount, now: float) -> None:
        """A job of `account` starts."""
        account.turn = next(self._turns)
        self._change(account, plus(account.taken, amount), now)

    def give_back(
        self, account: Account[T], amount: Amount, now: float, held_seconds: float
    ) -> None:
        """A job of `account` is over."""
        self._held_seconds += (held_seconds - self._held_seconds) * _HELD_SMOOTHING
        self._change(account, minus(account.taken, amount), now)

    def is_owing(self, account: Account[T]) -> bool:
        """Whether it has used more than its part, so that it must not be forgotten."""
        return account.used_seconds > self._level_seconds

    def settle(self, account: Account[T], now: float) -> None:
        """Count what `account` has used until `now`."""
        self._advance(now)
        self._count(account)

    def _change(self, account: Account[T], taken: Amount, now: float) -> None:
        self.settle(account, now)
        account.taken = taken
        account.part = part(taken, self._budget)

    def _advance(self, now: float) -> None:
        if self._contending:
            self._clock += now - self._seen_at
        self._seen_at = now

    def _count(self, account: Account[T]) -> None:
        seconds = self._clock - account.counted_to
        account.used_seconds += account.part / account.weight * seconds
        account.counted_to = self._clock
