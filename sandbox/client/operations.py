"""What takes several calls, written once for both clients: generators of calls.

Each yields a Call and is sent what its reply says, or thrown what it raises; `advance` does that.
"""

from __future__ import annotations

from sandbox.client import calls
from sandbox.client.requests import describe_job, job_map
from sandbox.spec.errors import ProtocolError, SandboxError
from sandbox.spec.result import Completed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Any, NamedTuple, TypeVar

    from sandbox.client.calls import Call
    from sandbox.client.replies import Output, Piece, Status
    from sandbox.client.sources import Source

    T = TypeVar("T")
    Steps = Generator[Call, Any, T]
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "Done", "advance", "carry_out", "complete", "end_of", "next_piece", "result_of", "submit_job",
    "upload", "write_all",
]  # fmt: skip

# A peer that answers and never gets further would keep us for good.
_MOST_STANDSTILLS = 3


class Done(NamedTuple):
    """The end of an operation, and what it returned."""

    value: Any


def advance(steps: Steps[Any], answer: Any = None, error: BaseException | None = None) -> Any:
    """Go on with what the last call brought: the next Call, or Done. Raises what it raises."""
    try:
        return steps.send(answer) if error is None else steps.throw(error)
    except StopIteration as end:
        return Done(end.value)


def carry_out(steps: Steps[T], ask: Callable[[Call], Any]) -> T:
    """Make the calls of an operation by `ask`, which blocks: its return value."""
    step = advance(steps)
    while not isinstance(step, Done):
        try:
            answer = ask(step)
        except SandboxError as error:
            step = advance(steps, error=error)
        else:
            step = advance(steps, answer)
    return step.value


def submit_job(job: Any, options: Mapping[str, Any]) -> Steps[Status]:
    """Submit a command, Job or map: its Status. `stdin`: all of it as bytes, or a path."""
    options = dict(options)
    stdin = options.get("stdin")
    data = None
    if isinstance(stdin, bytes | bytearray | memoryview):
        data = bytes(stdin)
        del options["stdin"]
    job, said = describe_job(job, options)
    if data is not None and len(data) > calls.MOST_STDIN_BYTES:
        from sandbox.client.sources import source_of_bytes

        sha256 = yield from upload(source_of_bytes(data))
        job = {**job_map(job), "stdin": {"blob": sha256}}
    elif data:
        said["stdin"] = data
    return (yield calls.submit(job, said))


def end_of(
    job: str,
    clock: Callable[[], float],
    most_seconds: float | None = None,
    inline_bytes: int | None = None,
) -> Steps[Status]:
    """Wait for a job's end, or so long, by bounded waits: its last Status."""
    deadline = None if most_seconds is None else clock() + most_seconds
    while True:
        wait_seconds = calls.WAIT_SECONDS
        if deadline is not None:
            wait_seconds = min(wait_seconds, max(deadline - clock(), 0.0))
        status: Status = yield calls.wait(job, wait_seconds, inline_bytes)
        if status.is_over or (deadline is not None and clock() >= deadline):
            return status


def result_of(job: str, clock: Callable[[], float]) -> Steps[Any]:
    """The Result of a job, once it has ended. Raises the job's own error."""
    status = yield from end_of(job, clock, inline_bytes=0)
    if status.error is not None:
        raise status.error
    return status.result


def complete(job: str, clock: Callable[[], float]) -> Steps[Completed]:
    """All that a job leaves, once it has ended. Raises the job's own error."""
    status = yield from end_of(job, clock, inline_bytes=calls.INLINE_BYTES)
    if status.error is not None:
        raise status.error
    stdout = yield from _output(job, "stdout", status.stdout)
    stderr = yield from _output(job, "stderr", status.stderr)
    artifacts = {}
    for path in status.artifacts:
        artifacts[path] = yield from _artifact(job, path)
    assert status.result is not None, "read_status lets no job end without"
    return Completed(status.result, stdout, stderr, artifacts)


def upload(source: Source) -> Steps[str]:
    """Have the server hold a blob: its SHA-256. What it holds already, or in part, is not sent."""
    size_bytes, sha256 = source.size_bytes, source.sha256
    sent_to, standstills = -1, 0
    progress = yield calls.blob_put(sha256, size_bytes, 0, b"")
    while not progress.is_complete:
        standstills = standstills + 1 if progress.offset <= sent_to else 0
        if standstills > _MOST_STANDSTILLS or progress.offset > size_bytes:
            raise ProtocolError(f"blob.put does not get beyond byte {progress.offset}")
        sent_to = max(sent_to, progress.offset)
        data = source.read(progress.offset, calls.CHUNK_BYTES)
        progress = yield calls.blob_put(sha256, size_bytes, progress.offset, data)
    return sha256


def write_all(job: str, offset: int | None, data: bytes, *, end: bool) -> Steps[int]:
    """Write all of `data` to a job's stdin, as fast as it reads: the offset behind it.

    `offset` None: where the server's is. Raises ProtocolError: it takes what was not sent.
    """
    if offset is None:
        offset = yield calls.write(job, None, b"")
    view = memoryview(data)
    while True:
        piece = bytes(view[: calls.PIECE_BYTES])
        is_last = len(piece) == len(view)
        expected = yield calls.write(
            job, offset, piece, end=end and is_last, wait_seconds=calls.WAIT_SECONDS
        )
        taken = expected - offset
        if not 0 <= taken <= len(piece):
            raise ProtocolError(f"job.write expects byte {expected} after {len(piece)} at {offset}")
        offset, view = expected, view[taken:]
        if not view and is_last:
            return offset


def next_piece(piece: Piece, offset: int, *, must_move: bool = False) -> Piece:
    """`piece`, if it is what comes at `offset`. Raises ProtocolError."""
    if piece.offset != offset:
        raise ProtocolError(f"a piece at byte {piece.offset}, where {offset} was asked for")
    if must_move and not piece.data and not piece.is_end:
        raise ProtocolError(f"no byte at {offset}, and no end either")
    return piece


def _output(job: str, stream: str, output: Output) -> Steps[bytes]:
    if output.data is not None:
        return output.data
    return (yield from _all(lambda offset: calls.read(job, stream, offset)))


def _artifact(job: str, path: str) -> Steps[bytes]:
    return (yield from _all(lambda offset: calls.read_artifact(job, path, offset)))


def _all(read: Callable[[int], Call]) -> Steps[bytes]:
    pieces: list[bytes] = []
    offset, is_end = 0, False
    while not is_end:
        piece = next_piece((yield read(offset)), offset, must_move=True)
        pieces.append(piece.data)
        offset, is_end = offset + len(piece.data), piece.is_end
    return b"".join(pieces)
