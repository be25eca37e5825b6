"""The journal's two threads: one commits what waits, the other does all that waits for the disk.

An order goes to the first, which executes all that wait in one transaction. Once it is committed
they are answered; those that must outlive a power failure go on to the second thread, which syncs
once for all that wait there. Neither thread ever waits for the loop.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import trio

from sandbox.server.journal_file import JournalFile
from sandbox.server.journal_store import Store

__all__ = ["JournalThreads", "Order"]

_PATIENCE_SECONDS, _MOST_GIVEN = 0.0005, 32  # of orders, with a loop that is busy
_MOST_BATCH_ORDERS = 256  # the last of a batch waits for the first
_ORDER_BYTES = 12 << 10  # about what an order adds to the WAL: three pages
_CHECKPOINT_BYTES = 16 << 20
# What was written during a copy is copied while nobody may commit: so that it is little, it is
# copied again, unless commits come as fast as the disk takes them.
_SHORT_COPY_BYTES = 1 << 20
_MOST_COPIES = 4


class Order:
    """Something to do to the tables, and then the task that waits for it to be done."""

    __slots__ = ("error", "is_kept", "is_power", "run", "size", "task", "undo", "value")

    def __init__(
        self,
        run: Callable[[Store], Any],
        *,
        size: int = 0,
        is_power: bool = False,
        is_kept: bool = False,
        undo: Callable[[Store], Any] | None = None,
    ) -> None:
        """`size`: bytes that it writes. `is_power`: it ends when it is on the disk.

        `is_kept`: where it cannot be written now, it is tried again before all later ones, since
        nobody waits who could. `undo`: what takes it back where it did not reach the disk.
        """
        self.run = run
        self.size = size
        self.is_power = is_power
        self.is_kept = is_kept
        self.undo = undo
        self.value: Any = None
        self.error: Exception | None = None
        self.task: trio.lowlevel.Task | None = None

    def abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        """Its task is cancelled and waits no longer; the order stands."""
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED


class JournalThreads(trio.abc.Instrument):
    """Runs orders, in the order of `put`, until `close`."""

    def __init__(self, file: JournalFile, answer: Callable[[Sequence[Order]], None]) -> None:
        """Start the threads. From the loop, where `answer` is called with orders that ended."""
        self._file = file
        self._store = Store(file.connection)
        self._answer = answer
        self._token = trio.lowlevel.current_trio_token()
        self._commits = threading.Lock()  # held over a transaction, and while the WAL restarts
        self._wal_bytes = 0  # about; under the lock
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._given: list[Order] = []  # and not handed over yet
        self._given_at = 0.0  # the first of them
        self._kept: list[Order] = []  # of the first thread
        self._committed: queue.SimpleQueue[list[Order] | None] = queue.SimpleQueue()
        self._sync_failure: OSError | None = None  # of the second thread
        self._committer = threading.Thread(target=self._commit_orders, name="journal", daemon=True)
        self._syncer = threading.Thread(target=self._sync_orders, name="journal-disk", daemon=True)
        self._committer.start()
        self._syncer.start()
        trio.lowlevel.add_instrument(self)

    def put(self, order: Order) -> None:
        """Have an order run; returns at once. From the loop."""
        if not self._given:
            self._given_at = time.perf_counter()
        self._given.append(order)

    def before_io_wait(self, timeout: float) -> None:
        """Hand over what was given, when the loop has nothing else to do, or has kept it for long:
        a thread that is woken earlier only wants the interpreter that the loop has, as long as that
        starts a job. trio.abc.Instrument.
        """
        if not self._given:
            return
        is_late = time.perf_counter() - self._given_at >= _PATIENCE_SECONDS
        if timeout > 0 or is_late or len(self._given) >= _MOST_GIVEN:
            for order in self._given:
                self._orders.put(order)
            self._given.clear()

    def stop_listening(self) -> None:
        """No order is given any more. From the loop, before `close`."""
        trio.lowlevel.remove_instrument(self)
        self.before_io_wait(1.0)

    def close(self) -> None:
        """Run all orders given so far, end both threads and close the file. Waits for all that."""
        self._orders.put(None)
        self._committer.join()
        self._committed.put(None)
        self._syncer.join()
        # What could not be synced has come back, to be undone.
        self._orders.put(None)
        self._commit_orders()
        self._file.close()

    def _commit_orders(self) -> None:
        is_open = True
        while is_open:
            batch, is_open = _take(self._orders, _MOST_BATCH_ORDERS)
            if batch:
                self._execute(batch)

    def _execute(self, orders: list[Order]) -> None:
        batch, self._kept = [*self._kept, *orders], []
        with self._commits:
            if not self._commit(batch) and len(batch) > 1:
                for order in batch:  # so that what cannot be written fails alone
                    self._commit([order])
            self._wal_bytes += sum(order.size + _ORDER_BYTES for order in batch)
        ended, to_sync = [], []
        for order in batch:
            if order.is_kept and isinstance(order.error, sqlite3.OperationalError):
                self._kept.append(order)
            elif order.is_power and order.error is None:
                to_sync.append(order)
            else:
                ended.append(order)
        self._end(ended)
        if to_sync or self._wal_bytes >= _CHECKPOINT_BYTES:
            self._committed.put(to_sync)

    def _commit(self, orders: list[Order]) -> bool:
        connection = self._file.connection
        try:
            connection.execute("BEGIN")
            for order in orders:
                order.value = order.run(self._store)
            connection.execute("COMMIT")
        except Exception as error:  # whatever it is: it belongs to who gave the order
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            for order in orders:
                order.error = error
            return False
        for order in orders:
            order.error = None
        return True

    def _sync_orders(self) -> None:
        is_open = True
        while is_open:
            batches, is_open = _take(self._committed)
            self._sync([order for batch in batches for order in batch])
            if self._wal_bytes >= _CHECKPOINT_BYTES:
                self._checkpoint()

    def _sync(self, orders: list[Order]) -> None:
        if not orders:
            return
        try:
            # What failed to reach the disk is clean to the kernel, and the next fdatasync has
            # nothing to say about it (fsync(2), Linux 4.13): the first failure is final.
            if self._sync_failure is not None:
                raise self._sync_failure
            self._file.disk.sync()
        except OSError as error:
            self._sync_failure = error
            for order in orders:
                order.error = error
                if order.undo is not None:
                    self._orders.put(Order(order.undo, is_kept=True))
        self._end(orders)

    def _checkpoint(self) -> None:
        # Where it fails, the WAL grows; it is tried again when as much again was written.
        with contextlib.suppress(sqlite3.Error):
            for _ in range(_MOST_COPIES):
                copied_bytes = self._wal_bytes
                self._file.disk.copy()
                if self._wal_bytes - copied_bytes < _SHORT_COPY_BYTES:
                    break
        with self._commits:
            self._wal_bytes = 0
            with contextlib.suppress(sqlite3.Error):
                self._file.disk.restart()

    def _end(self, orders: list[Order]) -> None:
        # Where the loop has ended, nobody waits.
        with contextlib.suppress(trio.RunFinishedError):
            if orders:
                self._token.run_sync_soon(self._answer, orders)


_T = TypeVar("_T")


def _take(items: "queue.SimpleQueue[_T | None]", most: int | None = None) -> tuple[list[_T], bool]:
    """Wait for an item, and take all others that there are; False after the None that ends them."""
    taken: list[_T] = []
    with contextlib.suppress(queue.Empty):
        while most is None or len(taken) < most:
            item = items.get(block=not taken)
            if item is None:
                return taken, False
            taken.append(item)
    return taken, True
