"""What the journal knows of each job, in SQL. Of the journal's thread, within its transactions."""

import heapq
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

__all__ = ["STATES", "Entry", "Lost", "Store"]

_UNFINISHED = ("queued", "running")
_OVER = ("ended", "failed", "lost")
STATES = (*_UNFINISHED, *_OVER)

# At once: each page of what is removed is read and noted as free, and the others wait for that.
_MOST_REMOVED = 256
_MOST_REMOVED_BYTES = 4 << 20

_COLUMNS = (
    "jobs.tenant, jobs.job, jobs.key, jobs.state, jobs.label, jobs.priority, jobs.runs, "
    "jobs.most_runs, jobs.created_at, jobs.started_at, jobs.ended_at"
)
# What an index has found is read from the table: SQLite takes an index at its word, and where a
# disk or a hand has changed that, it is another tenant's job. `_require` looks.
_FOUND = "FROM jobs AS found CROSS JOIN jobs ON jobs.job = found.job"
_OF_JOBS = f"SELECT {_COLUMNS}, request, outcome FROM jobs"
_OF_FOUND = f"SELECT {_COLUMNS}, request, outcome {_FOUND}"
_PARTS = "JOIN requests ON requests.job = jobs.job LEFT JOIN outcomes ON outcomes.job = jobs.job"
_BRIEF = f"SELECT {_COLUMNS}, x'', NULL {_FOUND}"


_ENDED = "FROM jobs WHERE ended_at IS NOT NULL"  # jobs_by_end alone answers


class Entry(NamedTuple):
    """A job as the journal has it; times are unix seconds."""

    tenant: str
    job: str
    key: str | None
    state: str
    label: str | None
    priority: int
    runs: int
    most_runs: int
    created_at: float
    started_at: float | None
    ended_at: float | None
    request: bytes
    outcome: bytes | None


class Lost(NamedTuple):
    """A job that ran when the server was killed, and what is to be told of it."""

    job: str
    outcome: bytes


class Store:
    """The tables. Every method raises sqlite3.Error, and is then to be rolled back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def accept(self, *entries: Entry) -> Entry | None:
        """Note jobs; else none of them, and the entry that has the (tenant, key) of one."""
        for number, entry in enumerate(entries):
            if (known := self._add(entry)) is not None:
                self.forget(*(each.job for each in entries[:number]))
                return known
        return None

    def _add(self, entry: Entry) -> Entry | None:
        """Note a job; else the entry that has its key, which the unique index tells."""
        added = self._connection.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (tenant, key) WHERE key IS NOT NULL DO NOTHING",
            (
                *(entry.job, entry.tenant, entry.key, entry.state, entry.label, entry.priority),
                *(entry.runs, entry.most_runs, entry.created_at, entry.started_at),
                *(entry.ended_at, len(entry.request) + len(entry.outcome or b"")),
            ),
        )
        if added.rowcount == 0:
            assert entry.key is not None
            return self.find_key(entry.tenant, entry.key)
        self._connection.execute("INSERT INTO requests VALUES (?, ?)", (entry.job, entry.request))
        if entry.outcome is not None:
            self._connection.execute(
                "INSERT INTO outcomes VALUES (?, ?)", (entry.job, entry.outcome)
            )
        return None

    def forget(self, *jobs: str) -> None:
        """Undo an accept that was not acknowledged."""
        self._remove(jobs)

    def start(self, job: str, runs: int, started_at: float) -> None:
        """Note that a queued job runs; one that is over already stays so."""
        self._connection.execute(
            "UPDATE jobs SET state = 'running', runs = ?, started_at = ? "
            "WHERE job = ? AND state = 'queued'",
            (runs, started_at, job),
        )

    def finish(self, job: str, state: str, ended_at: float, outcome: bytes) -> bool:
        """Note how a job ended, unless that is noted already. False: there is no such job."""
        changed = self._connection.execute(
            "UPDATE jobs SET state = ?, ended_at = ?, bytes = bytes + ? "
            "WHERE job = ? AND state IN ('queued', 'running')",
            (state, ended_at, len(outcome), job),
        )
        if changed.rowcount == 0:
            return self._first("SELECT 1 FROM jobs WHERE job = ?", job) is not None
        self._connection.execute("INSERT INTO outcomes VALUES (?, ?)", (job, outcome))
        return True

    def find(self, tenant: str, job: str) -> Entry | None:
        """The tenant's job of that id."""
        entry = self._entry(f"{_OF_JOBS} {_PARTS} WHERE jobs.job = ? AND tenant = ?", job, tenant)
        return entry and _require(entry, tenant=tenant, job=job)

    def find_key(self, tenant: str, key: str) -> Entry | None:
        """The tenant's job of that idempotency key."""
        entry = self._entry(
            f"{_OF_FOUND} {_PARTS} WHERE found.tenant = ? AND found.key = ?", tenant, key
        )
        return entry and _require(entry, tenant=tenant, key=key)

    def page(self, tenant: str, state: str | None, after: str | None, most: int) -> list[Entry]:
        """The tenant's jobs in the order of their ids, without request and outcome."""
        # A range of the index for each state: no number of jobs of another state slows it.
        most = max(most, 0)  # a negative LIMIT is none
        ranges = [
            self._connection.execute(
                f"{_BRIEF} WHERE found.tenant = ? AND found.state = ? AND found.job > ? "
                "ORDER BY found.job LIMIT ?",
                (tenant, each, after or "", most),
            ).fetchall()  # a cursor left open would hold the WAL against its restart
            for each in (STATES if state is None else (state,))
        ]
        merged = heapq.merge(*ranges, key=lambda row: row[1])
        found = (Entry(*row) for row in itertools.islice(merged, most))
        return [_require(entry, tenant=tenant) for entry in found]

    def delete(self, tenant: str, job: str) -> bool:
        """Remove a job that is over; False: the tenant has none such."""
        row = self._first("SELECT tenant, state FROM jobs WHERE job = ?", job)
        if row is None or row[0] != tenant or row[1] not in _OVER:
            return False
        self._remove([job])
        return True

    def unfinished(self) -> list[Entry]:
        """Every job that is queued or running, in the order of their ids."""
        rows = self._connection.execute(
            f"{_OF_JOBS} {_PARTS} WHERE state IN ('queued', 'running') ORDER BY jobs.job"
        )
        return [_require(entry, state=_UNFINISHED) for entry in (Entry(*row) for row in rows)]

    def recover(self, requeued: Sequence[str], lost: Sequence[Lost], ended_at: float) -> None:
        """Note what becomes of jobs that ran when the server was killed."""
        for job in requeued:
            self._connection.execute(
                "UPDATE jobs SET state = 'queued', started_at = NULL "
                "WHERE job = ? AND state = 'running'",
                (job,),
            )
        for job, outcome in lost:
            self.finish(job, "lost", ended_at, outcome)

    def expire(self, ended_before: float, most_bytes: int, most_entries: int) -> list[str]:
        """Remove some of the jobs that are over, where they are too old or too many.

        Of too many, the oldest of the tenant that holds most: nobody's results make way for a
        flood of another's. Their ids; to be repeated until there are none.
        """
        removed: list[tuple[str, int]] = self._connection.execute(
            f"SELECT job, bytes {_ENDED} AND ended_at < ? LIMIT ?", (ended_before, _MOST_REMOVED)
        ).fetchall()
        removed = list(_within(removed, _MOST_REMOVED_BYTES))
        if not removed:
            removed = self._too_many(most_bytes, most_entries)
        if self._remove([job for job, _ in removed]) < len(removed):
            # To be asked until there are none, it would be asked for ever.
            raise sqlite3.DatabaseError("the index of ended jobs has some that the table has not")
        return [job for job, _ in removed]

    def _too_many(self, most_bytes: int, most_entries: int) -> list[tuple[str, int]]:
        held = self._connection.execute(
            f"SELECT tenant, count(*), total(bytes) {_ENDED} GROUP BY tenant"
        ).fetchall()
        over_entries = sum(entries for _, entries, _ in held) - most_entries
        over_bytes = sum(size for _, _, size in held) - most_bytes
        if over_entries <= 0 and over_bytes <= 0:
            return []
        counted = 1 if over_entries > 0 else 2
        holder, *_ = max(held, key=lambda row: row[counted])
        oldest = self._connection.execute(
            f"SELECT job, bytes {_ENDED} AND tenant = ? ORDER BY ended_at LIMIT ?",
            (holder, max(1, min(over_entries, _MOST_REMOVED)) if counted == 1 else _MOST_REMOVED),
        ).fetchall()
        most = _MOST_REMOVED_BYTES if counted == 1 else min(over_bytes, _MOST_REMOVED_BYTES)
        return list(_within(oldest, most))

    def holds(self, jobs: Iterable[str]) -> set[str]:
        """Which of these ids are known, whosesoever."""
        return {job for job in jobs if self._first("SELECT 1 FROM jobs WHERE job = ?", job)}

    def _remove(self, jobs: Sequence[str]) -> int:
        """Remove what there is of them; how many were in `jobs`."""
        for table in ("requests", "outcomes", "jobs"):
            removed = self._connection.executemany(
                f"DELETE FROM {table} WHERE job = ?", ((job,) for job in jobs)
            )
        return removed.rowcount

    def _entry(self, question: str, *values: str) -> Entry | None:
        row = self._first(question, *values)
        return None if row is None else Entry(*row)

    def _first(self, question: str, *values: str) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(question, values).fetchone()
        return row


def _require(entry: Entry, **asked: str | tuple[str, ...]) -> Entry:
    """The entry, if it is what was asked for. Raises sqlite3.DatabaseError: see _FOUND."""
    for name, value in asked.items():
        if getattr(entry, name) not in ((value,) if isinstance(value, str) else value):
            raise sqlite3.DatabaseError(f"an index leads to a job of another {name}")
    return entry


def _within(rows: Iterable[tuple[str, int]], most_bytes: float) -> Iterator[tuple[str, int]]:
    """Rows of (job, bytes) until they are `most_bytes`; one at least."""
    taken = 0
    for job, size in rows:
        yield job, size
        taken += size
        if taken >= most_bytes:
            return
