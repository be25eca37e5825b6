"""Every job of the service: submitted, looked up, told and forgotten."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import trio

from sandbox.server.admission import Admission
from sandbox.server.blobs import BlobStore
from sandbox.server.drain import Drain
from sandbox.server.execution import Execution
from sandbox.server.journal import Entry, Journal
from sandbox.server.live_jobs import LiveJobs, Name
from sandbox.server.log import Log
from sandbox.server.preparation import Prepared, release
from sandbox.server.record import Record, brief_of, new_id
from sandbox.server.shelf import Shelf
from sandbox.server.spool_files import SpoolFiles
from sandbox.server.submission import Submission
from sandbox.server.ticket import State
from sandbox.spec.errors import RefusedError, SandboxError, SpecError
from sandbox.supervisor.pipeline import Pipe
from sandbox.wire.errors import InvalidParamsError, NotFoundError

__all__ = ["Jobs"]

_SWEEP_SECONDS = 10.0
_SPILL_SECONDS = 1.0  # a job that runs longer has its output in files, which outlive us
_MOST_HELD_BYTES = 64 << 20  # of a tenant's submissions, which are in memory until their end


class Jobs:
    """The registry. Jobs are looked up as (tenant, id): what is foreign is absent."""

    def __init__(
        self,
        execution: Execution,
        admission: Admission,
        journal: Journal,
        blobs: BlobStore,
        live: LiveJobs,
        shelf: Shelf,
        files: SpoolFiles,
        drain: Drain,
        log: Log,
        nursery: trio.Nursery,
    ) -> None:
        """`nursery`: for what runs."""
        self._execution, self._admission, self._journal = execution, admission, journal
        self._blobs, self._live, self._shelf, self._files = blobs, live, shelf, files
        self._drain, self._log, self._nursery = drain, log, nursery
        self._claims: dict[Name, trio.Event] = {}  # keys that are being looked up
        self._accepting = 0  # submits that are not answered yet

    @property
    def is_draining(self) -> bool:
        """Whether nothing is accepted any more."""
        return self._drain.has_begun

    async def draining(self) -> None:
        """Wait until nothing is accepted any more."""
        await self._drain.begun()

    # Looking up

    def held(self, tenant: str, job: str) -> Record | None:
        """The job, if it is in memory."""
        return self._live.get((tenant, job)) or self._shelf.get((tenant, job))

    async def find(self, tenant: str, job: str) -> Record:
        """The job. Raises NotFoundError."""
        record = self.held(tenant, job)
        if record is None:
            entry = await self._journal.find(tenant, job)
            if entry is None:
                raise NotFoundError(f"no job {job}")
            record = self._recall(entry)
        return record

    async def page(
        self, tenant: str, state: str | None, after: str, most: int
    ) -> list[dict[str, Any]]:
        """In brief, up to `most` jobs whose id sorts behind `after`, oldest first."""
        entries = await self._journal.list(tenant, state, after, most)
        found = {entry.job: brief_of(entry) for entry in entries}
        for record in (*self.live(tenant), *self._shelf.of_tenant(tenant)):
            if record.id > after:
                found.pop(record.id, None)  # the journal's may be older than ours
                if state in (None, record.state):
                    found[record.id] = brief_of(record.entry())
        return [found[job] for job in sorted(found)[:most]]

    def live(self, tenant: str) -> list[Record]:
        """The tenant's jobs that are queued or running."""
        return self._live.of_tenant(tenant)

    def _recall(self, entry: Entry) -> Record:
        # While the journal was asked, another call may have brought it back.
        record = self.held(entry.tenant, entry.job) or self._shelf.recall(entry)
        self._live.note_key(record)
        return record

    # Submitting

    async def submit(
        self,
        tenant: str,
        submissions: Sequence[Submission],
        pipes: Sequence[Pipe] = (),
        *,
        is_new: bool = False,
    ) -> list[Record]:
        """Accept a job, or those of a pipeline; or find what was accepted for their key.

        They are journalled when this returns, as their durability asks. `is_new`: the journal need
        not be asked for their key first. Raises SpecError, RefusedError: nothing was accepted.
        """
        self._accepting += 1
        try:
            # What is journalled must also run, whoever goes away meanwhile.
            with trio.CancelScope(shield=True):
                if submissions[0].key is None:
                    return await self._accept(tenant, submissions, pipes)
                name = (tenant, submissions[0].key)
                return await self._claim(name, submissions, pipes, is_new=is_new)
        finally:
            self._accepting -= 1
            self._live.stir()

    async def _claim(
        self,
        name: Name,
        submissions: Sequence[Submission],
        pipes: Sequence[Pipe],
        *,
        is_new: bool,
    ) -> list[Record]:
        while name in self._claims:
            await self._claims[name].wait()
        claim = self._claims[name] = trio.Event()
        try:
            # Whatever its durability: the first one may have been accepted with another.
            known: object = self._live.of_key(name)
            if known is None and not is_new:
                known = await self._journal.find_key(*name)
            if known is not None:
                return [await self._earlier(name[0], one) for one in submissions]
            return await self._accept(name[0], submissions, pipes)
        finally:
            del self._claims[name]
            claim.set()

    async def _earlier(self, tenant: str, submission: Submission) -> Record:
        assert submission.key is not None
        record = self._live.of_key((tenant, submission.key))
        if record is None:
            entry = await self._journal.find_key(tenant, submission.key)
            if entry is None:
                raise NotFoundError(f"the job of key {submission.key} was deleted meanwhile")
            record = self._recall(entry)
        if (record.submission.job, record.submission.stdin) != (submission.job, submission.stdin):
            problem = f"job {record.id} was submitted under it, and is another; choose a new one"
            raise InvalidParamsError("key", problem)
        return record

    async def _accept(
        self, tenant: str, submissions: Sequence[Submission], pipes: Sequence[Pipe]
    ) -> list[Record]:
        records = [
            Record(tenant, job := new_id(), submission, self._files.directory(tenant, job))
            for submission in submissions
        ]
        self._refuse_much(tenant, records)
        prepared: list[Prepared] = []
        try:
            for number, record in enumerate(records):
                try:
                    prepared.append(await self._execution.prepare(record))
                except SpecError as error:
                    if len(records) == 1:
                        raise
                    raise SpecError(f"jobs[{number}].{error.field}", error.problem) from error
            ticket = self._execution.enqueue(records, prepared)
        except BaseException:
            release(prepared)
            raise
        if ticket.state is State.ADMITTED:
            for record in records:
                record.begin()  # so that the journal need not be told again
        for record in records:
            self._live.add(record)
        # It runs while it is journalled; nobody is told of it before it is.
        self._nursery.start_soon(self._execution.run, records, prepared, ticket, pipes)
        entries = [record.entry() for record in records if record.submission.is_durable]
        try:
            known = entries and await self._journal.accept(*entries, power=submissions[0].is_power)
            if known:  # of a pipeline's others: the first one's was looked up
                problem = f"job {known.job} was submitted under {known.key}; choose a new one"
                raise InvalidParamsError("key", problem)
        except BaseException:
            for record in records:
                self._disown(record)
            raise
        return records

    def _disown(self, record: Record) -> None:
        """End a job that nobody was told of, nor is to find by its key."""
        record.is_accepted = False
        record.cancellation.set()
        self._live.forget_key(record)

    def _refuse_much(self, tenant: str, records: Sequence[Record]) -> None:
        held = self._live.held_bytes[tenant]
        size = sum(record.submission.size_bytes for record in records)
        if held and held + size > _MOST_HELD_BYTES:
            raise RefusedError(
                f"busy: {held} bytes of submissions of {tenant} are queued or running, of at most"
                f" {_MOST_HELD_BYTES}; upload what is large as a blob",
                1.0,
            )

    # Telling and forgetting

    def tell(self, record: Record, inline_bytes: int) -> dict[str, Any]:
        """Its status. One that is not to be kept is forgotten once that has told all of it."""
        status = record.status(inline_bytes)
        if not record.submission.keep and record.is_published and record.is_told_by(inline_bytes):
            self._nursery.start_soon(self._drop, record)
        return status

    async def _drop(self, record: Record) -> None:
        try:
            await self.delete(record)
        except SandboxError as error:  # it expires, as others do
            self._log.event("journal_failed", level="error", job=record.id, error=str(error))

    async def delete(self, record: Record) -> None:
        """Forget a job that is over, and remove its files. Raises RefusedError: it is not."""
        if not record.is_published:
            raise RefusedError(f"job {record.id} has not ended; cancel it first", 1.0)
        self._live.forget_key(record)
        await self._shelf.delete(record)

    # Staying and going

    async def keep_tidy(self) -> None:
        """Spill, expire and sweep, for as long as the service runs."""
        sweep_at = trio.current_time()
        while True:
            self._spill()
            if trio.current_time() >= sweep_at:
                try:
                    await self._shelf.sweep()
                    await self._blobs.sweep(time.time())
                except (SandboxError, OSError) as error:  # a full or broken disk
                    self._log.event("sweep_failed", level="error", error=str(error))
                sweep_at = trio.current_time() + _SWEEP_SECONDS
            await trio.sleep(_SPILL_SECONDS)

    def _spill(self) -> None:
        late = time.time() - _SPILL_SECONDS
        for record in self._live:
            if record.submission.is_durable and (record.started_at or late) < late:
                for spool in record.outputs.values():
                    if spool.size_bytes:
                        with contextlib.suppress(OSError):  # told when the job writes more
                            spool.spill()

    def drain_by(self, deadline: float) -> None:
        """Accept nothing more, and cancel at the deadline what has not ended by itself.

        Queued jobs that are durable are left to the next supervisor; so are cancelled ones that
        may run again. Of several deadlines the earliest counts.
        """
        self._drain.begin_by(deadline)
        self._admission.drain()

    async def drained(self) -> None:
        """Wait until every job is over, or left to the next supervisor."""
        with self._drain.patience:
            while self._live or self._accepting:
                await self._live.changed()
        while self._live or self._accepting:
            for record in self._live:
                record.is_interrupted |= not record.cancellation.is_set
                record.cancellation.set()
            await self._live.changed()
