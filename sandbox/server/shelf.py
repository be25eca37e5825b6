"""Jobs that are over: in memory for a while, in the journal and in files for longer, then gone."""

import time
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from sandbox.server.journal import Entry, Journal
from sandbox.server.record import Record
from sandbox.server.spooled import remove_spooled, spooled_bytes

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

    def __init__(self, journal: Journal, spool: Path, retention: Retention) -> None:
        """`spool`: the directory of all jobs' files."""
        self._journal, self._spool, self._retention = journal, spool, retention
        self._journalled: OrderedDict[Name, Record] = OrderedDict()  # in memory, oldest end first
        self._unkept: OrderedDict[Name, Record] = OrderedDict()  # of durability "memory"
        self._spooled: OrderedDict[str, int] = OrderedDict()  # job -> bytes of its files

    def get(self, name: Name) -> Record | None:
        """The job, if it is in memory."""
        return self._journalled.get(name) or self._unkept.get(name)

    def of_tenant(self, tenant: str) -> list[Record]:
        """Those in memory that the journal does not have."""
        return [record for (owner, _), record in self._unkept.items() if owner == tenant]

    def put(self, record: Record) -> None:
        """Keep a job that has just ended."""
        name = (record.tenant, record.id)
        if record.submission.is_durable:
            self._journalled[name] = record
            while len(self._journalled) > _MOST_REMEMBERED:
                self._journalled.popitem(last=False)
        else:
            self._unkept[name] = record
            while len(self._unkept) > _MOST_UNKEPT:
                self._drop(self._unkept.popitem(last=False)[1])
        if size := spooled_bytes(record.directory):
            self._spooled[record.id] = size

    def recall(self, entry: Entry) -> Record:
        """The job that the journal has, in memory again."""
        record = Record.from_entry(entry, self._spool / entry.job)
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
        self._drop(record)

    async def begin(self) -> None:
        """See what files an earlier supervisor left; those of jobs that are no more are removed."""
        found = {path.name: path for path in self._spool.iterdir()}
        known = await self._journal.holds(found)
        for job, path in sorted(found.items()):
            if job in known:
                self._spooled[job] = spooled_bytes(path)
            else:
                remove_spooled(path)  # of a job that was not to outlive us

    async def sweep(self) -> None:
        """Forget what is too old or too much, oldest first."""
        retention, now = self._retention, time.time()
        removed = await self._journal.expire(
            now - retention.seconds, retention.journal_bytes, retention.jobs
        )
        gone = set(removed)
        for name in [name for name in self._journalled if name[1] in gone]:
            del self._journalled[name]
        for job in removed:
            self._remove_files(job)
        for name, record in list(self._unkept.items()):
            if (record.ended_at or now) >= now - retention.seconds:
                break
            del self._unkept[name]
            self._drop(record)
        over_bytes = sum(self._spooled.values()) - retention.spool_bytes
        for job, size in list(self._spooled.items()):
            if over_bytes <= 0:
                break
            self._remove_files(job)  # its result stays; who reads the output is told
            over_bytes -= size

    def _drop(self, record: Record) -> None:
        self._remove_files(record.id)

    def _remove_files(self, job: str) -> None:
        if self._spooled.pop(job, None) is not None:
            remove_spooled(self._spool / job)
