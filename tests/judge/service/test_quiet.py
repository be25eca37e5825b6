"""Runs that have the machine for themselves: a part of the time, however many ask for it."""

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from judge.fakes import completed

from sandbox.judge.service.quiet import Quiet
from sandbox.judge.service.runner import TenantRunner, Turns
from sandbox.server.admission import Admission, Demand
from sandbox.spec.errors import RefusedError
from sandbox.spec.job import Job
from sandbox.spec.result import Completed
from sandbox.supervisor.library import Order


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def quiet_seconds(quiet: Quiet, clock: Clock, tenants: list[str], hours: float) -> dict[str, float]:
    """What each has, where each asks again and again for a run of two seconds."""
    had = dict.fromkeys(tenants, 0.0)
    end = clock.now + 3600 * hours
    while clock.now < end:
        for tenant in tenants:
            if quiet.take(tenant, 7.0):  # its limit
                clock.now += 2.0
                quiet.give_back(tenant, 5.0)
                had[tenant] += 2.0
        clock.now += 0.1
    return had


@pytest.mark.parametrize("count", [1, 2, 5])
def test_who_always_wants_it_has_it_a_quarter_of_the_time(clock: Clock, count: int) -> None:
    had = quiet_seconds(Quiet(clock), clock, [str(n) for n in range(count)], 1.0)
    assert sum(had.values()) <= 60.0 * count + 0.25 * 3600
    assert sum(had.values()) >= 0.2 * 3600, "and not much less"
    assert max(had.values()) - min(had.values()) <= 10.0, "in equal parts"


def test_others_have_theirs_whatever_one_has_used(clock: Clock) -> None:
    quiet = Quiet(clock)
    quiet_seconds(quiet, clock, ["hostile"], 1.0)
    assert not quiet.take("hostile", 23.0)
    assert quiet.take("honest", 23.0)


def test_no_run_has_it_for_longer_than_it_can_be_saved_for(clock: Clock) -> None:
    quiet = Quiet(clock)
    clock.now += 1e6
    assert not quiet.take("it", 61.0)
    assert quiet.take("it", 60.0)
    quiet.give_back("it", -100.0)  # it had to wait for so long
    clock.now += 300
    assert not quiet.take("it", 1.0)


class FakeOrders:
    """Notes how many cores each job is to have, and takes the time that it says."""

    def __init__(self, seconds: float, *, may_have_all: bool = True) -> None:
        self.cores: list[int] = []
        self._seconds, self._may_have_all = seconds, may_have_all

    async def run(self, *_: Any, own_cores: int, **__: Any) -> list[Completed]:
        if own_cores > 1 and not self._may_have_all:
            raise RefusedError("cpus: too many")
        self.cores.append(own_cores)
        await trio.sleep(self._seconds)
        return [completed()]


def run_again(orders: FakeOrders, count: int) -> list[int]:
    async def main() -> None:
        budget = Demand(*[100] * len(Demand._fields))
        admission = Admission(budget, lambda _: None, most_queued=9, cores=range(4))
        turns = Turns(admission, 4, trio.CapacityLimiter(2))
        runner = TenantRunner(orders, "hostile", 4, 0, Quiet())
        for _ in range(count):
            async with turns.alone() as core:
                limits = {"core": core, "wall_seconds": 10.0}
                await runner.run(Order(Job((b"x",), limits=limits)))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return orders.cores


def test_whose_time_is_over_has_one_core(tmp_path: Path) -> None:
    cores = run_again(FakeOrders(9.0), 100)
    assert cores[:5] == [4] * 5, "control"
    assert cores.count(4) <= 6 + 0.25 * 100 and set(cores) == {1, 4}


def test_who_may_not_have_them_all_has_one(tmp_path: Path) -> None:
    assert run_again(FakeOrders(9.0, may_have_all=False), 9) == [1] * 9
