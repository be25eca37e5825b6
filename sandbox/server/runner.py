"""How an admitted job runs: its streams to and from the record, and what came of it."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.server.log import Log
from sandbox.server.preparation import Prepared, stdin_of
from sandbox.server.record import Record
from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.spec.result import Result
from sandbox.supervisor.failures import SHORTAGES
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller
from sandbox.supervisor.live import Live
from sandbox.supervisor.pipeline import Member, Pipe
from sandbox.supervisor.supervisor import Supervisor
from sandbox.wire.errors import InternalError

__all__ = ["Outcome", "Runner"]

Outcome = Result | SandboxError


class Runner:
    """Has the supervisor run the jobs of records."""

    def __init__(
        self, supervisor: Supervisor, log: Log, collect_below: Sequence[Path] = ()
    ) -> None:
        """`collect_below`: where artifacts may go that a caller names a file of this host for."""
        self._supervisor, self._log = supervisor, log
        self._collect_below = tuple(os.path.realpath(path) for path in collect_below)

    async def run(
        self,
        records: Sequence[Record],
        prepared: Sequence[Prepared],
        pipes: Sequence[Pipe],
        cores: Sequence[int],
        ended: Callable[[int, Outcome], None],
    ) -> list[Outcome]:
        """Run a job, or the members of a pipeline, to the end; one outcome each.

        `cores`: leased, one each, or none. `ended`: told each member's outcome as it comes.
        """
        opened: list[Files] = []
        try:
            members = []
            targets = {pipe.target for pipe in pipes}
            for number, (record, one) in enumerate(zip(records, prepared, strict=True)):
                if one.kept:
                    record.prepare()
                self._refuse_elsewhere(one)
                opened.append(Files.open(one.job))
                limits = one.limits
                if number < len(cores):
                    limits = limits._replace(core=cores[number])
                caller = _caller(record, one, is_piped=number in targets)
                members.append(Member(one.job, one.policy, limits, opened[-1], caller))
            if len(members) > 1:
                return await self._supervisor.run_pipeline(members, pipes, ended)
            return [await self._supervisor.run(*members[0])]
        except SandboxError as error:
            return [error] * len(records)
        except Exception as error:  # a mistake of ours: it costs this job, and no other
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                problem = f"the server ran short: {error.strerror}"
                fix = "raise its limit, or let fewer jobs run at once (budget.jobs)"
                return [HostError(f"{problem}; fix: {fix}")] * len(records)
            self._log.bug(error, job=records[0].id, tenant=records[0].tenant)
            return [InternalError(str(error))] * len(records)
        finally:
            for record in records:
                record.live = None
            for files in opened:
                files.close()

    def _refuse_elsewhere(self, prepared: Prepared) -> None:
        """Raises SpecError: an artifact would go where we cannot write."""
        for artifact in prepared.job.artifacts:
            if artifact.path in prepared.kept:
                continue
            place = os.path.realpath(artifact.destination)
            if not any(os.path.commonpath((place, top)) == top for top in self._collect_below):
                tops = ", ".join(self._collect_below) or "nothing"
                raise SpecError(
                    "collect",
                    f"{artifact.destination}: this server writes artifacts below {tops}; name such"
                    " a file, have it kept, or see [collect] of its configuration",
                )


def _caller(record: Record, prepared: Prepared, *, is_piped: bool) -> Caller:
    async def sink(stream: str, data: bytes) -> None:
        record.outputs[stream].append(data)

    def started(live: Live) -> None:
        record.live = live
        if record.started_at is not None:
            record.start_seconds = time.time() - record.started_at

    stdin = None if is_piped else stdin_of(record, prepared.job)
    return Caller(sink, stdin, record.cancellation, started)
