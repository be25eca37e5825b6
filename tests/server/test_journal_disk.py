"""The journal and the disk: full, failing, and who waits for it."""

import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from server.journals import commits_held, entry, ids, job_id, with_journal

from sandbox.server import journal_thread
from sandbox.server.journal import Journal, JournalError
from sandbox.server.journal_file import Disk, open_file
from sandbox.spec.errors import RefusedError, SandboxError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


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


def test_the_wal_begins_anew_when_enough_was_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_thread, "_CHECKPOINT_BYTES", 16 << 16)
    has_restarted = threading.Event()
    restart = Disk.restart

    def signalled(disk: Disk) -> None:
        restart(disk)
        has_restarted.set()

    monkeypatch.setattr(Disk, "restart", signalled)

    async def use(journal: Journal) -> None:
        wal = path.with_name("journal.sqlite-wal")
        for number in range(16):
            await journal.accept(entry(number, request=bytes(1 << 16)), power=False)
        assert await trio.to_thread.run_sync(has_restarted.wait, 30)
        size = wal.stat().st_size
        for number in range(16, 24):
            await journal.accept(entry(number, request=bytes(1 << 16)), power=False)
        assert wal.stat().st_size == size > 16 << 16
        assert len(await journal.unfinished()) == 24

    with_journal(path, use)


def test_a_checkpoint_that_fails_stops_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_thread, "_CHECKPOINT_BYTES", 1 << 16)
    calls: list[str] = []

    def failing(_disk: Disk) -> None:
        calls.append("checkpoint")
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Disk, "copy", failing)
    monkeypatch.setattr(Disk, "restart", failing)

    async def use(journal: Journal) -> None:
        for number in range(10):
            await journal.accept(entry(number, request=bytes(1 << 16)), power=True)
        assert len(await journal.unfinished()) == 10

    with_journal(path, use)
    assert calls


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
