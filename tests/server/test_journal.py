"""The journal: what is noted is found again, by its own tenant, and once a key."""

from pathlib import Path

import pytest
import trio
import trio.testing
from server.journals import commits_held, entry, ids, job_id, over, with_journal

from sandbox.server.journal import Entry, Journal, JournalError, Lost, open_journal
from sandbox.spec.errors import RefusedError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.mark.parametrize("power", [False, True])
def test_what_was_accepted_is_found_by_id_and_key(path: Path, power: bool) -> None:
    async def use(journal: Journal) -> None:
        noted = entry(1, key="k\x00\N{SNOWMAN}")
        assert await journal.accept(noted, power=power) is None
        assert await journal.find("uid-1", noted.job) == noted
        assert await journal.find_key("uid-1", "k\x00\N{SNOWMAN}") == noted
        assert await journal.find("uid-1", job_id(2)) is None
        assert await journal.find_key("uid-1", "k") is None

    with_journal(path, use)


def test_a_foreign_job_is_not_found(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1, key="k"), power=False)
        await journal.finish(job_id(1), "ended", 5.0, b"", power=False)
        assert await journal.find("uid-2", job_id(1)) is None
        assert await journal.find_key("uid-2", "k") is None
        assert await journal.list("uid-2", None, None, 10) == []
        assert not await journal.delete("uid-2", job_id(1))
        assert await journal.accept(entry(2, key="k", tenant="uid-2"), power=False) is None

    with_journal(path, use)


@pytest.mark.parametrize("power", [False, True])
def test_of_two_accepts_of_one_key_one_is_noted(path: Path, power: bool) -> None:
    async def use(journal: Journal) -> None:
        answers: dict[int, Entry | None] = {}

        async def accept(number: int) -> None:
            answers[number] = await journal.accept(entry(number, key="same"), power=power)

        async with trio.open_nursery() as nursery:
            for number in range(1, 9):
                nursery.start_soon(accept, number)
        (noted,) = [number for number, answer in answers.items() if answer is None]
        del answers[noted]
        assert set(answers.values()) == {entry(noted, key="same")}
        assert ids(await journal.unfinished()) == [noted]

    with_journal(path, use)


def test_jobs_without_a_key_are_all_noted(path: Path) -> None:
    async def use(journal: Journal) -> None:
        for number in (1, 2):
            assert await journal.accept(entry(number), power=False) is None
        assert ids(await journal.unfinished()) == [1, 2]

    with_journal(path, use)


def test_an_id_cannot_be_noted_twice(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1, key="a"), power=False)
        with pytest.raises(RefusedError):
            await journal.accept(entry(1, key="b"), power=False)
        assert await journal.find_key("uid-1", "a") == entry(1, key="a")

    with_journal(path, use)


def test_a_job_goes_from_queued_over_running_to_its_end(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1), power=False)
        journal.start(job_id(1), 1, 7.5)
        running = entry(1, state="running", runs=1, started_at=7.5)
        assert await journal.find("uid-1", job_id(1)) == running
        await journal.finish(job_id(1), "failed", 9.25, b"outcome", power=False)
        ended = running._replace(state="failed", ended_at=9.25, outcome=b"outcome")
        assert await journal.find("uid-1", job_id(1)) == ended

    with_journal(path, use)


def test_the_first_end_of_a_job_stays(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await over(journal, 1)
        await journal.finish(job_id(1), "lost", 99.0, b"other", power=False)
        journal.start(job_id(1), 2, 99.0)
        found = await journal.find("uid-1", job_id(1))
        assert found is not None
        assert (found.state, found.ended_at, found.outcome, found.runs) == ("ended", 1.0, b"", 0)

    with_journal(path, use)


def test_the_end_of_an_unknown_job_is_an_error(path: Path) -> None:
    async def use(journal: Journal) -> None:
        with pytest.raises(JournalError, match="not in the journal"):
            await journal.finish(job_id(1), "ended", 1.0, b"", power=False)

    with_journal(path, use)


def test_a_list_is_cut_by_state_place_and_number(path: Path) -> None:
    async def use(journal: Journal) -> None:
        for number in range(1, 10):
            await journal.accept(entry(number), power=False)
        for number in (2, 4, 6):
            await journal.finish(job_id(number), "ended", 1.0, b"outcome", power=False)
        journal.start(job_id(3), 1, 1.0)
        everything = await journal.list("uid-1", None, None, 100)
        assert ids(everything) == list(range(1, 10))
        assert {(each.request, each.outcome) for each in everything} == {(b"", None)}
        assert ids(await journal.list("uid-1", "ended", None, 100)) == [2, 4, 6]
        assert ids(await journal.list("uid-1", "running", None, 100)) == [3]
        assert ids(await journal.list("uid-1", None, job_id(3), 3)) == [4, 5, 6]
        assert ids(await journal.list("uid-1", "ended", job_id(2), 1)) == [4]
        assert await journal.list("uid-1", None, None, 0) == []
        assert await journal.list("uid-1", None, None, -1) == []

    with_journal(path, use)


def test_only_a_job_that_is_over_can_be_deleted(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1, key="k"), power=False)
        assert not await journal.delete("uid-1", job_id(1))
        journal.start(job_id(1), 1, 1.0)
        assert not await journal.delete("uid-1", job_id(1))
        await journal.finish(job_id(1), "ended", 1.0, b"", power=False)
        assert await journal.delete("uid-1", job_id(1))
        assert not await journal.delete("uid-1", job_id(1))
        assert await journal.find("uid-1", job_id(1)) is None
        assert await journal.accept(entry(1, key="k"), power=False) is None

    with_journal(path, use)


def test_a_restart_accounts_for_all_that_was_not_over(path: Path) -> None:
    async def before(journal: Journal) -> None:
        for number in range(1, 6):
            await journal.accept(entry(number), power=False)
        for number in (1, 3, 4):
            journal.start(job_id(number), 1, 5.0)
        await journal.finish(job_id(4), "ended", 6.0, b"", power=False)

    async def after(journal: Journal) -> None:
        assert [(int(each.job, 16), each.state) for each in await journal.unfinished()] == [
            *((1, "running"), (2, "queued"), (3, "running"), (5, "queued"))
        ]
        await journal.recover([job_id(1)], [Lost(job_id(3), b"gone")], 8.0, power=True)
        requeued, lost = [await journal.find("uid-1", job_id(number)) for number in (1, 3)]
        assert requeued == entry(1, runs=1)
        assert lost == entry(3, state="lost", runs=1, started_at=5.0, ended_at=8.0, outcome=b"gone")
        assert ids(await journal.unfinished()) == [1, 2, 5]

    with_journal(path, before)
    with_journal(path, after)


def test_jobs_expire_by_age_number_and_size_the_oldest_first(path: Path) -> None:
    async def use(journal: Journal) -> None:
        plenty = 1 << 40
        for number in range(1, 11):
            await over(journal, number, size=1000)
        await journal.accept(entry(11, created_at=0.0), power=False)  # old, and not over
        assert await journal.expire(0.0, plenty, plenty) == []
        assert await journal.expire(3.0, plenty, plenty) == [job_id(1), job_id(2)]
        assert await journal.expire(0.0, plenty, 6) == [job_id(3), job_id(4)]
        assert await journal.expire(0.0, 4500, plenty) == [job_id(5), job_id(6)]
        assert await journal.find("uid-1", job_id(6)) is None
        assert ids(await journal.list("uid-1", None, None, 100)) == [7, 8, 9, 10, 11]
        await journal.expire(99.0, 0, 0)
        assert ids(await journal.list("uid-1", None, None, 100)) == [11]

    with_journal(path, use)


def test_many_jobs_expire_in_more_than_one_piece(path: Path) -> None:
    async def use(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(600):
                nursery.start_soon(over, journal, number)
        assert len(await journal.expire(99999.0, 0, 0)) == 600
        assert await journal.list("uid-1", None, None, 10) == []

    with_journal(path, use)


def test_the_ids_that_are_known_are_told(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1), power=False)
        await over(journal, 700)
        assert await journal.holds(map(job_id, range(1000))) == {job_id(1), job_id(700)}
        assert await journal.holds([]) == set()

    with_journal(path, use)


def test_an_accept_whose_waiter_was_cancelled_stands(path: Path) -> None:
    async def use(journal: Journal) -> None:
        with commits_held(journal):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: journal.accept(entry(1), power=False))
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert ids(await journal.unfinished()) == [1]

    with_journal(path, use)


def test_what_was_ordered_last_is_done_before_the_journal_closes(path: Path) -> None:
    async def before(journal: Journal) -> None:
        await journal.accept(entry(1), power=False)
        journal.start(job_id(1), 1, 5.0)

    async def after(journal: Journal) -> None:
        (found,) = await journal.unfinished()
        assert found.state == "running"

    with_journal(path, before)
    with_journal(path, after)


def test_a_closed_journal_takes_no_orders(path: Path) -> None:
    async def main() -> None:
        async with open_journal(path) as journal:
            pass
        with pytest.raises(RefusedError, match="closed"):
            await journal.accept(entry(1), power=False)
        with pytest.raises(JournalError, match="closed"):
            await journal.find("uid-1", job_id(1))
        with pytest.raises(RefusedError):
            journal.start(job_id(1), 1, 1.0)

    trio.run(main)


def test_starts_that_wait_to_be_noted_are_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.server.journal._MOST_STARTS", 3)

    async def use(journal: Journal) -> None:
        with commits_held(journal):
            for number in range(3):
                journal.start(job_id(number), 1, 1.0)
            with pytest.raises(RefusedError, match="3 wait") as caught:
                journal.start(job_id(3), 1, 1.0)
            assert caught.value.retry_after_seconds is not None
        await journal.unfinished()
        journal.start(job_id(3), 1, 1.0)

    with_journal(path, use)
