"""The jobs that are queued or running, by their names and their keys."""

from collections import Counter
from collections.abc import Iterator
from weakref import WeakValueDictionary

import trio

from sandbox.server.record import Record

__all__ = ["LiveJobs", "Name"]

Name = tuple[str, str]  # tenant, and job or key


class LiveJobs:
    """Those, and the keys of every job in memory."""

    def __init__(self) -> None:
        self._jobs: dict[Name, Record] = {}
        self._keys: WeakValueDictionary[Name, Record] = WeakValueDictionary()
        self._moved = trio.lowlevel.ParkingLot()
        self.held_bytes: Counter[str] = Counter()  # of submissions, by tenant

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._jobs.values()))

    def get(self, name: Name) -> Record | None:
        """The job, if it is queued or running."""
        return self._jobs.get(name)

    def of_tenant(self, tenant: str) -> list[Record]:
        """The tenant's, but for those that nobody was told of."""
        own = (job for job in self if job.tenant == tenant and job.is_accepted)
        return [job for job in own if not job.is_published]  # which is noted here a moment longer

    def of_key(self, name: Name) -> Record | None:
        """The job of that key, if it is in memory; ended ones too."""
        return self._keys.get(name)

    def add(self, record: Record) -> None:
        """Note one that is accepted, or about to be."""
        self._jobs[record.tenant, record.id] = record
        self.held_bytes[record.tenant] += record.submission.size_bytes
        self.note_key(record)

    def remove(self, record: Record) -> None:
        """It is over, or left to another supervisor."""
        if self._jobs.pop((record.tenant, record.id), None) is not None:
            self.held_bytes[record.tenant] -= record.submission.size_bytes
            if not self.held_bytes[record.tenant]:
                del self.held_bytes[record.tenant]
        self.stir()

    def note_key(self, record: Record) -> None:
        """Let it be found by its key, for as long as it is in memory."""
        if record.submission.key is not None:
            self._keys[record.tenant, record.submission.key] = record

    def forget_key(self, record: Record) -> None:
        """Let it be found by its key no more."""
        if record.submission.key is not None:
            self._keys.pop((record.tenant, record.submission.key), None)

    def stir(self) -> None:
        """Wake whoever waits for a change."""
        self._moved.unpark_all()

    async def changed(self) -> None:
        """Wait until something has changed."""
        await self._moved.park()
