"""The journal's file: whose it is, and what is no journal, or a broken one."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing
from server.journals import entry, ids, job_id, over, with_journal

from sandbox.server import journal_file
from sandbox.server.journal import Journal, JournalError
from sandbox.server.journal_file import open_file
from sandbox.spec.errors import HostError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def refused(path: Path) -> str:
    async def use(_journal: Journal) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(HostError) as caught:
        with_journal(path, use)
    return str(caught.value)


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


def test_an_index_that_leads_to_another_tenant_is_told(path: Path) -> None:
    """As a disk or a hand may have changed it: SQLite does not look at the row again."""

    async def fill(journal: Journal) -> None:
        await journal.accept(entry(1, "k", "uid-1"), power=False)
        await journal.accept(entry(2, "k", "uid-2"), power=False)

    with_journal(path, fill)
    content = bytearray(path.read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        pages = connection.execute("SELECT rootpage FROM sqlite_master WHERE name LIKE 'jobs_by%'")
        for (number,) in pages.fetchall():
            page = slice((number - 1) * page_bytes, number * page_bytes)
            one, two, neither = (job_id(number).encode() for number in (1, 2, 3))
            swapped = content[page].replace(one, neither).replace(two, one)
            content[page] = swapped.replace(neither, two)
    path.write_bytes(content)

    async def ask(journal: Journal) -> None:
        for tenant in ("uid-1", "uid-2"):
            with pytest.raises(JournalError, match="another tenant"):
                await journal.find_key(tenant, "k")
            with pytest.raises(JournalError, match="another tenant"):
                await journal.list(tenant, None, None, 10)

    with_journal(path, ask)


def test_a_schema_that_is_no_text_is_corrupt(path: Path) -> None:
    open_file(path).close()
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE jobs", b"CREATE T\xffBLE jobs"))
    assert "is corrupt (its schema is no text)" in refused(path)
