"""What a killed supervisor leaves: every job that it had accepted and not ended."""

import time
from collections.abc import Sequence

import trio

from sandbox.server.admission import Ticket
from sandbox.server.drain import Drain
from sandbox.server.execution import Execution, cancelled
from sandbox.server.journal import Journal
from sandbox.server.live_jobs import LiveJobs
from sandbox.server.log import Log
from sandbox.server.preparation import Prepared
from sandbox.server.record import Record
from sandbox.server.shelf import Shelf
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.wire.errors import InternalError, LostError

__all__ = ["Recovery"]


class Recovery:
    """Each is run again, or told as lost."""

    def __init__(
        self,
        execution: Execution,
        journal: Journal,
        live: LiveJobs,
        shelf: Shelf,
        drain: Drain,
        log: Log,
        nursery: trio.Nursery,
    ) -> None:
        """`nursery`: for what runs."""
        self._execution, self._journal, self._live = execution, journal, live
        self._shelf, self._drain, self._log, self._nursery = shelf, drain, log, nursery

    async def run(self) -> None:
        """Account for all of them; what is to run again does so when it has a place."""
        await self._shelf.begin()
        records = [self._shelf.recall(entry) for entry in await self._journal.unfinished()]
        losses = {record.id: reason for record in records if (reason := _loss(record)) is not None}
        # Before any of them runs: only of a queued job the journal notes that it starts.
        again = [r.id for r in records if r.state == "running" and r.id not in losses]
        await self._journal.recover(again, (), time.time(), power=False)
        for record in records:
            self._live.add(record)
            if record.id in losses:
                record.recover_outputs()
                record.finish(LostError(losses[record.id]), "lost")
                self._nursery.start_soon(self._execution.keep, record)
            else:
                record.requeue()
        self._nursery.start_soon(self._requeue, [r for r in records if not r.is_over])

    async def _requeue(self, records: Sequence[Record]) -> None:
        """Have them run, in the order in which they had been accepted."""
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
                    self._nursery.start_soon(self._execution.run, [record], [prepared], ticket)
                    continue
                if self._drain.has_begun:
                    self._execution.leave(record)
                    continue
                record.finish(cancelled())
            self._nursery.start_soon(self._execution.keep, record)

    async def _place(self, record: Record) -> tuple[Prepared, Ticket] | None:
        """Wait for a place in the queue; None: the job was cancelled, or we drain."""
        while not record.cancellation.is_set:
            prepared = await self._execution.prepare(record)
            try:
                return prepared, self._execution.enqueue([record], [prepared])
            except RefusedError as error:
                prepared.release()
                if self._drain.has_begun:
                    return None
                if error.retry_after_seconds is None:
                    raise
                seconds = error.retry_after_seconds
            except BaseException:
                prepared.release()
                raise
            with record.cancellation.interrupts(trio.current_time() + seconds):
                await self._drain.begun()
        return None


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
