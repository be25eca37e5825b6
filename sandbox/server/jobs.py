"""Every job of the service: accepted, queued, run, kept, and forgotten."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

import trio

from sandbox.server.admission import Admission, Demand, Ticket
from sandbox.server.blobs import BlobStore
from sandbox.server.journal import Entry, Journal
from sandbox.server.log import Log
from sandbox.server.metrics import Metrics
from sandbox.server.policies import Policies
from sandbox.server.preparation import Prepared, prepare, release
from sandbox.server.record import Record, brief_of, new_id
from sandbox.server.runner import Outcome, Runner
from sandbox.server.shelf import Name, Shelf
from sandbox.server.spool_files import SpoolFiles
from sandbox.server.submission import Submission
from sandbox.server.ticket import State
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.result import Result
from sandbox.supervisor.lifecycle import Cancellation, not_started
from sandbox.supervisor.pipeline import Pipe
from sandbox.wire.errors import InternalError, InvalidParamsError, LostError, NotFoundError

__all__ = ["Jobs"]

_SWEEP_SECONDS = 10.0
_SPILL_SECONDS = 1.0  # a job that runs longer has its output in files, which outlive us
_RETRY_SECONDS = 1.0  # for an end that cannot be journalled


class Jobs:
    """The registry. Jobs are looked up as (tenant, id): what is foreign is absent."""

    def __init__(
        self,
        runner: Runner,
        admission: Admission,
        journal: Journal,
        blobs: BlobStore,
        policies: Policies,
        shelf: Shelf,
        files: SpoolFiles,
        log: Log,
        metrics: Metrics,
        nursery: trio.Nursery,
    ) -> None:
        """`nursery`: for what runs."""
        self._runner, self._admission, self._journal = runner, admission, journal
        self._blobs, self._policies, self._shelf, self._files = blobs, policies, shelf, files
        self._log, self._metrics, self._nursery = log, metrics, nursery
        self._live: dict[Name, Record] = {}  # queued or running
        self._keys: WeakValueDictionary[Name, Record] = WeakValueDictionary()  # (tenant, key)
        self._claims: dict[Name, trio.Event] = {}  # keys that are being looked up
        self._accepting = 0  # submits that are not answered yet
        self._moved = trio.lowlevel.ParkingLot()
        self._draining = trio.Event()
        self._patience = trio.CancelScope()  # of a drain: cancelled, what is left is ended

    @property
    def is_draining(self) -> bool:
        """Whether nothing is accepted any more."""
        return self._draining.is_set()

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
        own = (record for (owner, _), record in self._live.items() if owner == tenant)
        return [record for record in own if record.is_accepted]

    # From submit to end

    async def submit(
        self, tenant: str, submissions: Sequence[Submission], pipes: Sequence[Pipe] = ()
    ) -> list[Record]:
        """Accept a job, or those of a pipeline; or find what was accepted for their key.

        They are journalled when this returns, as their durability asks. Raises SpecError,
        RefusedError: nothing was accepted.
        """
        self._accepting += 1
        try:
            # What is journalled must also run, whoever goes away meanwhile.
            with trio.CancelScope(shield=True):
                if submissions[0].key is None:
                    return await self._accept(tenant, submissions, pipes)
                return await self._claim((tenant, submissions[0].key), submissions, pipes)
        finally:
            self._accepting -= 1
            self._moved.unpark_all()

    async def _claim(
        self, name: Name, submissions: Sequence[Submission], pipes: Sequence[Pipe]
    ) -> list[Record]:
        while name in self._claims:
            await self._claims[name].wait()
        claim = self._claims[name] = trio.Event()
        try:
            # Whatever its durability: the first one may have been accepted with another.
            if name in self._keys or await self._journal.find_key(*name) is not None:
                return [await self._earlier(name[0], one) for one in submissions]
            return await self._accept(name[0], submissions, pipes)
        finally:
            del self._claims[name]
            claim.set()

    async def _earlier(self, tenant: str, submission: Submission) -> Record:
        assert submission.key is not None
        record = self._keys.get((tenant, submission.key))
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
        prepared: list[Prepared] = []
        try:
            for record in records:
                prepared.append(await self._prepare(record))
            ticket = self._enqueue(records, prepared)
        except BaseException:
            release(prepared)
            raise
        if ticket.state is State.ADMITTED:
            for record in records:
                record.begin()  # so that the journal need not be told again
        for record in records:
            self._note(record)
        # It runs while it is journalled; nobody is told of it before it is.
        self._nursery.start_soon(self._run, records, prepared, ticket, pipes)
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
        if record.submission.key is not None:
            self._keys.pop((record.tenant, record.submission.key), None)

    async def _prepare(self, record: Record) -> Prepared:
        prepared = await prepare(
            record.tenant, record.submission, self._blobs, self._policies, record.directory
        )
        if record.submission.is_power:
            try:
                for hold in prepared.holds:
                    await hold.flush()
            except BaseException:
                prepared.release()
                raise
        return prepared

    def _enqueue(self, records: Sequence[Record], prepared: Sequence[Prepared]) -> Ticket:
        submission = records[0].submission
        demands = [one.demand() for one in prepared]
        try:
            return self._admission.enqueue(
                records[0].tenant,
                Demand(*map(sum, zip(*demands, strict=True))),
                priority=submission.priority,
                own_cores=len(records) if submission.own_core else 0,
                queue_seconds=submission.queue_seconds,
            )
        except RefusedError as error:
            self._metrics.refused.add("never" if error.retry_after_seconds is None else "busy")
            raise

    def _note(self, record: Record) -> None:
        self._live[record.tenant, record.id] = record
        if record.submission.key is not None:
            self._keys[record.tenant, record.submission.key] = record

    async def _run(
        self,
        records: Sequence[Record],
        prepared: Sequence[Prepared],
        ticket: Ticket,
        pipes: Sequence[Pipe] = (),
    ) -> None:
        told = set()

        def ended(number: int, outcome: Outcome) -> None:  # of a pipeline, before the others
            told.add(number)
            self._nursery.start_soon(self._finish, records[number], prepared[number], outcome)

        try:
            outcomes = await self._outcomes(records, prepared, ticket, pipes, ended)
        finally:
            ticket.release()
            release(prepared)
        for number, outcome in enumerate(outcomes):
            if number not in told:
                await self._finish(records[number], prepared[number], outcome)

    async def _finish(self, record: Record, prepared: Prepared, outcome: Outcome) -> None:
        if self._is_left(record, outcome):
            return self._leave(record)
        if prepared.kept and record.directory.exists():
            record.artifacts = dict(prepared.kept)
        record.finish(outcome)
        await self._keep(record)

    async def _outcomes(
        self,
        records: Sequence[Record],
        prepared: Sequence[Prepared],
        ticket: Ticket,
        pipes: Sequence[Pipe],
        ended: Callable[[int, Outcome], None],
    ) -> Sequence[Outcome]:
        queued = records[0].cancellation
        for record in records:
            record.cancellation = queued  # in the queue, one of a pipeline is all of it
        try:
            with queued.interrupts():
                await ticket.admitted()
            if queued.is_set:
                return [_cancelled()] * len(records)
            for record in records:
                if len(records) > 1:
                    record.cancellation = Cancellation()
                if record.state == "queued":
                    record.begin()
                    if record.submission.is_durable:
                        self._journal.start(record.id, record.runs, record.started_at)
        except SandboxError as error:
            return [error] * len(records)
        return await self._runner.run(records, prepared, pipes, ticket.cores, ended)

    def _is_left(self, record: Record, outcome: Outcome) -> bool:
        """Whether the supervisor that comes after this one, which drains, is to run it."""
        submission = record.submission
        if not submission.is_durable or submission.stdin_open or submission.is_piped:
            return False
        if isinstance(outcome, RefusedError):
            return self.is_draining and record.state == "queued"
        is_cut = isinstance(outcome, Result) and outcome.verdict == "cancelled"
        return record.is_interrupted and is_cut and record.runs < submission.most_runs

    def _leave(self, record: Record) -> None:
        record.abandon()
        self._live.pop((record.tenant, record.id), None)
        self._moved.unpark_all()

    async def _keep(self, record: Record) -> None:
        """Journal the end of a job, then tell it."""
        power = record.submission.is_power
        while record.submission.is_durable and record.is_accepted:
            try:
                if power:
                    for spool in record.outputs.values():
                        spool.sync()
                await self._journal.finish(
                    record.id, record.state, record.ended_at, record.outcome(), power=power
                )
                break
            except (SandboxError, OSError) as error:  # no room: it is not lost while we live
                self._log.event("journal_failed", level="error", job=record.id, error=str(error))
                if power and getattr(error, "retry_after_seconds", 0.0) is None:
                    power = False  # the disk is broken, and nobody is to wait for another one
                elif self._patience.cancel_called:
                    # Told now, it would be told once more by the supervisor that comes after us.
                    return self._leave(record)
                else:
                    await trio.sleep(_RETRY_SECONDS)
        record.publish()
        self._report(record)
        self._live.pop((record.tenant, record.id), None)
        if record.is_accepted:
            self._shelf.put(record)
        else:
            record.remove_files()
        self._moved.unpark_all()

    def _report(self, record: Record) -> None:
        started_at = record.ended_at if record.started_at is None else record.started_at
        queued_seconds = max(0.0, started_at - record.created_at)
        self._log.job(
            tenant=record.tenant,
            job=record.id,
            label=record.submission.label,
            policy=str(record.submission.job.get("policy", "default")),
            runs=record.runs,
            queued_seconds=queued_seconds,
            result=record.told,
            error=record.error,
        )
        self._metrics.job_ended(
            record.tenant,
            record.told,
            None if record.error is None else record.error["code"],
            queued_seconds=queued_seconds,
            start_seconds=record.start_seconds,
        )

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
        if record.submission.key is not None:
            self._keys.pop((record.tenant, record.submission.key), None)
        await self._shelf.delete(record)

    # Coming, staying and going

    async def recover(self) -> None:
        """Account for every job that an earlier supervisor had accepted and not ended."""
        await self._shelf.begin()
        records = [self._recall(entry) for entry in await self._journal.unfinished()]
        losses = {record.id: reason for record in records if (reason := _loss(record)) is not None}
        # Before any of them runs: only of a queued job the journal notes that it starts.
        again = [r.id for r in records if r.state == "running" and r.id not in losses]
        await self._journal.recover(again, (), time.time(), power=False)
        for record in records:
            self._note(record)
            if record.id in losses:
                record.recover_outputs()
                record.finish(LostError(losses[record.id]), "lost")
                self._nursery.start_soon(self._keep, record)
            else:
                record.requeue()
        self._nursery.start_soon(self._requeue, [r for r in records if not r.is_over])

    def _recall(self, entry: Entry) -> Record:
        # While the journal was asked, another call may have brought it back.
        record = self.held(entry.tenant, entry.job) or self._shelf.recall(entry)
        if entry.key is not None:
            self._keys[entry.tenant, entry.key] = record
        return record

    async def _requeue(self, records: Sequence[Record]) -> None:
        """Have jobs run that an earlier supervisor had accepted, in the order in which it had."""
        for record in records:
            try:
                place = await self._place(record)
            except SandboxError as error:  # a file or policy that it names is no more
                record.finish(error)
            except Exception as error:
                self._log.bug(error, tenant=record.tenant, job=record.id)
                record.finish(InternalError(str(error)))
            else:
                if place is not None:
                    prepared, ticket = place
                    self._nursery.start_soon(self._run, [record], [prepared], ticket)
                    continue
                if self.is_draining:
                    self._leave(record)
                    continue
                record.finish(_cancelled())
            self._nursery.start_soon(self._keep, record)

    async def _place(self, record: Record) -> tuple[Prepared, Ticket] | None:
        """Wait for a place in the queue; None: the job was cancelled, or we drain."""
        while not record.cancellation.is_set:
            prepared = await self._prepare(record)
            try:
                return prepared, self._enqueue([record], [prepared])
            except RefusedError as error:
                prepared.release()
                if self.is_draining:
                    return None
                if error.retry_after_seconds is None:
                    raise
                seconds = error.retry_after_seconds
            except BaseException:
                prepared.release()
                raise
            with record.cancellation.interrupts(trio.current_time() + seconds):
                await self._draining.wait()
        return None

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
        for record in self._live.values():
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
        self._patience.deadline = min(self._patience.deadline, deadline)
        self._draining.set()
        self._admission.drain()

    async def drained(self) -> None:
        """Wait until every job is over, or left to the next supervisor."""
        with self._patience:
            while self._live or self._accepting:
                await self._moved.park()
        while self._live or self._accepting:
            for record in list(self._live.values()):
                record.is_interrupted |= not record.cancellation.is_set
                record.cancellation.set()
            await self._moved.park()


def _cancelled() -> Result:
    return not_started(walls={}, grades={}, artifacts={}, identity={}, host={})


def _loss(record: Record) -> str | None:
    """Why a job that an earlier supervisor had not ended cannot be run by this one."""
    submission = record.submission
    if submission.is_piped:
        return f"the supervisor was killed, and with it went the pipeline of job {record.id}"
    if submission.stdin_open:
        return f"the supervisor was killed, and with it went the stdin of job {record.id}"
    if record.state == "running" and record.runs >= submission.most_runs:
        return f"the supervisor was killed while job {record.id} ran"
    return None
