"""The journal: what is noted is found again, once a key, by its tenant; and a full disk heals."""

import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from sandbox.server import journal_file, journal_thread
from sandbox.server.journal import Entry, Journal, JournalError, Lost, open_journal
from sandbox.server.journal_file import Disk, open_file
from sandbox.spec.errors import HostError, RefusedError, SandboxError

ROOT = Path(__file__).resolve().parents[2]


def job_id(number: int) -> str:
    return f"{number:022x}"


def entry(number: int, key: str | None = None, tenant: str = "uid-1", **changes: Any) -> Entry:
    return Entry(
        tenant=tenant,
        job=job_id(number),
        key=key,
        state="queued",
        label="a label",
        priority=-3,
        runs=0,
        most_runs=2,
        created_at=1000.0 + number,
        started_at=None,
        ended_at=None,
        request=b"request \x00\xff",
        outcome=None,
    )._replace(**changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def with_journal(path: Path, use: Callable[[Journal], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_journal(path) as journal:
            with trio.fail_after(60):
                await use(journal)

    trio.run(main)


async def over(journal: Journal, number: int, *, size: int = 0, state: str = "ended") -> None:
    """Accept and finish a job, at the second of its number, with an outcome of `size` bytes."""
    await journal.accept(entry(number, request=b""), power=False)
    await journal.finish(job_id(number), state, float(number), bytes(size), power=False)


def ids(entries: Any) -> list[int]:
    return [int(each.job, 16) for each in entries]


@contextmanager
def commits_held(journal: Journal) -> Iterator[None]:
    """Nothing is committed, so nobody answered."""
    with journal._threads._commits:
        yield


def refused(path: Path) -> str:
    async def use(_journal: Journal) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(HostError) as caught:
        with_journal(path, use)
    return str(caught.value)


# What is noted


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


# Waiters


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


# A disk that is full, or fails


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """A disk that is full, to this process: write(2) past `size` fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_no_more_refuses_jobs_until_there_is_room(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1), power=False)
        await journal.accept(entry(2), power=False)
        wal = path.with_name("journal.sqlite-wal")
        with no_file_longer_than(wal.stat().st_size):
            with pytest.raises(RefusedError, match="journal cannot be written") as refusal:
                await journal.accept(entry(3, key="k"), power=False)
            with pytest.raises(JournalError) as failure:
                await journal.finish(job_id(2), "ended", 1.0, b"outcome", power=False)
            journal.start(job_id(1), 1, 5.0)
            found = await journal.find("uid-1", job_id(1))
            assert found is not None and found.state == "queued"
        assert refusal.value.retry_after_seconds == failure.value.retry_after_seconds == 5.0
        assert ids(await journal.unfinished()) == [1, 2]
        found = await journal.find("uid-1", job_id(1))
        assert found == entry(1, state="running", runs=1, started_at=5.0)  # noted after all
        await journal.finish(job_id(2), "ended", 1.0, b"outcome", power=False)
        assert await journal.accept(entry(4, key="k"), power=True) is None

    with_journal(path, use)


def test_a_full_database_is_told_and_has_room_again_when_jobs_expire(path: Path) -> None:
    async def main() -> None:
        file = open_file(path)
        file.connection.execute("PRAGMA max_page_count = 60").fetchone()
        journal = Journal(file)
        great = bytes(20000)
        with pytest.raises(RefusedError, match="disk is full"):
            for number in range(100):
                await journal.accept(entry(number, request=great), power=False)
        noted = ids(await journal.unfinished())
        assert len(noted) > 2
        await journal.finish(job_id(0), "ended", 1.0, b"", power=False)
        assert await journal.expire(9.0, 0, 0) == [job_id(0)]
        assert await journal.accept(entry(200, request=great), power=False) is None
        await trio.to_thread.run_sync(journal.close)

    trio.run(main)


def test_an_order_that_cannot_be_written_fails_alone(path: Path) -> None:
    async def main() -> None:
        file = open_file(path)
        file.connection.execute("PRAGMA max_page_count = 60").fetchone()
        journal = Journal(file)
        errors: dict[int, SandboxError] = {}

        async def accept(number: int, size: int) -> None:
            try:
                await journal.accept(entry(number, request=bytes(size)), power=False)
            except SandboxError as error:
                errors[number] = error

        async with trio.open_nursery() as nursery:
            with commits_held(journal):
                nursery.start_soon(accept, 0, 10)  # the thread holds it, and then takes the others
                await trio.testing.wait_all_tasks_blocked()
                for number in range(1, 6):
                    nursery.start_soon(accept, number, 1 << 20 if number == 2 else 10)
                await trio.testing.wait_all_tasks_blocked()
        assert set(errors) == {2}
        await trio.to_thread.run_sync(journal.close)

    trio.run(main)


def test_a_job_that_did_not_reach_the_disk_is_not_noted_and_that_is_final(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1), power=True)
        with monkeypatch.context() as patch:
            patch.setattr(Disk, "sync", fail)
            with pytest.raises(RefusedError, match=r"synced .*Input/output error") as caught:
                await journal.accept(entry(2, key="k"), power=True)
            assert caught.value.retry_after_seconds is None
        assert await journal.find_key("uid-1", "k") is None
        with pytest.raises(RefusedError, match="synced"):  # the kernel would say that all is well
            await journal.accept(entry(3), power=True)
        assert await journal.accept(entry(4), power=False) is None
        with pytest.raises(JournalError, match="synced"):
            await journal.finish(job_id(1), "ended", 1.0, b"", power=True)
        assert ids(await journal.unfinished()) == [4]

    def fail(_disk: Disk) -> None:
        raise OSError(5, "Input/output error")

    with_journal(path, use)


def test_the_wal_begins_anew_under_steady_work(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_thread, "_CHECKPOINT_BYTES", 256 << 10)
    restarts = 0
    restart = Disk.restart

    def counted(disk: Disk) -> None:
        nonlocal restarts
        restarts += 1
        restart(disk)

    monkeypatch.setattr(Disk, "restart", counted)

    async def use(journal: Journal) -> None:
        for number in range(200):
            await journal.accept(entry(number, request=bytes(1 << 16)), power=False)
        assert restarts > 1
        assert path.with_name("journal.sqlite-wal").stat().st_size < 100 << 16
        assert len(await journal.unfinished()) == 200

    with_journal(path, use)


# The file


def test_the_files_are_the_owners_alone_and_one_is_left_at_the_end(path: Path) -> None:
    async def use(journal: Journal) -> None:
        await journal.accept(entry(1), power=False)
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        names = ("journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal")
        assert modes == dict.fromkeys(names, 0o600)

    with_journal(path, use)
    assert [each.name for each in path.parent.iterdir()] == ["journal.sqlite"]


def test_a_file_that_a_kill_left_empty_is_made_a_journal(path: Path) -> None:
    async def use(journal: Journal) -> None:
        assert await journal.unfinished() == []
        assert path.stat().st_mode & 0o777 == 0o600

    path.touch(0o644)
    with_journal(path, use)


def test_a_place_that_cannot_be_written_is_named_with_the_fix(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "missing" / "journal.sqlite")
    directory = tmp_path / "read-only"
    directory.mkdir(mode=0o500)
    assert "Permission denied; fix:" in refused(directory / "journal.sqlite")


def test_a_link_or_a_fifo_is_no_journal(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    assert "fix:" in refused(link)
    assert not (tmp_path / "target").exists()
    directory = tmp_path / "directory"
    directory.mkdir()
    assert "Is a directory" in refused(directory)


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    open_file(path).close()
    newer = journal_file.SCHEMA_VERSION + 1
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    connection.close()
    before = path.read_bytes()
    assert f"schema {newer}" in refused(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE jobs (name)")
    connection.close()
    before = path.read_bytes()
    assert "another program" in refused(path)
    assert path.read_bytes() == before


def test_what_is_no_database_is_told_as_corrupt(path: Path) -> None:
    path.write_bytes(b"nonsense " * 1000)
    message = refused(path)
    assert "corrupt" in message and "fix: move journal.sqlite" in message


def killed_copy(path: Path, copy: Path) -> None:
    """Copy a journal as a kill -9 would have left it: with its WAL, not closed."""

    async def use(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(over, journal, number)
        await trio.to_thread.run_sync(journal._threads._file.disk.copy)
        await journal.accept(entry(1000), power=False)
        for each in path.parent.glob("journal.sqlite*"):
            shutil.copy(each, copy.with_name(each.name))

    with_journal(path, use)


def test_a_journal_that_was_not_closed_is_checked_and_goes_on(tmp_path: Path, path: Path) -> None:
    copy = tmp_path / "copy" / "journal.sqlite"
    copy.parent.mkdir()
    killed_copy(path, copy)

    async def use(journal: Journal) -> None:
        assert ids(await journal.unfinished()) == [1000]
        assert len(await journal.list("uid-1", "ended", None, 1000)) == 300

    with_journal(copy, use)


def test_a_journal_that_was_not_closed_and_is_corrupt_is_not_used(
    tmp_path: Path, path: Path
) -> None:
    copy = tmp_path / "copy" / "journal.sqlite"
    copy.parent.mkdir()
    killed_copy(path, copy)
    data = bytearray(copy.read_bytes())
    data[5 * 4096 : 12 * 4096] = b"\xa5" * (7 * 4096)
    copy.write_bytes(data)
    copy.with_name("journal.sqlite-wal").write_bytes(b"\x00" * 32)  # else it holds those pages too
    message = refused(copy)
    assert "corrupt" in message and "knows none of the jobs" in message


# What waits for the disk

CHILD = """
import os, sys, trio
from pathlib import Path
sys.path.insert(0, {root!r})
from sandbox.server.journal import Entry, open_journal
def say(text): os.write(1, text.encode() + b"\\n")
async def accept(journal, number, power):
    job = f"{{number:022x}}"
    noted = Entry("t", job, None, "queued", None, 0, 0, 1, 1.0, None, None, b"r", None)
    await journal.accept(noted, power=power)
    say(f"noted {{number}}")
async def main():
    async with open_journal(Path({path!r})) as journal:
        say("opened")
        {body}
        say("closing")
trio.run(main)
"""
ONE_BY_ONE = "for number in range(10): await accept(journal, number, {power})"
AT_ONCE = """async with trio.open_nursery() as nursery:
            for number in range(50): nursery.start_soon(accept, journal, number, True)"""


def traced(path: Path, body: str) -> list[str]:
    """What happened between opening and closing, in order: "noted N", and "sync" as it ended."""
    if shutil.which("strace") is None:
        pytest.skip("no strace on this host")
    log = path.with_name("trace")
    code = CHILD.format(root=str(ROOT), path=str(path), body=body)
    calls = "trace=write,fsync,fdatasync,sync_file_range,msync,sync,syncfs"
    command = ["strace", "-f", "-qq", "-e", calls, "-o", log, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if "ptrace" in done.stderr:
        pytest.skip("this host lets nobody trace")
    assert done.returncode == 0, done.stderr
    events = []
    for line in log.read_text().splitlines():
        if said := re.search(r'write\(1, "(\w+(?: \d+)?)', line):
            events.append(said[1])
        elif re.search(r"sync\w*(\(.*\)| resumed>.*\)) += 0", line):
            events.append("sync")
    assert "sync" in events[: events.index("opened")]  # control: syncs are seen
    return events[events.index("opened") + 1 : events.index("closing")]


def test_at_process_level_nothing_waits_for_the_disk(path: Path) -> None:
    events = traced(path, ONE_BY_ONE.format(power=False))
    assert events == [f"noted {number}" for number in range(10)]


def test_at_power_level_each_is_synced_before_it_is_acknowledged(path: Path) -> None:
    events = traced(path, ONE_BY_ONE.format(power=True))
    assert events == [event for number in range(10) for event in ("sync", f"noted {number}")]


def test_many_at_power_level_share_a_sync(path: Path) -> None:
    events = traced(path, AT_ONCE)
    assert sorted(set(events) - {"sync"}) == sorted(f"noted {number}" for number in range(50))
    assert events[0] == "sync"
    assert events.count("sync") < 25
