"""Cores: never two runs on one, and who wants quiet gets it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from sandbox.judge.cores import Cores
from sandbox.spec.errors import SpecError


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {7, 1, 3, 5})
    yield


class Holder:
    """A task that has what it asked for until it is told."""

    def __init__(self, lease) -> None:
        self._lease = lease
        self._over = trio.Event()
        self._scope = trio.CancelScope()
        self.core: int | None = None

    async def hold(self) -> None:
        with self._scope:
            async with self._lease as core:
                self.core = core
                await self._over.wait()
        self.core = None

    def end(self) -> None:
        self._over.set()

    def cancel(self) -> None:
        self._scope.cancel()


async def held(nursery: trio.Nursery, lease) -> Holder:
    holder = Holder(lease)
    nursery.start_soon(holder.hold)
    await wait_all_tasks_blocked()
    return holder


@pytest.mark.usefixtures("four")
def test_no_two_runs_have_one_core_and_the_next_waits() -> None:
    async def main() -> None:
        cores = Cores(3)
        async with trio.open_nursery() as nursery:
            holders = [await held(nursery, cores.one()) for _ in range(4)]
            assert [holder.core for holder in holders] == [1, 3, 5, None]
            holders[1].end()
            await wait_all_tasks_blocked()
            assert holders[3].core == 3
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.usefixtures("four")
def test_who_wants_quiet_waits_for_the_others_and_is_not_overtaken() -> None:
    async def main() -> None:
        cores = Cores(2)
        async with trio.open_nursery() as nursery:
            first, second = [await held(nursery, cores.one()) for _ in range(2)]
            quiet = await held(nursery, cores.alone())
            late = await held(nursery, cores.one())
            first.end()
            await wait_all_tasks_blocked()
            assert (quiet.core, late.core) == (None, None), "there is room for the late one"
            second.end()
            await wait_all_tasks_blocked()
            assert (quiet.core, late.core) == (3, None)
            quiet.end()
            await wait_all_tasks_blocked()
            assert late.core == 1
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("is_waiting", [True, False])
@pytest.mark.parametrize("kind", ["one", "alone"])
def test_who_is_cancelled_gives_back(kind: str, is_waiting: bool) -> None:
    async def main() -> None:
        cores = Cores(2)
        async with trio.open_nursery() as nursery:
            before = [await held(nursery, cores.one()) for _ in range(2 if is_waiting else 0)]
            holder = await held(nursery, getattr(cores, kind)())
            assert (holder.core is None) == is_waiting
            holder.cancel()
            await wait_all_tasks_blocked()
            for other in before:
                other.end()
            await wait_all_tasks_blocked()
            after = [await held(nursery, cores.one()) for _ in range(2)]
            assert [one.core for one in after] == [1, 3]
            for one in after:
                one.end()
            await wait_all_tasks_blocked()
            assert (await held(nursery, cores.alone())).core == 3
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.usefixtures("four")
def test_neighbours_are_counted_also_those_that_came_and_went() -> None:
    async def main() -> None:
        cores = Cores(3)
        async with trio.open_nursery() as nursery, cores.one():
            watched = cores.watch()
            assert cores.neighbours_since(watched) == 0
            other = await held(nursery, cores.one())
            third = await held(nursery, cores.one())
            assert cores.neighbours_since(watched) == 2
            for one in (other, third):
                one.end()
            await wait_all_tasks_blocked()
            assert cores.neighbours_since(watched) == 1
            assert cores.neighbours_since(cores.watch()) == 0
        async with cores.alone():
            assert cores.neighbours_since(cores.watch()) == 0

    trio.run(main)


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize("count", [0, 5])
def test_there_are_no_more_runs_than_cores(count: int) -> None:
    with pytest.raises(SpecError, match=f"--jobs: is {count}, and there are 1 to 4 cores"):
        Cores(count)
    assert (Cores().count, Cores(4).count) == (4, 4)
