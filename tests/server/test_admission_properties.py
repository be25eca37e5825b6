"""Any order of jobs that come, start, end and are given up: compared with plain sums."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from server.tickets import times
from trio.testing import MockClock, wait_all_tasks_blocked

from sandbox.server.admission import Admission, Demand, Share, Ticket
from sandbox.spec.errors import RefusedError


class Enqueue(NamedTuple):
    tenant: str
    demand: Demand
    priority: int
    own_cores: int
    queue_seconds: float


class Release(NamedTuple):
    which: int


class Cancel(NamedTuple):
    which: int


class Pass(NamedTuple):
    seconds: float


BUDGET = Demand(jobs=6, memory_bytes=20, cpus=3.0, processes=30, uids=8, disk_bytes=0)
CAPS = {"a": None, "b": Demand(2, 10, 2.0, 30, 8, 0), "c": Demand(6, 20, 0.5, 30, 8, 0)}
CORES = (5, 7)
STEPS = st.lists(
    st.one_of(
        st.builds(
            Enqueue,
            st.sampled_from(sorted(CAPS)),
            st.builds(
                Demand,
                st.integers(1, 3),
                st.integers(0, 12),
                st.integers(0, 20).map(lambda tenths: tenths / 10),
                st.integers(0, 20),
                st.integers(0, 3),
                st.just(0),
            ),
            st.integers(-2, 2),
            st.sampled_from([0, 0, 0, 1, 2]),
            st.sampled_from([0.0, 0.1, 2.0, 100.0]),
        ),
        st.builds(Release, st.integers(0, 30)),
        st.builds(Cancel, st.integers(0, 30)),
        st.builds(Pass, st.sampled_from([0.01, 0.1, 3.0, 6.0])),
    ),
    max_size=60,
)


class Waiter:
    """A job's coroutine, as a server has it: it waits, then holds what it got until told."""

    def __init__(self, ticket: Ticket, step: Enqueue, number: int) -> None:
        self.ticket, self.step = ticket, step
        self.rank = (-step.priority, number)
        self.scope = trio.CancelScope()
        self.state = "queued"
        self.end = trio.Event()
        cpus = max(step.demand.cpus, step.own_cores)
        self.taken = step.demand._replace(cpus=cpus)

    async def run(self) -> None:
        with self.scope, self.ticket:
            try:
                await self.ticket.admitted()
                self.state = "running"
                await self.end.wait()
            except RefusedError:
                self.state = "refused"
        self.state = "refused" if self.state == "refused" else "over"


def total(waiters: list[Waiter]) -> Demand:
    sums = [sum(parts) for parts in zip(*(waiter.taken for waiter in waiters), strict=True)]
    return Demand(*sums) if sums else times(0)


def fits(more: Demand, taken: Demand, most: Demand | None) -> bool:
    return most is None or all(
        not part or already + part <= limit + 1e-9
        for part, already, limit in zip(more, taken, most, strict=True)
    )


class Model:
    """Plays steps against an Admission, and compares it with plain sums after each."""

    def __init__(self, clock: MockClock, nursery: trio.Nursery) -> None:
        self.host = Admission(
            BUDGET, lambda name: Share(most=CAPS[name], most_queued=8), most_queued=12, cores=CORES
        )
        self.clock, self.nursery = clock, nursery
        self.waiters: list[Waiter] = []
        self.passed_seconds = 0.0

    async def play(self, step: Enqueue | Release | Cancel | Pass) -> None:
        match step:
            case Enqueue():
                with suppress(RefusedError):
                    ticket = self.host.enqueue(**step._asdict())
                    self.waiters.append(Waiter(ticket, step, len(self.waiters)))
                    self.nursery.start_soon(self.waiters[-1].run)
            case Release(which) if self.waiters:
                self.waiters[which % len(self.waiters)].ticket.release()
                self.waiters[which % len(self.waiters)].end.set()
            case Cancel(which) if self.waiters:
                self.waiters[which % len(self.waiters)].scope.cancel()
            case Pass(seconds):
                self.passed_seconds += seconds
                self.clock.jump(seconds)
        await wait_all_tasks_blocked()
        self.check()

    def in_state(self, state: str) -> list[Waiter]:
        return [waiter for waiter in self.waiters if waiter.state == state]

    def check(self) -> None:
        running, queued = self.in_state("running"), self.in_state("queued")
        assert self.host.used == pytest.approx(total(running))
        assert all(map(float.__le__, map(float, self.host.used), map(float, BUDGET)))
        assert self.host.queued == len(queued)
        leased = [core for waiter in running for core in waiter.ticket.cores]
        assert sorted([*leased, *self.host.free_cores]) == sorted(CORES), "leased twice, or lost"
        for waiter in running:
            assert len(waiter.ticket.cores) == waiter.step.own_cores
        for tenant, cap in CAPS.items():
            of_tenant = total([waiter for waiter in running if waiter.step.tenant == tenant])
            assert cap is None or all(map(float.__le__, map(float, of_tenant), map(float, cap)))
            line = sorted(
                (waiter for waiter in queued if waiter.step.tenant == tenant),
                key=lambda waiter: waiter.rank,
            )
            assert [w.ticket.position for w in line] == list(range(1, len(line) + 1))
            if line and self.passed_seconds < 1:  # later on, room may be kept for another
                head = line[0]
                assert not (
                    fits(head.taken, total(running), BUDGET)
                    and fits(head.taken, of_tenant, cap)
                    and head.step.own_cores <= len(self.host.free_cores)
                ), "it could run, and was not woken"

    async def finish(self) -> None:
        """Whatever the state, ending what runs lets all that is queued run."""
        while queued := self.in_state("queued"):
            before = len(queued)
            for waiter in self.in_state("running"):
                await self.play(Release(self.waiters.index(waiter)))
            assert len(self.in_state("queued")) < before
        for waiter in self.in_state("running"):
            await self.play(Cancel(self.waiters.index(waiter)))
        assert (self.host.used, self.host.queued, self.host.loads()) == (times(0), 0, {})
        assert self.host.free_cores == CORES


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_the_order_nothing_leaks_and_nobody_is_forgotten(
    steps: list[Enqueue | Release | Cancel | Pass],
) -> None:
    clock = MockClock()

    async def scene() -> None:
        async with trio.open_nursery() as nursery:
            model = Model(clock, nursery)
            for step in steps:
                await model.play(step)
            await model.finish()

    trio.run(scene, clock=clock)
