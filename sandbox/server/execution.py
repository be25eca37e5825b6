"""One accepted job, or pipeline, on its way: prepared, queued, run, and its end journalled."""

from collections.abc import Callable, Sequence

import trio

from sandbox.server.admission import Admission, Demand, Ticket
from sandbox.server.blobs import BlobStore
from sandbox.server.drain import Drain
from sandbox.server.journal import Journal
from sandbox.server.live_jobs import LiveJobs
from sandbox.server.log import Log
from sandbox.server.metrics import Metrics
from sandbox.server.policies import Policies
from sandbox.server.preparation import Prepared, prepare, release
from sandbox.server.record import Record
from sandbox.server.runner import Outcome, Runner
from sandbox.server.shelf import Shelf
from sandbox.server.ticket import State
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.result import Result
from sandbox.supervisor.lifecycle import Cancellation, not_started
from sandbox.supervisor.pipeline import Pipe
from sandbox.supervisor.pool import AFTERWARDS_SECONDS

__all__ = ["Execution", "cancelled"]

_RETRY_SECONDS = 1.0  # for an end that cannot be journalled


class Execution:
    """What all jobs go through, once each."""

    def __init__(
        self,
        runner: Runner,
        admission: Admission,
        journal: Journal,
        blobs: BlobStore,
        policies: Policies,
        live: LiveJobs,
        shelf: Shelf,
        drain: Drain,
        log: Log,
        metrics: Metrics,
        nursery: trio.Nursery,
    ) -> None:
        """`nursery`: for what runs."""
        self._runner, self._admission, self._journal = runner, admission, journal
        self._blobs, self._policies, self._live, self._shelf = blobs, policies, live, shelf
        self._drain, self._log, self._metrics, self._nursery = drain, log, metrics, nursery

    async def prepare(self, record: Record) -> Prepared:
        """Read the job, hold its blobs, and have them as durable as it is. Raises SpecError."""
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

    def enqueue(self, records: Sequence[Record], prepared: Sequence[Prepared]) -> Ticket:
        """A place for a job, or for a whole pipeline. Raises RefusedError."""
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

    async def run(
        self,
        records: Sequence[Record],
        prepared: Sequence[Prepared],
        ticket: Ticket,
        pipes: Sequence[Pipe] = (),
    ) -> None:
        """Wait for the turn, run, and tell the end of each. Releases ticket and blobs."""
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
            if ticket.state is not State.ADMITTED:
                with queued.interrupts():
                    await ticket.admitted()
            if queued.is_set:
                return [cancelled()] * len(records)
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

    async def _finish(self, record: Record, prepared: Prepared, outcome: Outcome) -> None:
        if self._is_left(record, outcome):
            return self.leave(record)
        if prepared.kept and record.directory.exists():
            record.artifacts = dict(prepared.kept)
        record.finish(outcome)
        await self.keep(record)

    def _is_left(self, record: Record, outcome: Outcome) -> bool:
        """Whether the supervisor that comes after this one, which drains, is to run it."""
        submission = record.submission
        if not submission.is_durable or submission.stdin_open or submission.is_piped:
            return False
        if isinstance(outcome, RefusedError):
            return self._drain.has_begun and record.state == "queued"
        is_cut = isinstance(outcome, Result) and outcome.verdict == "cancelled"
        return record.is_interrupted and is_cut and record.runs < submission.most_runs

    def leave(self, record: Record) -> None:
        """Leave it to the supervisor that comes after this one: nobody is told anything."""
        record.abandon()
        self._live.remove(record)

    async def keep(self, record: Record) -> None:
        """Journal the end of a job that has finished, then tell it."""
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
                elif self._drain.is_overdue:
                    # Told now, it would be told once more by the supervisor that comes after us.
                    return self.leave(record)
                else:
                    await trio.sleep(_RETRY_SECONDS)
        record.publish()
        if record.is_accepted:
            self._shelf.put(record)
        else:
            record.remove_files()
        await trio.sleep(AFTERWARDS_SECONDS)  # first whoever waits for the end
        self._report(record)
        self._live.remove(record)

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


def cancelled() -> Result:
    """The result of a job that was cancelled in the queue."""
    return not_started(walls={}, grades={}, artifacts={}, identity={}, host={})
