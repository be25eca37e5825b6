"""Every job of the service: accepted, queued, run, kept, and forgotten."""

import contextlib
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import trio

from sandbox.server.admission import Admission, Ticket
from sandbox.server.blobs import BlobStore
from sandbox.server.journal import Entry, Journal
from sandbox.server.log import Log
from sandbox.server.metrics import Metrics
from sandbox.server.policies import Policies
from sandbox.server.preparation import Prepared, prepare, stdin_of
from sandbox.server.record import Record, brief_of, new_id
from sandbox.server.submission import Submission
from sandbox.server.ticket import State
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.result import Result
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, not_started
from sandbox.supervisor.live import Live
from sandbox.supervisor.supervisor import Supervisor
from sandbox.wire.errors import InternalError, InvalidParamsError, LostError, NotFoundError

__all__ = ["Jobs", "Retention"]

_SWEEP_SECONDS = 10.0
_MOST_REMEMBERED = 1000  # ended jobs in memory whose place is the journal
_MOST_UNKEPT = 10_000  # ended jobs of durability "memory"
_SPILL_SECONDS = 1.0  # a job that runs longer has its output in files, which outlive us
_RETRY_SECONDS = 1.0  # for an end that cannot be journalled, or a queue that is full

Name = tuple[str, str]  # tenant, and job or key


class Retention(NamedTuple):
    """How long, and how much, is kept of jobs that are over."""

    seconds: float
    spool_bytes: int
    journal_bytes: int
    jobs: int


class Jobs:
    """The registry. Jobs are looked up as (tenant, id): what is foreign is absent."""

    def __init__(
        self,
        supervisor: Supervisor,
        admission: Admission,
        journal: Journal,
        blobs: BlobStore,
        policies: Policies,
        spool: Path,
        retention: Retention,
        log: Log,
        metrics: Metrics,
        nursery: trio.Nursery,
    ) -> None:
        """`spool`: the directory of the jobs' files. `nursery`: for what runs."""
        self._supervisor, self._admission, self._journal = supervisor, admission, journal
        self._blobs, self._policies, self._spool = blobs, policies, spool
        self._retention, self._log, self._metrics = retention, log, metrics
        self._nursery = nursery
        self._live: dict[Name, Record] = {}  # queued or running
        self._ended: OrderedDict[Name, Record] = OrderedDict()  # oldest end first
        self._keys: dict[Name, Record] = {}  # of the records in memory
        self._claims: dict[Name, trio.Event] = {}  # keys that are being looked up
        self._spooled: OrderedDict[str, int] = OrderedDict()  # job -> bytes of its files
        self._moved = trio.lowlevel.ParkingLot()
        self.is_draining = False

    # Looking up

    def held(self, tenant: str, job: str) -> Record | None:
        """The job, if it is in memory."""
        name = (tenant, job)
        return self._live.get(name) or self._ended.get(name)

    async def find(self, tenant: str, job: str) -> Record:
        """The job. Raises NotFoundError."""
        record = self.held(tenant, job)
        if record is None:
            entry = await self._journal.find(tenant, job)
            # Meanwhile it may have been brought back by another call, or deleted.
            record = self.held(tenant, job) or (entry and self._remember(entry))
        if not record:
            raise NotFoundError(f"no job {job}")
        return record

    async def page(
        self, tenant: str, state: str | None, after: str, most: int
    ) -> list[dict[str, Any]]:
        """In brief, up to `most` jobs whose id sorts behind `after`, oldest first."""
        entries = await self._journal.list(tenant, state, after, most)
        found = {entry.job: brief_of(entry) for entry in entries}
        for records in (self._live, self._ended):
            for (owner, job), record in records.items():
                if owner == tenant and job > after:
                    found.pop(job, None)  # the journal's may be older than ours
                    if state in (None, record.state):
                        found[job] = brief_of(record.entry())
        return [found[job] for job in sorted(found)[:most]]

    def live(self, tenant: str | None = None) -> list[Record]:
        """Those that are queued or running, of one tenant or of all."""
        return [record for record in self._live.values() if tenant in (None, record.tenant)]

    # From submit to end

    async def submit(self, tenant: str, submission: Submission) -> Record:
        """Accept a job, or find the one that was accepted for its key.

        It is journalled when this returns, as its durability asks. Raises SpecError,
        RefusedError: nothing was accepted.
        """
        # What is journalled must also run, whoever goes away meanwhile.
        with trio.CancelScope(shield=True):
            if submission.key is None:
                return await self._accept(tenant, submission)
            name = (tenant, submission.key)
            while name in self._claims:
                await self._claims[name].wait()
            if (earlier := self._keys.get(name)) is not None:
                return _same(earlier, submission)
            claim = self._claims[name] = trio.Event()
            try:
                return await self._accept(tenant, submission)
            finally:
                del self._claims[name]
                claim.set()

    async def _accept(self, tenant: str, submission: Submission) -> Record:
        record = Record(tenant, job := new_id(), submission, self._spool / job)
        prepared = await self._prepare(record)
        try:
            ticket = self._enqueue(record, prepared)
        except BaseException:
            prepared.release()
            raise
        if ticket.state is State.ADMITTED:
            record.begin()  # so that the journal need not be told again
        if not submission.is_durable:
            self._start(record, prepared, ticket)
        elif submission.key is None:
            # It runs while it is journalled; nobody is told of it before it is.
            self._start(record, prepared, ticket)
            try:
                await self._journal.accept(record.entry(), power=submission.is_power)
            except BaseException:
                record.is_accepted = False
                record.cancellation.set()
                raise
        else:
            try:
                known = await self._journal.accept(record.entry(), power=submission.is_power)
            except BaseException:
                ticket.release()
                prepared.release()
                raise
            if known is not None:
                ticket.release()
                prepared.release()
                earlier = self.held(tenant, known.job) or self._remember(known)
                return _same(earlier, submission)
            self._start(record, prepared, ticket)
        return record

    async def _prepare(self, record: Record) -> Prepared:
        prepared = await prepare(
            record.tenant, record.submission, self._blobs, self._policies, record.directory
        )
        if record.submission.is_power:
            for hold in prepared.holds:
                await hold.flush()
        return prepared

    def _enqueue(self, record: Record, prepared: Prepared) -> Ticket:
        submission = record.submission
        try:
            return self._admission.enqueue(
                record.tenant,
                prepared.demand(),
                priority=submission.priority,
                own_cores=int(submission.own_core),
                queue_seconds=submission.queue_seconds,
            )
        except RefusedError as error:
            self._metrics.refused.add("never" if error.retry_after_seconds is None else "busy")
            raise

    def _start(self, record: Record, prepared: Prepared, ticket: Ticket) -> None:
        self._live[record.tenant, record.id] = record
        if record.submission.key is not None:
            self._keys[record.tenant, record.submission.key] = record
        self._nursery.start_soon(self._run, record, prepared, ticket)

    async def _run(self, record: Record, prepared: Prepared, ticket: Ticket) -> None:
        try:
            outcome = await self._outcome(record, prepared, ticket)
        finally:
            ticket.release()
            prepared.release()
        if outcome is None:  # to be run by the supervisor that comes after us
            self._forget(record)
            return
        record.artifacts = dict(prepared.kept) if record.directory.exists() else {}
        record.finish(outcome)
        await self._keep(record)

    async def _outcome(
        self, record: Record, prepared: Prepared, ticket: Ticket
    ) -> Result | BaseException | None:
        """What came of it; None: it is left to the supervisor that comes after this one."""
        is_left = record.submission.is_durable and not record.submission.stdin_open
        try:
            with record.cancellation.interrupts():
                await ticket.admitted()
            if record.cancellation.is_set:
                return _cancelled()
            if record.state == "queued":
                record.begin()
                if record.submission.is_durable:
                    self._journal.start(record.id, record.runs, record.started_at)
            result = await self._execute(record, prepared, ticket)
        except RefusedError as error:
            return None if self.is_draining and is_left and not record.runs else error
        except SandboxError as error:
            return error
        except Exception as error:
            self._log.bug(error, tenant=record.tenant, job=record.id)
            return InternalError(str(error))
        may_run_again = is_left and record.runs < record.submission.most_runs
        is_ended_by_us = self.is_draining and result.verdict == "cancelled"
        return None if is_ended_by_us and may_run_again else result

    async def _execute(self, record: Record, prepared: Prepared, ticket: Ticket) -> Result:
        job, limits = prepared.job, prepared.limits
        if ticket.cores:
            limits = limits._replace(core=ticket.cores[0])
        if prepared.kept:
            record.prepare()
        files = Files.open(job)

        async def sink(stream: str, data: bytes) -> None:
            record.outputs[stream].append(data)

        def started(live: Live) -> None:
            record.live = live
            record.start_seconds = time.time() - record.started_at

        caller = Caller(sink, stdin_of(record, job), record.cancellation, started)
        try:
            return await self._supervisor.run(job, prepared.policy, limits, files, caller)
        finally:
            record.live = None
            files.close()

    async def _keep(self, record: Record) -> None:
        """Journal the end of a job, then tell it."""
        submission = record.submission
        while submission.is_durable and record.is_accepted:
            try:
                if submission.is_power:
                    for spool in record.outputs.values():
                        spool.sync()
                await self._journal.finish(
                    record.id,
                    record.state,
                    record.ended_at,
                    record.outcome(),
                    power=submission.is_power,
                )
                break
            except (SandboxError, OSError) as error:  # no room: it is not lost while we live
                self._log.event("journal_failed", job=record.id, error=str(error))
                await trio.sleep(_RETRY_SECONDS)
        record.publish()
        self._tell(record)
        name = (record.tenant, record.id)
        self._live.pop(name, None)
        self._ended[name] = record
        if size := record.kept_bytes():
            self._spooled[record.id] = size
        self._moved.unpark_all()

    def _tell(self, record: Record) -> None:
        code = None if record.error is None else record.error["code"]
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
            code,
            queued_seconds=queued_seconds,
            start_seconds=record.start_seconds,
        )

    def tell(self, record: Record, inline_bytes: int) -> dict[str, Any]:
        """Its status. One that is not to be kept is forgotten once that has told all of it."""
        status = record.status(inline_bytes)
        if not record.submission.keep and record.is_published and record.is_told_by(inline_bytes):
            self._nursery.start_soon(self.delete, record)
        return status

    # Forgetting

    async def delete(self, record: Record) -> None:
        """Forget a job that is over, and remove its files. Raises RefusedError: it is not."""
        if not record.is_published:
            raise RefusedError(f"job {record.id} has not ended; cancel it first", 1.0)
        self._forget(record)
        if record.submission.is_durable:
            await self._journal.delete(record.tenant, record.id)
        record.remove_files()
        self._spooled.pop(record.id, None)

    def _forget(self, record: Record) -> None:
        name = (record.tenant, record.id)
        self._live.pop(name, None)
        self._ended.pop(name, None)
        if record.submission.key is not None:
            self._keys.pop((record.tenant, record.submission.key), None)
        self._moved.unpark_all()

    def _remember(self, entry: Entry) -> Record:
        record = Record.from_entry(entry, self._spool / entry.job)
        self._ended[record.tenant, record.id] = record
        if entry.key is not None:
            self._keys[record.tenant, entry.key] = record
        return record

    async def keep_tidy(self) -> None:
        """Spill, expire and sweep, for as long as the service runs."""
        sweep_at = trio.current_time()
        while True:
            self._spill()
            if trio.current_time() >= sweep_at:
                await self.sweep()
                sweep_at = trio.current_time() + _SWEEP_SECONDS
            await trio.sleep(_SPILL_SECONDS)

    async def sweep(self) -> None:
        """Forget what is too old or too much."""
        retention, now = self._retention, time.time()
        removed = await self._journal.expire(
            now - retention.seconds, retention.journal_bytes, retention.jobs
        )
        for job in removed:
            self._remove_files(job)
        over = sum(self._spooled.values()) - retention.spool_bytes
        for job, size in list(self._spooled.items()):
            if over <= 0:
                break
            self._remove_files(job)  # the result stays; who reads the output is told
            over -= size
        gone = set(removed)
        kept = [r for r in self._ended.values() if not r.submission.is_durable]
        too_many = len(kept) - _MOST_UNKEPT
        for number, record in enumerate(kept):
            if number < too_many or (record.ended_at or now) < now - retention.seconds:
                self._forget(record)
                record.remove_files()
                self._spooled.pop(record.id, None)
        journalled = [r for r in self._ended.values() if r.submission.is_durable]
        for number, record in enumerate(journalled):
            if record.id in gone or number < len(journalled) - _MOST_REMEMBERED:
                self._forget(record)
        await self._blobs.sweep(now)

    def _remove_files(self, job: str) -> None:
        self._spooled.pop(job, None)
        Record("", job, Submission({}, is_local=False), self._spool / job).remove_files()

    def _spill(self) -> None:
        late = time.time() - _SPILL_SECONDS
        for record in self._live.values():
            if record.submission.is_durable and (record.started_at or late) < late:
                for spool in record.outputs.values():
                    if spool.size_bytes:
                        with contextlib.suppress(OSError):  # told when the job writes more
                            spool.spill()

    # Coming and going

    async def recover(self) -> None:
        """Account for every job that an earlier supervisor had accepted and not ended."""
        found = {path.name: path for path in self._spool.iterdir()}
        known = await self._journal.holds(found)
        for job, path in sorted(found.items()):
            record = Record("", job, Submission({}, is_local=False), path)
            if job in known:
                self._spooled[job] = record.kept_bytes()
            else:
                record.remove_files()  # of a job that was not to outlive us
        unfinished = await self._journal.unfinished()
        again = [entry.job for entry in unfinished if entry.state == "running"]
        for entry in unfinished:
            record = Record.from_entry(entry, self._spool / entry.job)
            if (reason := _loss(entry, record)) is not None:
                again = [job for job in again if job != entry.job]
                record.recover_outputs()
                record.finish(LostError(reason), "lost")
                await self._keep(record)
            else:
                record.remove_files()
                record.state = "queued"
                self._live[record.tenant, record.id] = record
                if entry.key is not None:
                    self._keys[record.tenant, entry.key] = record
                self._nursery.start_soon(self._run_again, record)
        if again:
            await self._journal.recover(again, (), time.time(), power=False)

    async def _run_again(self, record: Record) -> None:
        while True:
            try:
                prepared = await self._prepare(record)
                try:
                    ticket = self._enqueue(record, prepared)
                except BaseException:
                    prepared.release()
                    raise
                break
            except RefusedError as error:
                if error.retry_after_seconds is None:
                    record.finish(error)
                    return await self._keep(record)
                await trio.sleep(error.retry_after_seconds)  # its place in the queue was taken
            except SandboxError as error:  # a file or policy that it names is no more
                record.finish(error)
                return await self._keep(record)
        await self._run(record, prepared, ticket)

    async def drain(self, deadline_seconds: float) -> None:
        """Accept nothing more; let what runs end, and cancel what has not at the deadline.

        Queued jobs that are durable are left to the next supervisor; so are cancelled ones that
        may run again.
        """
        self.is_draining = True
        self._admission.drain()
        with trio.move_on_after(deadline_seconds):
            await self._wait_until_idle()
        for record in list(self._live.values()):
            record.cancellation.set()
        await self._wait_until_idle()

    async def _wait_until_idle(self) -> None:
        while self._live:
            await self._moved.park()


def _same(earlier: Record, submission: Submission) -> Record:
    if (earlier.submission.job, earlier.submission.stdin) != (submission.job, submission.stdin):
        raise InvalidParamsError(
            "key", f"job {earlier.id} was submitted under it, and is another; choose a new one"
        )
    return earlier


def _cancelled() -> Result:
    return not_started(walls={}, grades={}, artifacts={}, identity={}, host={})


def _loss(entry: Entry, record: Record) -> str | None:
    """Why a job that an earlier supervisor had not ended cannot be run by this one."""
    if record.submission.stdin_open:
        return f"the supervisor was killed, and with it went the stdin of job {entry.job}"
    if entry.state == "running" and entry.runs >= entry.most_runs:
        return f"the supervisor was killed while job {entry.job} ran"
    return None
