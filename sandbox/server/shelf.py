"""Jobs that are over: in memory for a while, in the journal and in files for longer, then gone."""

import time
from collections import OrderedDict
from typing import NamedTuple

from sandbox.server.journal import Entry, Journal
from sandbox.server.live_jobs import Name
from sandbox.server.record import Record
from sandbox.server.spool_files import SpoolFiles

__all__ = ["Retention", "Shelf"]

_MOST_REMEMBERED = 1000  # in memory, of those whose place is the journal
_MOST_UNKEPT = 10_000  # of durability "memory"


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
        # Of durability "memory": tenant -> id -> job, oldest end first.
        self._unkept: dict[str, OrderedDict[str, Record]] = {}

    def get(self, name: Name) -> Record | None:
        """The job, if it is in memory."""
        return self._journalled.get(name) or self._unkept.get(name[0], {}).get(name[1])

    def of_tenant(self, tenant: str) -> list[Record]:
        """Those in memory that the journal does not have."""
        return list(self._unkept.get(tenant, {}).values())

    def put(self, record: Record) -> None:
        """Keep a job that has ended."""
        name = (record.tenant, record.id)
        if record.submission.is_durable:
            self._journalled[name] = record
            while len(self._journalled) > _MOST_REMEMBERED:
                self._journalled.popitem(last=False)
        else:
            self._unkept.setdefault(record.tenant, OrderedDict())[record.id] = record
            if sum(map(len, self._unkept.values())) > _MOST_UNKEPT:
                holder = max(self._unkept, key=lambda tenant: len(self._unkept[tenant]))
                self._drop(*next(iter(self._unkept[holder].items())))
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
        self._unkept.get(record.tenant, {}).pop(record.id, None)
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
        for jobs in list(self._unkept.values()):
            for job, record in list(jobs.items()):
                if (record.ended_at or now) >= now - retention.seconds:
                    break
                self._drop(job, record)
        self._unkept = {tenant: jobs for tenant, jobs in self._unkept.items() if jobs}
        # The results stay; who reads an output that is gone is told.
        self._files.shrink(retention.spool_bytes)

    def _drop(self, job: str, record: Record) -> None:
        del self._unkept[record.tenant][job]
        self._files.remove(record.tenant, job)
