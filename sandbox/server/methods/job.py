"""job.*: submit, look, wait, read, write, end, forget."""

import inspect
import re
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import trio

from sandbox.server.method import Param, method
from sandbox.server.record import OUTPUTS, STATES, Record
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import EMPTY, PIECE, RESULT, STATUS, Field, Shape
from sandbox.server.submission import DURABILITIES, Submission
from sandbox.spec.errors import RefusedError
from sandbox.spec.fields import shown
from sandbox.wire.errors import InvalidParamsError, NotFoundError, error_from_map
from sandbox.wire.values import MOST_INTEGER

__all__ = [
    "INLINE",
    "JOB",
    "MOST_READ_BYTES",
    "OFFSET",
    "STREAM",
    "SUBMITTING",
    "WAIT",
    "submission_of",
]

MOST_READ_BYTES = 256 << 10
MOST_STDIN_BYTES = 512 << 10
MOST_WAIT_SECONDS = 60.0
_MOST_LISTED = 1000
_MOST_WRITERS = 4  # that wait on one stdin, each with up to MOST_READ_BYTES
_ID = re.compile("[0-9a-f]{22}")

JOB = Param("text", "id of the job, as job.submit answered it", bounds={"most_bytes": 64})
WAIT = Param("number", "how long to wait for it", 0.0, {"least": 0.0, "most": MOST_WAIT_SECONDS})
INLINE = Param(
    "integer",
    "send a complete output of up to so many bytes along",
    64 << 10,
    {"most": MOST_READ_BYTES},
)
STREAM = Param("choice", "which output", bounds={"choices": OUTPUTS})
# pread(2) adds up where it begins and how much it reads.
OFFSET = Param(
    "integer", "number of the first byte, from 0", bounds={"most": MOST_INTEGER - MOST_READ_BYTES}
)
MOST = Param(
    "integer", "answer with up to so many", 64 << 10, {"least": 1, "most": MOST_READ_BYTES}
)
NOT_ACCEPTED = (
    "spec: something is wrong in the job; `field` names it",
    "invalid_params: parameters contradict each other, or the key is that of another job",
    "refused: the queue is full, or the job is greater than what you may have",
)
SUBMITTING = {
    "key": Param(
        "text", "idempotency key: a second submit under it finds the first one's job", None,
        {"most_bytes": 128},
    ),
    "is_new": Param(
        "flag", "nobody has submitted under this key: it need not be looked for first", False
    ),
    "durability": Param(
        "choice", "what it survives: nothing, kill -9 of the supervisor, loss of power", "process",
        {"choices": DURABILITIES},
    ),
    "wait_seconds": WAIT,
    "inline_bytes": INLINE,
    "priority": Param(
        "integer", "within the tenant; the greatest first", 0, {"least": -100, "most": 100}
    ),
    "queue_seconds": Param(
        "number", "it fails if it could not start within", 3600.0, {"least": 0.0, "most": 86400.0}
    ),
    "own_core": Param("flag", "give it a core of its own, for times that can be compared", False),
    "label": Param("text", "whatever helps you to know it again", None, bounds={"most_bytes": 256}),
    "attached": Param("flag", "cancel it when this connection is lost", False),
    "keep": Param(
        "flag", "false: forget it once an answer has told its end, and its outputs whole", True
    ),
}  # fmt: skip

Answer = Callable[[], Any]


def on_job(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the method the Record of its `job`, brought from the journal where need be."""

    def run(service: Service, peer: Peer, job: str, **values: Any) -> Any:
        if not _ID.fullmatch(job):
            raise NotFoundError(f"no job {shown(job)}")
        record = service.jobs.held(peer.tenant.name, job)
        if record is not None:
            return function(service, peer, record, **values)
        return _found(service, peer, job, function, values)

    run.__doc__ = function.__doc__
    return run


async def _found(
    service: Service, peer: Peer, job: str, function: Callable[..., Any], values: dict[str, Any]
) -> Answer:
    record = await service.jobs.find(peer.tenant.name, job)
    # Many such calls may be in flight: what is large must not be made before its turn to be sent.
    outcome = function(service, peer, record, **values)
    if inspect.iscoroutine(outcome):
        return await outcome
    return outcome if callable(outcome) else lambda: outcome


@method(
    "job.submit", STATUS, *NOT_ACCEPTED,
    job=Param("table", "what to run: a [job](#a-job)"),
    stdin=Param("data", "all that it reads", b"", {"most_bytes": MOST_STDIN_BYTES}),
    stdin_open=Param("flag", "its stdin comes by job.write", False),
    most_runs=Param(
        "integer", "if the supervisor dies while it runs, run it again, up to so often in all", 1,
        {"least": 1, "most": 10},
    ),
    **SUBMITTING,
)  # fmt: skip
def submit(
    service: Service, peer: Peer,
    wait_seconds: float, inline_bytes: int, is_new: bool, **fields: Any,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """Accept a job. It is as durable as was asked for when this answers; with `wait_seconds` the
    answer waits for its end, so that one call is enough for a short job."""
    submission = submission_of(peer, **fields)

    async def submitted() -> Answer:
        (record,) = await service.jobs.submit(peer.tenant.name, [submission], is_new=is_new)
        if submission.attached:
            peer.attach(record)
        return await _waited(service, record, wait_seconds, inline_bytes)

    return submitted()


def submission_of(peer: Peer, **fields: Any) -> Submission:
    """What `peer` has submitted. Raises InvalidParamsError naming the field."""
    submission = Submission(is_local=peer.tenant.is_local, **fields).check()
    most = peer.tenant.config.most_priority
    if submission.priority > most:
        problem = (
            f"{submission.priority} is out of range; allowed for {peer.tenant.name}: to {most}"
        )
        raise InvalidParamsError("priority", problem)
    return submission


async def _waited(
    service: Service, record: Record, wait_seconds: float, inline_bytes: int
) -> Answer:
    if wait_seconds and not record.is_published:
        with trio.move_on_after(wait_seconds):
            await record.ended()
    return lambda: service.jobs.tell(record, inline_bytes)


@method("job.status", STATUS, "not_found", job=JOB, inline_bytes=INLINE)
@on_job
def status(service: Service, _peer: Peer, record: Record, inline_bytes: int) -> Answer:
    """What is known of a job now."""
    return lambda: service.jobs.tell(record, inline_bytes)


@method("job.wait", STATUS, "not_found", job=JOB, wait_seconds=WAIT, inline_bytes=INLINE)
@on_job
def wait(
    service: Service, _peer: Peer, record: Record, wait_seconds: float, inline_bytes: int
) -> Any:
    """What is known of a job at its end, or when the time is over."""
    return _waited(service, record, wait_seconds, inline_bytes)


@method(
    "job.result", RESULT, "not_found", "refused: it has not ended",
    "what a status has as `error`: any code",
    job=JOB, wait_seconds=WAIT,
)  # fmt: skip
@on_job
def result(_service: Service, _peer: Peer, record: Record, wait_seconds: float) -> Any:
    """The result of a job; where there is an error of ours in its place, that is raised."""

    def answer() -> Any:
        if not record.is_published:
            raise RefusedError(f"job {record.id} has not ended", 1.0)
        if record.error is not None:
            raise error_from_map(record.error)
        return record.result

    async def waited() -> Answer:
        with trio.move_on_after(wait_seconds):
            await record.ended()
        return answer

    return waited() if wait_seconds and not record.is_published else answer


@method(
    "job.read", PIECE, "not_found",
    job=JOB, stream=STREAM, offset=OFFSET, most_bytes=MOST, wait_seconds=WAIT,
)  # fmt: skip
@on_job
def read(
    _service: Service, _peer: Peer, record: Record,
    stream: str, offset: int, most_bytes: int, wait_seconds: float,
) -> Any:  # fmt: skip
    """Bytes of an output, from `offset` on. Waits for at least one, or for the end."""
    spool = record.outputs[stream]

    def answer() -> dict[str, Any]:
        data = spool.read(offset, most_bytes)
        return {"offset": offset, "data": data, "is_end": spool.is_end(offset + len(data))}

    async def waited() -> Answer:
        with trio.move_on_after(wait_seconds):
            await spool.readable(offset)
        return answer

    is_there = offset < spool.size_bytes or spool.is_complete
    return answer if is_there or not wait_seconds else waited()


@method(
    "job.write", Shape({"offset": Field("integer", "of the byte that is expected next")}),
    "not_found", "invalid_params: `job`, its stdin is not open; `offset`, it leaves a gap, or stdin"
    " has ended there",
    "refused: without an `offset`, while earlier writes wait for room",
    job=JOB,
    data=Param("data", "what it is to read", b"", {"most_bytes": MOST_READ_BYTES}),
    offset=Param("integer", "number of its first byte; without one: what comes next", None),
    end=Param("flag", "nothing comes after it", False),
    wait_seconds=WAIT,
)  # fmt: skip
@on_job
def write(
    _service: Service, _peer: Peer, record: Record,
    data: bytes, offset: int | None, end: bool, wait_seconds: float,
) -> Any:  # fmt: skip
    """Write to the stdin of a job that was submitted with `stdin_open`. What comes twice is
    dropped, so to send again is safe. As much is taken as there is room for: the answer tells.
    Writes that wait for room are few, and taken in the order in which they came."""
    source = record.input
    if not record.submission.stdin_open:
        raise InvalidParamsError("job", f"the stdin of job {record.id} is not open")
    reached = source.offset

    def take() -> bool:
        nonlocal offset, reached
        offset = source.offset if offset is None else offset
        source.write(offset, data, end=end)
        reached = source.offset
        return reached >= offset + len(data)

    def answer() -> dict[str, Any]:
        return {"offset": reached}

    if not source.writers and (take() or not wait_seconds):
        return answer()
    if not wait_seconds or source.writers >= _MOST_WRITERS:
        if offset is None:  # with one, the answer tells that nothing was taken
            raise RefusedError("earlier writes to this stdin wait for room", 0.1)
        return answer()
    place = source.line_up()  # now, and not when the coroutine runs: that may be in any order

    async def waited() -> Answer:
        try:
            with trio.move_on_after(wait_seconds):
                await source.turn(place)
                while not take():
                    await source.writable()
        finally:
            source.leave(place)
        return answer

    return waited()


@method(
    "job.resize", EMPTY, "not_found", "refused: it does not run", "spec: it has no terminal",
    job=JOB,
    rows=Param("integer", "lines", bounds={"least": 1, "most": 65535}),
    columns=Param("integer", "characters a line", bounds={"least": 1, "most": 65535}),
)  # fmt: skip
@on_job
def resize(_service: Service, _peer: Peer, record: Record, rows: int, columns: int) -> Any:
    """Set the size of the terminal of a job with `tty`; it gets SIGWINCH."""
    _running(record).resize(rows, columns)
    return {}


@method(
    "job.signal", EMPTY, "not_found", "refused: it does not run",
    job=JOB,
    signal=Param("integer", "its number", bounds={"least": 1, "most": signal.NSIG - 1}),
)  # fmt: skip
@on_job
def send_signal(_service: Service, _peer: Peer, record: Record, signal: int) -> Any:
    """Send a signal to the first process of a running job."""
    _running(record).signal(signal)
    return {}


def _running(record: Record) -> Any:
    if record.live is None:
        raise RefusedError(f"job {record.id} does not run", None if record.is_over else 0.1)
    return record.live


@method("job.cancel", EMPTY, "not_found", job=JOB)
@on_job
def cancel(_service: Service, _peer: Peer, record: Record) -> Any:
    """End a job. One that is over stays as it is."""
    record.cancellation.set()
    return {}


@method(
    "job.list",
    Shape({"jobs": Field("array of brief", "oldest first")}),
    state=Param("choice", "only those", None, {"choices": STATES}),
    after=Param("text", "only those whose id sorts behind this one", None, {"most_bytes": 64}),
    most=Param("integer", "up to so many", 100, {"least": 1, "most": _MOST_LISTED}),
)  # fmt: skip
def list_jobs(
    service: Service, peer: Peer, state: str | None, after: str | None, most: int
) -> Coroutine[Any, Any, Answer]:
    """Your jobs, in brief, oldest first."""

    async def listed() -> Answer:
        found = await service.jobs.page(peer.tenant.name, state, after or "", most)
        return lambda: {"jobs": found}

    return listed()


@method("job.delete", EMPTY, "not_found", "refused: it has not ended", job=JOB)
@on_job
def delete(service: Service, _peer: Peer, record: Record) -> Coroutine[Any, Any, Answer]:
    """Forget a job that is over, with its outputs and artifacts."""

    async def deleted() -> Answer:
        await service.jobs.delete(record)
        return dict

    return deleted()


@method(
    "job.read_artifact", PIECE, "not_found",
    job=JOB,
    path=Param("data", "of the file in the job, absolute", bounds={"most_bytes": 4095}),
    offset=OFFSET,
    most_bytes=MOST,
)  # fmt: skip
@on_job
def read_artifact(
    _service: Service, _peer: Peer, record: Record, path: bytes, offset: int, most_bytes: int
) -> Any:
    """Bytes of a file that `collect` named without a destination."""

    def answer() -> dict[str, Any]:
        data = record.read_artifact(path, offset, most_bytes) if record.is_published else None
        if data is None:
            raise NotFoundError(f"job {record.id} has left no such artifact")
        return {"offset": offset, "data": data, "is_end": len(data) < most_bytes}

    return answer


@method(
    "job.stats",
    Shape({"jobs": Field("array of usage", "one for each that is queued or runs")}),
    "not_found",
    job=JOB._replace(default=None),
)
def stats(service: Service, peer: Peer, job: str | None) -> dict[str, Any]:
    """What jobs that run use now: one, or all of yours."""
    live = service.jobs.live(peer.tenant.name)
    chosen = [record for record in live if job in (None, record.id)]
    if job is not None and not chosen:
        raise NotFoundError(f"no job {shown(job)} is queued or running")
    return {"jobs": [record.usage() for record in chosen]}
