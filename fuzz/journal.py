"""A journal that a kill, a disk or a hand has changed: the server starts with it, or says why not.

An input is decisions: which journal, what is changed in its bytes or by SQL, and who asks then.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from functools import cache
from pathlib import Path

import msgpack
import trio

from fuzz.choices import Choices
from fuzz.driver import MSGPACK_TOKENS, main
from fuzz.fds import all_closed
from sandbox.server.journal import Journal, open_journal
from sandbox.server.journal_file import open_file
from sandbox.server.record import Record, brief_of
from sandbox.server.submission import Submission
from sandbox.spec.errors import SandboxError
from sandbox.supervisor.lifecycle import not_started
from sandbox.wire.messages import Response, encode

__all__ = ["TOKENS", "target"]

_TENANTS = ("alice", "bob")
_NAME = "journal.sqlite"
_JOBS = [f"{number:022x}" for number in range(6)]
_COLUMNS = (
    "job", "tenant", "key", "state", "label", "priority", "runs", "most_runs", "created_at",
    "started_at", "ended_at", "bytes",
)  # fmt: skip
_VALUES = (
    None, "", "alice", "bob", "running", "queued", "ended", "lost", "over", -1, 1 << 62, 1.5,
    float("inf"), b"", b"alice", _JOBS[0], "../../etc",
)  # fmt: skip
_FILES = ("artifact-0", "", ".", "..", "a/b", "/etc/passwd", "\0", "\n", "x" * 300)
_PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
TOKENS = (*MSGPACK_TOKENS, b"job", b"stdin", b"result", b"error", b"artifacts", b"..\0", b"SBJL")


def target(data: bytes) -> None:
    """One error that says what is wrong, or jobs that can be told; each to its own tenant."""
    choices = Choices(data)
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_PLACE) as directory, all_closed():
        place = Path(directory)
        for name, content in choices.one_of(_journals()).items():
            (place / name).write_bytes(content)
        edits = [choices.one_of(_EDITS) for _ in range(choices.below(4))]
        for edit in edits:
            edit(choices, place)
        # Rows that were changed as rows may say of anything that it is anybody's.
        has_labels = all(edit is _edit_bytes for edit in edits)
        try:
            trio.run(_start, place / _NAME, place / "spool", has_labels)
        except SandboxError as error:
            assert "\n" not in str(error)
        assert not (place / "spool").exists()


async def _start(path: Path, spool: Path, has_labels: bool) -> None:
    async with open_journal(path) as journal:
        with trio.fail_after(60):
            for entry in await journal.unfinished():
                assert entry.state in ("queued", "running")
                _require_record(Record.from_entry(entry, spool / "job"))
            for tenant in _TENANTS:
                await _ask(journal, tenant, spool, has_labels)
            await journal.expire(time.time(), 1 << 20, 2)
            await journal.recover(_JOBS[:1], (), 5.0, power=False)


async def _ask(journal: Journal, tenant: str, spool: Path, has_labels: bool) -> None:
    """As whoever comes back for a job does. An error of one job is not the others'."""
    (other,) = {*_TENANTS} - {tenant}
    for job in _JOBS:
        entry = await journal.find(tenant, job)
        if entry is not None:
            assert (entry.tenant, entry.job) == (tenant, job)
            assert entry.label != other or not has_labels
            try:
                record = Record.from_entry(entry, spool / "job")
            except SandboxError as error:
                assert job in str(error)
            else:
                _require_record(record)
    entry = await journal.find_key(tenant, "key")
    assert entry is None or (entry.tenant, entry.key) == (tenant, "key")
    assert entry is None or entry.label != other or not has_labels
    for brief in await journal.list(tenant, None, None, 10):
        assert brief.tenant == tenant
        assert brief.label != other or not has_labels
        encode(Response(1, None, brief_of(brief)))


def _require_record(record: Record) -> None:
    """It can be told to its client, and queued again."""
    encode(Response(1, None, record.status(1000)))
    assert record.state in ("queued", "running", "ended", "failed", "lost")
    assert isinstance(record.submission.job, dict)
    for name in (*record.artifacts.values(), record.id):
        assert "/" not in name and name not in ("", ".", "..")
    assert record.submission.pack()


def _edit_bytes(choices: Choices, place: Path) -> None:
    """As a disk, a torn write or a hand may."""
    path = choices.one_of(sorted(place.iterdir()) or [place / _NAME])
    content = bytearray(path.read_bytes() if path.exists() else b"")
    at = choices.integer(32) % (len(content) + 1)
    match choices.below(5):
        case 0:
            content[at : at + 1] = bytes([choices.below(256)])
        case 1:
            content[at:] = b""
        case 2:  # a page that was never written
            content[at // 4096 * 4096 : at // 4096 * 4096 + 4096] = bytes(4096)
        case 3:
            content[at : at + 64] = choices.data(64)
        case _:
            content[at:] = choices.rest()
    path.write_bytes(content)


def _edit_rows(choices: Choices, place: Path) -> None:
    """What is well-formed and means something else."""
    statement, values = choices.one_of(
        [
            (f"UPDATE jobs SET {choices.one_of(_COLUMNS)} = ? WHERE job = ?",
             (choices.one_of(_VALUES), choices.one_of(_JOBS))),
            (f"PRAGMA user_version = {choices.below(3)}", ()),
            (f"PRAGMA application_id = {choices.below(2)}", ()),
            (f"DROP TABLE {choices.one_of(['jobs', 'requests', 'outcomes'])}", ()),
            ("DROP INDEX jobs_by_end", ()),
            ("UPDATE requests SET job = ? WHERE job = ?",
             (choices.one_of(_VALUES), choices.one_of(_JOBS))),
            ("DELETE FROM requests WHERE job = ?", (choices.one_of(_JOBS),)),
            ("INSERT INTO outcomes VALUES (?, ?)",
             (choices.one_of(_JOBS), choices.one_of(_VALUES) or b"")),
        ]
    )  # fmt: skip
    _execute(place, statement, values)


def _edit_blobs(choices: Choices, place: Path) -> None:
    """What is in a request or an outcome."""
    table, column = choices.one_of([("requests", "request"), ("outcomes", "outcome")])
    job = choices.one_of(_JOBS)
    whole = _request() if table == "requests" else _outcome()
    match choices.below(5):
        case 0:
            content: object = choices.data()
        case 4 if table == "outcomes":
            fields = msgpack.unpackb(whole, strict_map_key=False)
            fields["artifacts"] = {b"/work/out": choices.one_of(_FILES)}
            content = msgpack.packb(fields)
        case 1:
            content = whole[: choices.below(len(whole))]
        case 2:
            fields = msgpack.unpackb(whole, strict_map_key=False)
            odd = choices.one_of([None, [], {}, 1, "x", b"\xff", {"../a": "../../b"}, {1: 2}])
            fields[choices.one_of(sorted(fields))] = odd
            content = msgpack.packb(fields)
        case _:
            changed = bytearray(whole)
            changed[choices.below(len(whole))] = choices.below(256)
            content = bytes(changed)
    _execute(place, f"UPDATE {table} SET {column} = ? WHERE job = ?", (content, job))


def _execute(place: Path, statement: str, values: tuple[object, ...]) -> None:
    connection = sqlite3.connect(place / _NAME, isolation_level=None)
    try:
        connection.execute(statement, values).fetchall()
    except (sqlite3.Error, UnicodeDecodeError):
        pass  # bytes of it were changed before
    finally:
        connection.close()


_EDITS = (_edit_bytes, _edit_rows, _edit_rows, _edit_blobs)


@cache
def _journals() -> tuple[dict[str, bytes], ...]:
    """The files of a journal that was closed, of one whose server was killed, and of none."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_PLACE) as directory:
        path = Path(directory) / _NAME
        trio.run(_fill, path)
        closed = {_NAME: path.read_bytes()}
        file = open_file(path)
        file.connection.execute("UPDATE jobs SET priority = 7")
        killed = Path(directory) / "killed"
        killed.mkdir()
        for name in (_NAME, f"{_NAME}-wal"):
            shutil.copy(path.with_name(name), killed)
        file.close()
        return closed, {each.name: each.read_bytes() for each in killed.iterdir()}, {}


async def _fill(path: Path) -> None:
    async with open_journal(path) as journal:
        for number, job in enumerate(_JOBS):
            key = "key" if number < 2 else None
            tenant = _TENANTS[number % 2]
            submission = Submission({"command": ("x",)}, False, key=key, stdin=b"in", label=tenant)
            record = Record(tenant, job, submission, Path("/nowhere"))
            await journal.accept(record.entry(), power=False)
            if number > 1:
                journal.start(job, 1, 5.0)
            if number > 3:
                await journal.finish(job, "ended", 6.0, _outcome(), power=False)


@cache
def _request() -> bytes:
    return Submission({"command": ("x",)}, False, stdin=b"in").pack()


@cache
def _outcome() -> bytes:
    context = {name: {} for name in ("walls", "grades", "artifacts", "identity", "host")}
    record = Record("alice", _JOBS[0], Submission({"command": ("x",)}, False), Path("/nowhere"))
    record.artifacts = {b"/work/out": "0"}
    record.outputs["stdout"].append(b"told")
    record.finish(not_started(**context))  # type: ignore[arg-type]
    return record.outcome()


if __name__ == "__main__":
    main("journal", target, TOKENS)
