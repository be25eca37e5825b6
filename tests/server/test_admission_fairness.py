"""Whose turn it is: simulations in virtual time, by what each tenant gets of the host."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest
import trio
from server.tickets import GIB, ONE, admission, enqueue, is_queued, play, times
from trio.testing import MockClock

from sandbox.server.admission import Admission, Demand, Share, Ticket


class Crowd(NamedTuple):
    """A tenant's clients: `outstanding` jobs at any time, or one queued at any time."""

    outstanding: int
    mean_seconds: float = 0.1
    weight: float = 1.0
    keeps_one_queued: bool = False
    begins_at: float = 0.0
    demand: Demand = ONE
    most: Demand | None = None


FLOOD = Crowd(1000)
AHEAD = Crowd(0, keeps_one_queued=True)


class Simulation:
    """What each tenant used, in place-seconds, between two moments."""

    def __init__(self, places: int, crowds: dict[str, Crowd]) -> None:
        self.crowds, self.places = crowds, places
        self.used_seconds: Counter[str] = Counter()
        self._random = random.Random(1)
        self._start = self._since = 0.0

    def run(self, *, since: float = 0.0, until: float = 60.0) -> dict[str, float]:
        """The part of all place-seconds that each tenant had."""
        self._since = since

        async def scene() -> None:
            self._start = start = trio.current_time()
            host = Admission(
                times(self.places),
                lambda name: Share(self.crowds[name].weight, self.crowds[name].most),
                most_queued=10_000,
                cores=(),
            )
            with trio.move_on_at(start + until):
                async with trio.open_nursery() as nursery:
                    for name in self.crowds:
                        nursery.start_soon(self._come, host, name)

        trio.run(scene, clock=MockClock(autojump_threshold=0))
        whole = self.places * (until - since)
        return {name: self.used_seconds[name] / whole for name in self.crowds}

    async def _come(self, host: Admission, name: str) -> None:
        crowd = self.crowds[name]
        await trio.sleep(crowd.begins_at)
        async with trio.open_nursery() as nursery:
            for _ in range(crowd.outstanding):
                nursery.start_soon(self._resubmit, host, name)
            while crowd.keeps_one_queued:
                admitted = trio.Event()
                nursery.start_soon(self._job, host, name, admitted.set)
                await admitted.wait()

    async def _resubmit(self, host: Admission, name: str) -> None:
        while True:
            await self._job(host, name, lambda: None)

    async def _job(self, host: Admission, name: str, admitted: Callable[[], None]) -> None:
        crowd = self.crowds[name]
        with enqueue(host, name, crowd.demand, queue_seconds=1e9) as ticket:
            await ticket.admitted()
            admitted()
            began_at = trio.current_time()
            try:
                await trio.sleep(self._random.uniform(0.5, 1.5) * crowd.mean_seconds)
            finally:
                began_at = max(began_at, self._start + self._since)
                held_seconds = max(trio.current_time() - began_at, 0.0)
                self.used_seconds[name] += held_seconds * crowd.demand.jobs


SHARED = {
    "two floods": (4, {"a": FLOOD, "b": FLOOD}, {"a": 1 / 2, "b": 1 / 2}),
    "two floods, 1:3": (
        4,
        {"a": FLOOD, "b": FLOOD._replace(weight=3)},
        {"a": 1 / 4, "b": 3 / 4},
    ),
    "three floods on many places, 1:2:5": (
        16,
        {"a": FLOOD, "b": FLOOD._replace(weight=2), "c": FLOOD._replace(weight=5)},
        {"a": 1 / 8, "b": 2 / 8, "c": 5 / 8},
    ),
    "a flood and one job at a time, one place": (
        1,
        {"a": FLOOD, "b": Crowd(1)},
        {"a": 1 / 2, "b": 1 / 2},
    ),
    "a flood and one that has one job queued": (
        1,
        {"a": FLOOD, "b": AHEAD},
        {"a": 1 / 2, "b": 1 / 2},
    ),
    "the same, 1:3": (1, {"a": FLOOD, "b": AHEAD._replace(weight=3)}, {"a": 1 / 4, "b": 3 / 4}),
    "the same, 3:1, on many places": (
        8,
        {"a": FLOOD._replace(weight=3), "b": AHEAD},
        {"a": 3 / 4, "b": 1 / 4},
    ),
    "long jobs and short ones": (
        4,
        {"a": FLOOD._replace(mean_seconds=4), "b": FLOOD},
        {"a": 1 / 2, "b": 1 / 2},
    ),
    "long jobs and short ones, one place": (
        1,
        {"a": FLOOD._replace(mean_seconds=4), "b": AHEAD},
        {"a": 1 / 2, "b": 1 / 2},
    ),
    "wide jobs and narrow ones": (
        8,
        {"a": FLOOD._replace(demand=times(3)), "b": FLOOD},
        {"a": 1 / 2, "b": 1 / 2},
    ),
    "what a capped one leaves goes to the others": (
        8,
        {"a": FLOOD._replace(most=times(1)), "b": FLOOD, "c": FLOOD},
        {"a": 1 / 8, "b": 7 / 16, "c": 7 / 16},
    ),
}


@pytest.mark.parametrize("case", SHARED)
def test_what_each_tenant_gets_is_as_its_weight(case: str) -> None:
    places, crowds, expected = SHARED[case]
    assert Simulation(places, crowds).run() == pytest.approx(expected, abs=0.04)


def test_one_job_at_a_time_waits_for_the_next_end_and_no_longer() -> None:
    """It cannot use the half that it is entitled to: the flood has what it leaves."""
    parts = Simulation(4, {"a": FLOOD, "b": Crowd(1)}).run()
    # Four places: an end is 0.025 s away on average, after which its job takes 0.1 s.
    assert parts["b"] == pytest.approx(1 / 4 * 0.1 / 0.125, abs=0.02)
    assert sum(parts.values()) == pytest.approx(1, abs=0.01), "no place is ever idle"


async def one_by_one(
    running: Ticket, queued: dict[str, list[Ticket]], *, seconds_each: float, count: int = 10
) -> str:
    """End what runs in the only place, `count` times; whose jobs came to run there, in order."""
    order = ""
    for _ in range(count):
        running.release()
        (name,) = (name for name in queued if not is_queued(queued[name][0]))
        order += name
        running = queued[name].pop(0)
        if seconds_each:
            await trio.sleep(seconds_each)
    return order


def test_who_comes_late_is_owed_nothing() -> None:
    crowds = {"a": FLOOD, "b": FLOOD._replace(begins_at=100)}
    parts = Simulation(4, crowds).run(since=100, until=110)
    assert parts == pytest.approx({"a": 1 / 2, "b": 1 / 2}, abs=0.06)


def test_who_comes_when_the_queue_is_empty_again_is_owed_nothing() -> None:
    async def scene() -> None:
        host = admission(1)
        running, given_up = enqueue(host, "a"), enqueue(host, "a")
        await trio.sleep(100)
        given_up.release()
        queued = {name: [enqueue(host, name) for _ in range(20)] for name in "ba"}
        order = await one_by_one(running, queued, seconds_each=1)
        assert order in ("ab" * 5, "ba" * 5)

    play(scene)


def test_what_a_tenant_is_owed_lapses_when_it_stays_away() -> None:
    async def scene() -> None:
        host = admission(1)
        running, served = enqueue(host, "a"), enqueue(host, "b")
        queued = {"a": [enqueue(host, "a") for _ in range(20)]}
        await trio.sleep(100)
        running.release()
        await served.admitted()
        await trio.sleep(1)
        served.release()
        running = queued["a"].pop(0)
        await trio.sleep(50)
        queued["b"] = [enqueue(host, "b") for _ in range(20)]
        order = await one_by_one(running, queued, seconds_each=1)
        assert order in ("ab" * 5, "ba" * 5)

    play(scene)


def test_among_equals_goes_first_who_was_served_longest_ago() -> None:
    async def scene() -> None:
        host = admission(1)
        running = enqueue(host, "c")
        queued = {name: [enqueue(host, name) for _ in range(9)] for name in "ab"}
        assert await one_by_one(running, queued, seconds_each=0) == "ab" * 5

    play(scene)


@pytest.mark.parametrize(
    ("usual_seconds", "seconds"), [(1, 1), (100, 24)], ids=["short jobs", "long jobs"]
)
def test_places_that_come_free_at_once_are_not_all_given_to_who_is_behind(
    usual_seconds: float, seconds: float
) -> None:
    async def scene() -> None:
        host = admission(8)
        for _ in range(100):
            with enqueue(host, "c") as ticket:
                await ticket.admitted()
                await trio.sleep(usual_seconds)
        wide, one = enqueue(host, "c", times(7)), enqueue(host, "b")
        queued = {name: [enqueue(host, name) for _ in range(8)] for name in "ab"}
        await trio.sleep(seconds)  # in which `b` has something, and `a` has nothing
        wide.release()
        served = {name: sum(not is_queued(t) for t in queued[name]) for name in "ab"}
        assert served["a"] + served["b"] == 7
        assert 3 <= served["a"] <= 5
        one.release()

    play(scene)


def test_a_small_job_that_runs_on_is_no_claim_to_catch_up() -> None:
    async def scene() -> None:
        host = admission(4)
        enqueue(host, "b", ONE._replace(memory_bytes=0, cpus=0.0))
        for _ in range(100):
            tickets = [enqueue(host, "a") for _ in range(4)]
            for ticket in tickets:
                await ticket.admitted()
                await trio.sleep(1)
                ticket.release()
        running = [enqueue(host, "a") for _ in range(3)]
        queued = {name: [enqueue(host, name) for _ in range(50)] for name in "ab"}
        served: Counter[str] = Counter()
        while sum(served.values()) < 40:
            await trio.sleep(1)
            running.pop(0).release()
            for name, tickets in queued.items():
                if not is_queued(tickets[0]):
                    running.append(tickets.pop(0))
                    served[name] += 1
        assert served["b"] <= 22

    play(scene)


def test_what_was_used_while_nobody_waited_costs_nothing() -> None:
    async def scene() -> None:
        host = admission(2)
        alone = [enqueue(host, "a") for _ in range(2)]
        await trio.sleep(3600)
        queued = {name: [enqueue(host, name) for _ in range(20)] for name in "ba"}
        order = []
        for _ in range(10):
            alone.pop(0).release()
            (name,) = (name for name in queued if not is_queued(queued[name][0]))
            order.append(name)
            alone.append(queued[name].pop(0))
            await trio.sleep(0.5)
        assert Counter(order)["a"] >= 4, "one hour of an idle host is not held against it"

    play(scene)


@pytest.mark.parametrize(
    ("tenant", "passed_seconds"),
    [("small", 5.0), ("other", 1.0)],
    ids=["of the same tenant", "of one that had less"],
)
def test_a_big_job_is_passed_for_some_seconds_and_then_has_room_made_for_it(
    tenant: str, passed_seconds: float
) -> None:
    async def scene() -> None:
        host = admission(4)
        passed_at: list[float] = []

        async def small(first_seconds: float) -> None:
            seconds = first_seconds
            while True:
                with enqueue(host, "small") as ticket:
                    await ticket.admitted()
                    passed_at.append(trio.current_time())
                    await trio.sleep(seconds)
                    seconds = 1.0

        async with trio.open_nursery() as nursery:
            for number in range(8):  # out of step: there are never two places free at once
                nursery.start_soon(small, 0.1 + number / 4)
            await trio.sleep(10)
            with enqueue(host, tenant, times(4), priority=1) as ticket:
                submitted_at = trio.current_time()
                await ticket.admitted()
                admitted_at = trio.current_time()
                assert passed_seconds <= admitted_at - submitted_at <= passed_seconds + 2.0
                passed = [at for at in passed_at if at > submitted_at]
                assert len(passed) >= passed_seconds * 4 - 2, "until then, no place is left idle"
                await trio.sleep(1)
            await trio.sleep(0.1)
            assert host.used.jobs == 4, "and then the small ones go on"
            nursery.cancel_scope.cancel()

    play(scene)


def test_smaller_jobs_of_the_same_tenant_pass_too_for_as_long() -> None:
    async def scene() -> None:
        host = admission(4)
        running = [enqueue(host) for _ in range(3)]
        big = enqueue(host, demand=times(3))
        passing = enqueue(host)
        assert not is_queued(passing), "there is room for it"
        await trio.sleep(5.1)
        passing.release()
        late = enqueue(host)
        assert is_queued(late), "the room is kept"
        running[0].release()
        running[1].release()
        await big.admitted()
        assert is_queued(late)

    play(scene)


def test_room_is_no_longer_kept_for_a_job_that_was_given_up() -> None:
    async def scene() -> None:
        host = admission(4)
        enqueue(host)
        big = enqueue(host, demand=times(4))
        passing = enqueue(host)
        await trio.sleep(5.1)
        passing.release()
        waiting = [enqueue(host) for _ in range(3)]
        assert all(map(is_queued, waiting))
        big.release()
        assert not any(map(is_queued, waiting))

    play(scene)


def test_while_a_job_waits_for_a_core_others_use_what_it_needs_nothing_of() -> None:
    async def scene() -> None:
        host = admission(4, cores=(3,))
        leased = enqueue(host, own_cores=1)
        queued = enqueue(host, own_cores=1)
        await trio.sleep(10)
        beside = [enqueue(host) for _ in range(3)]
        assert [is_queued(ticket) for ticket in beside] == [False, False, True], "one CPU is kept"
        leased.release()
        await queued.admitted()
        assert queued.cores == (3,)

    play(scene)


def test_room_under_a_cap_is_kept_as_well() -> None:
    async def scene() -> None:
        host = admission(4, cores=(3,), capped=Share(most=times(2)))
        leased = enqueue(host, "b", own_cores=1)
        enqueue(host, "capped")
        wanting = enqueue(host, "capped", own_cores=1)
        await trio.sleep(5.1)
        assert is_queued(enqueue(host, "capped"))
        leased.release()
        assert not is_queued(wanting)

    play(scene)


def test_no_room_is_kept_for_a_tenant_that_a_new_cap_stops() -> None:
    async def scene() -> None:
        shares = {"a": Share(), "b": Share()}
        host = Admission(times(4), lambda name: shares[name], most_queued=9, cores=())
        for tenant in "abb":
            enqueue(host, tenant)
        pair = enqueue(host, "a", times(2))
        await trio.sleep(5.1)
        single, late = enqueue(host, "b"), enqueue(host, "b")
        assert is_queued(pair)
        assert is_queued(single)
        shares["a"] = Share(most=times(2))
        host.reload_shares()
        assert is_queued(pair)
        assert not is_queued(single)
        assert is_queued(late), "there is no more room"

    play(scene)


def test_a_tenant_at_its_own_cap_holds_up_nobody_else() -> None:
    async def scene() -> None:
        host = admission(8, capped=Share(most=ONE._replace(memory_bytes=4 * GIB, cpus=4.0)))
        enqueue(host, "capped")
        held = enqueue(host, "capped", ONE._replace(memory_bytes=4 * GIB), priority=100)
        await trio.sleep(100)
        assert is_queued(held)
        others = [enqueue(host, "b") for _ in range(7)]
        assert not any(map(is_queued, others))
        others[0].release()
        assert not is_queued(enqueue(host, "b")), "no room is kept for what its own cap stops"

    play(scene)
