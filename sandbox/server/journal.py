"""The journal: which jobs were accepted and what became of them, over kill -9 and power failures.

A commit at process level has reached the kernel: it survives a kill -9 of the server, and waits for
no disk. At power level it has reached the disk.
"""

import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from sandbox.server.journal_file import JournalFile, open_file
from sandbox.server.journal_store import Entry, Lost, Store
from sandbox.server.journal_thread import JournalThreads, Order
from sandbox.spec.errors import RefusedError, SandboxError

__all__ = ["Entry", "Journal", "JournalError", "Lost", "open_journal"]

_MOST_STARTS = 4096
_RETRY_SECONDS = 5.0
_CHUNK = 256  # of a long order, so that others come between


class JournalError(SandboxError):
    """The journal could not be read or written.

    `retry_after_seconds`: when to try again; None: not before the server was started again.
    """

    def __init__(self, problem: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.retry_after_seconds = retry_after_seconds


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator["Journal"]:
    """Open the journal at `path`, or make one; at the end all orders are done, and on the disk.

    One process may have it open at a time; the caller holds the lock. Raises HostError, with the
    fix: it cannot be opened or written, is of a newer schema, or is corrupt, which is looked for
    where it was not closed in order.
    """
    limiter = trio.CapacityLimiter(1)  # never behind the process's other threads
    file = await trio.to_thread.run_sync(open_file, path, limiter=limiter)
    journal = Journal(file)
    try:
        yield journal
    finally:
        journal.stop_listening()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(journal.close, limiter=limiter)


class Journal:
    """An open journal. Orders take effect one after the other, as they were given.

    Every method raises JournalError where it cannot be done. A cancelled call stops waiting and
    undoes nothing: whoever gave up an `accept` must count on its job being noted.
    """

    def __init__(self, file: JournalFile) -> None:
        self._threads = JournalThreads(file, self._answer)
        self._starts: set[Order] = set()
        self._is_open = True

    def stop_listening(self) -> None:
        """Take no order any more."""
        self._is_open = False
        self._threads.stop_listening()

    def close(self) -> None:
        """Do all orders given so far and close the file. Of another thread: it waits for them."""
        self._threads.close()

    async def accept(self, *entries: Entry, power: bool) -> Entry | None:
        """Note jobs before their submit is acknowledged: they survive a kill -9 from then on.

        All or none. None: they are noted. Else the entry that has this tenant's key of one already,
        and nothing was noted; of two that come at once, one is noted. `power`: either has reached
        the disk. Raises RefusedError: the disk is full or fails, nothing was noted.
        """
        order = Order(
            lambda store: store.accept(*entries),
            size=sum(len(entry.request) + len(entry.outcome or b"") for entry in entries),
            is_power=power,
            undo=lambda store: store.forget(*(entry.job for entry in entries)),
        )
        try:
            found: Entry | None = await self._result(order)
        except JournalError as error:
            raise RefusedError(str(error), error.retry_after_seconds) from error.__cause__
        return found

    def start(self, job: str, runs: int, started_at: float) -> None:
        """Note that a queued job runs, for the `runs`-th time; returns before it is noted.

        Killed before that (commonly within a millisecond), the server finds it queued when it
        starts again. What cannot be written is tried again with each later order. Raises
        RefusedError: too many wait for that, so the job must not be started.
        """
        if not self._is_open or len(self._starts) >= _MOST_STARTS:
            raise RefusedError(
                f"the journal cannot note that a job starts: {len(self._starts)} wait for that",
                _RETRY_SECONDS,
            )
        order = Order(lambda store: store.start(job, runs, started_at), is_kept=True)
        self._starts.add(order)
        self._threads.put(order)

    async def finish(
        self, job: str, state: str, ended_at: float, outcome: bytes, *, power: bool
    ) -> None:
        """Note that a job is over: "ended", "failed" or "lost". What was noted first stays.

        So it may be repeated after a JournalError. Where only the disk failed (`power`), a
        repetition fails too; at process level it is noted.
        """
        order = Order(
            lambda store: store.finish(job, state, ended_at, outcome),
            size=len(outcome),
            is_power=power,
        )
        if not await self._result(order):
            raise JournalError(f"job {job} is not in the journal")

    async def find(self, tenant: str, job: str) -> Entry | None:
        """The tenant's job of that id."""
        found: Entry | None = await self._result(Order(lambda store: store.find(tenant, job)))
        return found

    async def find_key(self, tenant: str, key: str) -> Entry | None:
        """The tenant's job of that idempotency key."""
        found: Entry | None = await self._result(Order(lambda store: store.find_key(tenant, key)))
        return found

    async def delete(self, tenant: str, job: str) -> bool:
        """Remove a job that is over; False: the tenant has none such."""
        is_deleted: bool = await self._result(Order(lambda store: store.delete(tenant, job)))
        return is_deleted

    async def unfinished(self) -> Sequence[Entry]:
        """Every job that is queued or running, oldest first: what a restart accounts for."""
        entries: Sequence[Entry] = await self._result(Order(Store.unfinished))
        return entries

    async def recover(
        self, requeued: Sequence[str], lost: Sequence[Lost], ended_at: float, *, power: bool
    ) -> None:
        """Note what becomes of the jobs that ran when the server was killed, all or none.

        `requeued` are queued again and keep their `runs`; `lost` are over, as by `finish`.
        """
        size = sum(len(each.outcome) for each in lost)
        order = Order(
            lambda store: store.recover(requeued, lost, ended_at), size=size, is_power=power
        )
        await self._result(order)

    async def expire(
        self, ended_before: float, most_bytes: int, most_entries: int
    ) -> Sequence[str]:
        """Remove jobs that are over: those that ended before, and of too many the holder's oldest.

        `most_bytes` and `most_entries` count the jobs that are over: their requests and outcomes.
        Returns the ids removed; their files are the caller's. Cancelled, it loses some of them:
        `holds` tells which.
        """
        removed: list[str] = []
        while some := await self._result(
            Order(lambda store: store.expire(ended_before, most_bytes, most_entries))
        ):
            removed += some
        return removed

    async def holds(self, jobs: Iterable[str]) -> set[str]:
        """Which of these ids are known, whosesoever: files of any other are nobody's."""
        held: set[str] = set()
        remaining = iter(jobs)
        while chunk := list(itertools.islice(remaining, _CHUNK)):
            held |= await self._result(Order(partial(Store.holds, jobs=chunk)))
        return held

    # Last, because it hides the type of that name from what follows it.
    async def list(
        self, tenant: str, state: str | None, after: str | None, most: int
    ) -> Sequence[Entry]:
        """The tenant's jobs by id, oldest first; `request` is empty and `outcome` None in each.

        At most `most`, of ids after `after`; `state`: only those.
        """
        entries: Sequence[Entry] = await self._result(
            Order(lambda store: store.page(tenant, state, after, most))
        )
        return entries

    async def _result(self, order: Order) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        if not self._is_open:
            raise JournalError("the journal is closed")
        order.task = trio.lowlevel.current_task()
        self._threads.put(order)
        await trio.lowlevel.wait_task_rescheduled(order.abandon)
        if order.error is not None:
            raise _journal_error(order.error) from order.error
        return order.value

    def _answer(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._starts.discard(order)
            if order.task is not None:
                trio.lowlevel.reschedule(order.task)


def _journal_error(error: Exception) -> JournalError:
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if isinstance(error, OSError):
        return JournalError(
            f"the journal could not be synced ({error.strerror}): at power level nothing more is "
            "noted until the server is started again on a disk that works"
        )
    if name == "SQLITE_FULL":
        return JournalError("the journal cannot be written: the disk is full", _RETRY_SECONDS)
    if isinstance(error, sqlite3.OperationalError):
        return JournalError(f"the journal cannot be written: {error} ({name})", _RETRY_SECONDS)
    return JournalError(f"the journal failed: {error} ({name})")
