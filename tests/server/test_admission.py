"""Admission: who starts, who waits, who is refused with which words; nothing is counted twice."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from server.tickets import GIB, ONE, admission, enqueue, is_queued, play, times
from trio.testing import wait_all_tasks_blocked

from sandbox.server.admission import Admission, Demand, Load, Share, Ticket
from sandbox.spec.errors import RefusedError


def test_a_job_for_which_there_is_room_starts_at_once() -> None:
    async def scene() -> None:
        host = admission(2)
        with enqueue(host) as ticket:
            await ticket.admitted()
            assert host.used == ONE
            assert host.loads() == {"a": Load(ONE, 0)}
        assert host.used == times(0)
        assert host.loads() == {}

    play(scene)


def test_a_job_for_which_there_is_no_room_starts_when_there_is() -> None:
    async def scene() -> None:
        host = admission(1)
        first, second, third = (enqueue(host) for _ in range(3))
        assert [first.position, second.position, third.position] == [0, 1, 2]
        assert host.queued == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.admitted)
            await wait_all_tasks_blocked()
            first.release()
        assert [second.position, third.position, host.queued] == [0, 1, 1]

    play(scene)


def test_a_release_is_counted_once() -> None:
    async def scene() -> None:
        host = admission(1)
        first, second = enqueue(host), enqueue(host)
        for ticket in (second, second, first, first):
            ticket.release()
        assert (host.used, host.queued) == (times(0), 0)

    play(scene)


def test_a_ticket_that_is_released_before_it_is_admitted_wakes_who_waits_for_it() -> None:
    async def scene() -> None:
        host = admission(1)
        _running, queued = enqueue(host), enqueue(host)

        async def wait() -> None:
            with pytest.raises(RefusedError, match="released before") as caught:
                await queued.admitted()
            assert caught.value.retry_after_seconds is None

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            queued.release()

    play(scene)


def test_a_waiter_that_is_cancelled_as_it_is_admitted_leaves_nothing() -> None:
    async def scene() -> None:
        host = admission(1)
        running, queued = enqueue(host), enqueue(host)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    with queued:
                        await queued.admitted()

                nursery.start_soon(wait)
                await wait_all_tasks_blocked()
                running.release()
                assert not is_queued(queued)
                scope.cancel()
        assert host.used == times(0)

    play(scene)


def test_a_higher_priority_goes_first_and_then_the_older_job() -> None:
    async def scene() -> None:
        host = admission(1)
        running = enqueue(host)
        order: list[str] = []

        async def run(name: str, ticket: Ticket) -> None:
            with ticket:
                await ticket.admitted()
                order.append(name)

        async with trio.open_nursery() as nursery:
            for name, priority in (("b", 0), ("d", -5), ("a", 7), ("c", 0)):
                nursery.start_soon(run, name, enqueue(host, priority=priority))
            await wait_all_tasks_blocked()
            running.release()
        assert order == ["a", "b", "c", "d"]

    play(scene)


def test_tenths_of_a_cpu_add_up_to_a_whole_one() -> None:
    async def scene() -> None:
        host = admission(1)
        part = Demand(1, 1, 0.1, 1, 0, 0)
        host = Admission(Demand(99, 99, 1.0, 99, 0, 0), lambda _: Share(), most_queued=9, cores=())
        tickets = [enqueue(host, demand=part) for _ in range(11)]
        assert [is_queued(ticket) for ticket in tickets] == [False] * 10 + [True]
        for ticket in tickets:
            ticket.release()
        assert host.used == Demand(0, 0, 0.0, 0, 0, 0)

    play(scene)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    (
        {"demand": ONE._replace(memory_bytes=5 * GIB)},
        "memory: this takes 5GiB, and all jobs together may take 4GiB",
    ),
    (
        {"demand": ONE._replace(cpus=4.5)},
        "cpus: this takes 4.5, and all jobs together may take 4",
    ),
    (
        {"demand": times(3), "tenant": "capped"},
        "jobs: this takes 3, and all jobs of tenant capped together may take 2",
    ),
    (
        {"own_cores": 3},
        "own cores: this takes 3, and all jobs together may take 2",
    ),
]


@pytest.mark.parametrize(("asked", "problem"), IMPOSSIBLE)
def test_what_can_never_fit_is_refused_with_both_numbers(
    asked: dict[str, Any], problem: str
) -> None:
    async def scene() -> None:
        host = admission(4, cores=(2, 3), capped=Share(most=times(2)))
        with pytest.raises(RefusedError) as caught:
            enqueue(host, **asked)
        assert str(caught.value) == problem
        assert caught.value.retry_after_seconds is None
        assert host.queued == 0

    play(scene)


@pytest.mark.parametrize(
    "demand",
    [
        ONE._replace(cpus=math.nan),
        ONE._replace(cpus=math.inf),
        ONE._replace(memory_bytes=-1),
        ONE._replace(jobs=0),
    ],
)
def test_what_is_no_amount_is_never_counted(demand: Demand) -> None:
    async def scene() -> None:
        host = admission()
        with pytest.raises(ValueError, match="no"):
            enqueue(host, demand=demand)
        assert host.used == times(0)

    play(scene)


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    async def scene() -> None:
        host = admission(1, most_queued=30, a=Share(most_queued=20))
        running = enqueue(host)
        tickets = [enqueue(host) for _ in range(20)]
        with pytest.raises(RefusedError) as caught:
            enqueue(host)
        assert str(caught.value) == "busy: 20 of 20 places in the queue of tenant a taken"
        assert caught.value.retry_after_seconds == 1.0, "nothing has ended yet"
        for _ in range(10):
            await trio.sleep(2)
            running.release()
            running = tickets.pop(0)
            tickets.append(enqueue(host))
        with pytest.raises(RefusedError) as caught:
            enqueue(host)
        # One ends every two seconds (the first one of them two seconds before the rate is known).
        assert caught.value.retry_after_seconds == pytest.approx(20 / 2 * 1.8)
        await trio.sleep(10**6)
        with pytest.raises(RefusedError) as caught:
            enqueue(host)
        assert caught.value.retry_after_seconds == 60.0

    play(scene)


def test_a_flood_of_one_tenant_does_not_shut_out_another() -> None:
    async def scene() -> None:
        host = admission(1, most_queued=3)
        for _ in range(4):
            enqueue(host)
        with pytest.raises(RefusedError) as caught:
            enqueue(host)
        assert str(caught.value) == "busy: 1 of 1 places taken, 3 queued"
        assert is_queued(enqueue(host, "b"))
        with pytest.raises(RefusedError, match="busy"):
            enqueue(host, "b")

    play(scene)


def test_without_a_queue_what_does_not_fit_at_once_is_refused() -> None:
    async def scene() -> None:
        host = admission(1, most_queued=0)
        with enqueue(host):
            for tenant in "ab":
                with pytest.raises(RefusedError, match="busy: 1 of 1 places taken, 0 queued"):
                    enqueue(host, tenant)

    play(scene)


def test_a_job_is_refused_when_it_was_queued_for_too_long() -> None:
    async def scene() -> None:
        host = admission(1)
        _running, queued, behind = enqueue(host), enqueue(host, queue_seconds=7), enqueue(host)
        started_at = trio.current_time()
        with pytest.raises(RefusedError) as caught:
            await queued.admitted()
        assert trio.current_time() - started_at == 7
        assert str(caught.value) == (
            "not admitted in time: place 1 in the queue of tenant a; "
            "busy: 1 of 1 places taken, 2 queued"
        )
        assert caught.value.retry_after_seconds is not None
        with pytest.raises(RefusedError, match="not admitted in time"):
            await queued.admitted()
        assert (behind.position, host.queued) == (1, 1)

    play(scene)


def test_who_is_next_starts_when_the_one_before_was_queued_for_too_long() -> None:
    async def scene() -> None:
        host = admission(4, a=Share(most=times(2)))
        enqueue(host)
        pair = enqueue(host, demand=times(2), queue_seconds=7)
        single = enqueue(host)
        assert is_queued(single), "its own cap lets nobody pass"
        with pytest.raises(RefusedError):
            await pair.admitted()
        await single.admitted()

    play(scene)


def test_a_drain_refuses_what_is_queued_and_new_and_leaves_what_runs() -> None:
    async def scene() -> None:
        host = admission(1)
        running, queued = enqueue(host), enqueue(host)
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                with pytest.raises(RefusedError, match="about to end") as caught:
                    await queued.admitted()
                assert caught.value.retry_after_seconds is not None

            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            host.drain()
        await running.admitted()
        assert (host.used, host.queued) == (ONE, 0)
        running.release()
        with pytest.raises(RefusedError, match="about to end"):
            enqueue(host)
        assert host.used == times(0)

    play(scene)


def test_a_core_of_its_own_is_leased_to_one_job_at_a_time() -> None:
    async def scene() -> None:
        host = admission(4, cores=(3, 1))
        one, other = enqueue(host, own_cores=1), enqueue(host, own_cores=1)
        third = enqueue(host, own_cores=1)
        assert (one.cores, other.cores, third.cores) == ((3,), (1,), ())
        assert host.free_cores == ()
        one.release()
        assert (one.cores, third.cores) == ((), (3,))
        for ticket in (other, third):
            ticket.release()
        assert host.free_cores == (3, 1)

    play(scene)


def test_of_the_free_cores_those_named_first_are_leased() -> None:
    async def scene() -> None:
        host = admission(4, cores=(3, 1, 0))
        for ticket in reversed([enqueue(host, own_cores=1) for _ in range(3)]):
            ticket.release()
        assert enqueue(host, own_cores=2).cores == (3, 1)

    play(scene)


def test_a_core_of_its_own_is_a_cpu_less_for_the_others() -> None:
    async def scene() -> None:
        host = admission(4, cores=(2, 3))
        small = ONE._replace(cpus=0.25)
        enqueue(host, demand=small, own_cores=2)
        assert host.used.cpus == 2
        assert not is_queued(enqueue(host, demand=ONE._replace(cpus=2.0)))
        assert is_queued(enqueue(host, demand=small))

    play(scene)


def test_new_shares_apply_to_what_is_queued() -> None:
    async def scene() -> None:
        shares = {"a": Share(most=times(2))}
        host = Admission(times(8), lambda name: shares[name], most_queued=9, cores=())
        for _ in range(2):
            enqueue(host)
        pair, single = enqueue(host, demand=times(2)), enqueue(host)
        assert is_queued(pair)
        shares["a"] = Share(most=times(1))
        host.reload_shares()
        with pytest.raises(RefusedError, match=r"jobs: this takes 2, .* may take 1") as caught:
            await pair.admitted()
        assert caught.value.retry_after_seconds is None
        assert is_queued(single)
        shares["a"] = Share()
        host.reload_shares()
        await single.admitted()

    play(scene)


def test_tenants_that_went_away_are_forgotten() -> None:
    async def scene() -> None:
        host = admission(1)
        for number in range(1000):
            enqueue(host, f"uid-{number}").release()
        assert len(host._accounts) < 100

    play(scene)
