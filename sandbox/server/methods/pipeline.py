"""pipeline.*: jobs whose streams are connected, started together."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import trio

from sandbox.server.method import Param, method
from sandbox.server.methods.job import MOST_READ_BYTES, NOT_ACCEPTED, SUBMITTING, submission_of
from sandbox.server.record import OUTPUTS
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import Field, Shape
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown
from sandbox.supervisor.pipeline import Pipe
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.values import Fields

__all__: list[str] = []

_MOST_JOBS = 16


@method(
    "pipeline.submit", Shape({"jobs": Field("array of status", "in the order of `jobs`")}),
    *NOT_ACCEPTED,
    jobs=Param("array", "2 to 16 of them, each a [job](#a-job)", bounds={"most_items": _MOST_JOBS}),
    pipes=Param(
        "array",
        "what is connected: maps of `from` and `to`, which are numbers of jobs, counted from 0, and"
        " `stream`, `stdout` (the default) or `stderr` of `from`",
        bounds={"most_items": 2 * _MOST_JOBS},
    ),
    **SUBMITTING,
)  # fmt: skip
def submit(
    service: Service, peer: Peer, jobs: tuple[Any, ...], pipes: tuple[Any, ...],
    wait_seconds: float, inline_bytes: int, is_new: bool, **fields: Any,
) -> Coroutine[Any, Any, Callable[[], Any]]:  # fmt: skip
    """Accept jobs that are started together, each reading what another writes. Each is a job like
    any other then. Where all of them wait for each other, they end, and the evidence says who
    waits for whom. A pipeline that runs when the supervisor is killed is lost."""
    if not 2 <= len(jobs) <= _MOST_JOBS:
        raise InvalidParamsError("jobs", f"{len(jobs)} of them; a pipeline has 2 to {_MOST_JOBS}")
    for number, job in enumerate(jobs):
        if not isinstance(job, Mapping):
            raise InvalidParamsError(f"jobs[{number}]", f"{shown(job)} is no map")
    key = fields.pop("key")
    submissions = [
        submission_of(peer, job=job, key=key and f"{key}#{number}", is_piped=True, **fields)
        for number, job in enumerate(jobs)
    ]
    connected = [_pipe(pipe, f"pipes[{number}]", len(jobs)) for number, pipe in enumerate(pipes)]

    async def submitted() -> Callable[[], Any]:
        records = await service.jobs.submit(peer.tenant.name, submissions, connected, is_new=is_new)
        if fields["attached"]:
            for record in records:
                peer.attach(record)
        with trio.move_on_after(wait_seconds):
            for record in records:
                await record.ended()
        # All of them go into one frame.
        each_bytes = min(inline_bytes, MOST_READ_BYTES // len(records))
        return lambda: {"jobs": [service.jobs.tell(record, each_bytes) for record in records]}

    return submitted()


def _pipe(value: Any, field: str, jobs: int) -> Pipe:
    try:
        fields = Fields(value, ("from", "stream", "to"), field)
        return Pipe(
            fields.integer("from", most=jobs - 1),
            fields.choice("stream", OUTPUTS, "stdout"),
            fields.integer("to", most=jobs - 1),
        )
    except SpecError as error:
        raise InvalidParamsError(error.field, error.problem) from error
