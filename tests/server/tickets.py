"""An Admission to try things on, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from trio.testing import MockClock

from sandbox.server.admission import Admission, Demand, Share, Ticket

GIB = 1 << 30
ONE = Demand(jobs=1, memory_bytes=GIB, cpus=1.0, processes=8, uids=1, disk_bytes=GIB)


def times(count: int, demand: Demand = ONE) -> Demand:
    return Demand(*(count * part for part in demand))


def admission(
    places: int = 2, most_queued: int = 100, cores: tuple[int, ...] = (), **shares: Share
) -> Admission:
    return Admission(
        times(places),
        lambda tenant: shares.get(tenant, Share()),
        most_queued=most_queued,
        cores=cores,
    )


def enqueue(
    to: Admission,
    tenant: str = "a",
    demand: Demand = ONE,
    *,
    priority: int = 0,
    own_cores: int = 0,
    queue_seconds: float = 3600,
) -> Ticket:
    return to.enqueue(
        tenant, demand, priority=priority, own_cores=own_cores, queue_seconds=queue_seconds
    )


def play(scene: Callable[[], Awaitable[None]]) -> None:
    trio.run(scene, clock=MockClock(autojump_threshold=0))


def is_queued(ticket: Ticket) -> bool:
    return ticket.position > 0
