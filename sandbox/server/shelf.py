"""Jobs that are over: in memory for a while, in the journal and in files for longer, then gone."""

import time
from collections import OrderedDict
from typing import NamedTuple

from sandbox.server.journal import Entry, Journal
from sandbox.server.record import Record
from sandbox.server.spool_files import SpoolFiles

__all__ = ["Name", "Retention", "Shelf"]

_MOST_REMEMBERED = 1000  # in memory, of those whose place is the journal
_MOST_UNKEPT = 10_000  # of durability "memory"

Name = tuple[str, str]  # tenant and job


class Retention(NamedTuple):
    """How long, and how much, is kept of jobs that are over."""

    seconds: float
    spool_bytes: int
    journal_bytes: int
    jobs: int


class Shelf:
    """What is kept of them, and how much that is."""

    def __init__(self, journal: Journal, files: SpoolFiles, retention: Retention) -> None:
        self._journal, self._files, self._retention = journal, files, retention
        self._journalled: OrderedDict[Name, Record] = OrderedDict()  # in memory, oldest end first
        self._unkept: OrderedDict[Name, Record] = OrderedDict()  # of durability "memory"

    def get(self, name: Name) -> Record | None:
        """The job, if it is in memory."""
        return self._journalled.get(name) or self._unkept.get(name)

    def of_tenant(self, tenant: str) -> list[Record]:
        """Those in memory that the journal does not have."""
        return [record for (owner, _), record in self._unkept.items() if owner == tenant]

    def put(self, record: Record) -> None:
        """Keep a job that has ended."""
        name = (record.tenant, record.id)
        if record.submission.is_durable:
            self._journalled[name] = record
            while len(self._journalled) > _MOST_REMEMBERED:
                self._journalled.popitem(last=False)
        else:
            self._unkept[name] = record
            while len(self._unkept) > _MOST_UNKEPT:
                dropped, _ = self._unkept.popitem(last=False)
                self._files.remove(*dropped)
        self._files.measure(*name)

    def recall(self, entry: Entry) -> Record:
        """The job that the journal has, in memory again."""
        record = Record.from_entry(entry, self._files.directory(entry.tenant, entry.job))
        if record.is_over:
            self.put(record)
        return record

    async def delete(self, record: Record) -> None:
        """Forget a job, and remove its files."""
        name = (record.tenant, record.id)
        self._journalled.pop(name, None)
        self._unkept.pop(name, None)
        if record.submission.is_durable:
            await self._journal.delete(*name)
        self._files.remove(*name)

    async def begin(self) -> None:
        """See what files an earlier supervisor left; those of jobs that are no more are removed."""
        self._files.keep_only(await self._journal.holds(self._files.jobs()))

    async def sweep(self) -> None:
        """Forget what is too old, and of what is too much the oldest of who holds most."""
        retention, now = self._retention, time.time()
        removed = await self._journal.expire(
            now - retention.seconds, retention.journal_bytes, retention.jobs
        )
        gone = set(removed)
        for name in [name for name in self._journalled if name[1] in gone]:
            del self._journalled[name]
        self._files.remove_all(gone)
        for name, record in list(self._unkept.items()):
            if (record.ended_at or now) >= now - retention.seconds:
                break
            del self._unkept[name]
            self._files.remove(*name)
        # The results stay; who reads an output that is gone is told.
        self._files.shrink(retention.spool_bytes)
