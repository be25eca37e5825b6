"""Every method of the server, described once: what is sent, and how the reply is read.

Both clients are thin over this. A call that may be made again after its connection was lost, with
the same outcome, says so.
"""

from __future__ import annotations

import os

from sandbox.client import replies
from sandbox.client.requests import job_map, pipe_map
from sandbox.wire.messages import text_for_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NamedTuple
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "CHUNK_BYTES", "INLINE_BYTES", "MOST_STDIN_BYTES", "PIECE_BYTES", "WAIT_SECONDS", "Call",
    "blob_delete", "blob_list", "blob_put", "blob_stat", "cancel", "delete", "drain", "hello",
    "info", "jobs", "metrics", "open_stream", "pipeline", "read", "read_artifact", "reload",
    "resize", "signal", "stats", "status", "submit", "wait", "write",
]  # fmt: skip

CHUNK_BYTES = 512 << 10  # of a blob, in one call
MOST_STDIN_BYTES = 512 << 10  # sent along with a job
PIECE_BYTES = 256 << 10  # of a stream, in one call
INLINE_BYTES = 256 << 10  # of each output, that may come along with a job's end
# The server allows twice that; a peer that is gone without a word is noticed sooner.
WAIT_SECONDS = 30.0
_PROTOCOL = 1
_PAGE_JOBS = 250


class Call(NamedTuple):
    """One call of a method, for whoever has a connection."""

    method: str
    params: Mapping[str, Any]
    read: Callable[[Any], Any]  # what the reply says, typed
    wait_seconds: float = 0.0  # how long the server may take on purpose
    is_repeatable: bool = True
    # What to call with what it has brought, if nobody waits for that any more.
    undo: Callable[[Any], Call] | None = None

    def again(self) -> Call:
        """The same call, after one whose answer was lost: its key is not new any more."""
        params = {name: value for name, value in self.params.items() if name != "is_new"}
        return self._replace(params=params)


def hello(token: str | None) -> Call:
    """Say who we are: the map of who the server is."""
    params = {"protocol": _PROTOCOL, "token": token}
    return Call("server.hello", _given(params), replies.read_mapping)


def info() -> Call:
    """What the server is, has and does: a map."""
    return Call("server.info", {}, replies.read_mapping)


def metrics() -> Call:
    """Its metrics, as Prometheus reads them: text."""
    return Call("server.metrics", {}, replies.read_metrics)


def drain(deadline_seconds: float) -> Call:
    """Have it end its jobs, and itself."""
    params = {"deadline_seconds": deadline_seconds}
    return Call("server.drain", params, replies.read_nothing, is_repeatable=False)


def reload() -> Call:
    """Have it read policies and tenants again."""
    return Call("server.reload", {}, replies.read_nothing)


def blob_put(sha256: str, size_bytes: int, offset: int, data: bytes) -> Call:
    """Send a part of a blob: an Upload. Offset 0 without data asks how far it has come."""
    params = {"sha256": sha256, "bytes": size_bytes, "offset": offset, "data": data}
    return Call("blob.put", params, replies.read_upload)


def blob_stat(sha256: str) -> Call:
    """What is known of a blob: a Blob."""
    return Call("blob.stat", {"sha256": sha256}, replies.read_blob(sha256))


def blob_list(after: str | None) -> Call:
    """Some of the blobs that are held for us, those behind the hash `after`: Blobs."""
    return Call("blob.list", _given({"after": after}), replies.read_blobs)


def blob_delete(sha256: str) -> Call:
    """Have a blob forgotten."""
    return Call("blob.delete", {"sha256": sha256}, replies.read_nothing, is_repeatable=False)


def submit(job: Any, options: Mapping[str, Any], wait_seconds: float = 0.0) -> Call:
    """Submit a job: its Status. `options` are those of requests.SUBMIT_OPTIONS.

    It has a key, of the caller's or random, so that a submit that is repeated runs nothing twice.
    Not so if the server forgets the job by itself: attached, or not to be kept.
    """
    params = {"job": job_map(job), **_submission(options), "wait_seconds": wait_seconds}
    return Call(
        "job.submit",
        params,
        replies.read_status,
        wait_seconds,
        is_repeatable="key" in params,
        undo=lambda status: cancel(status.job),
    )


def pipeline(jobs: Iterable[Any], pipes: Iterable[Any], options: Mapping[str, Any]) -> Call:
    """Submit jobs that are connected: the Status of each."""
    params = {
        "jobs": [job_map(job) for job in jobs],
        "pipes": [pipe_map(pipe) for pipe in pipes],
        **_submission(options),
    }
    return Call(
        "pipeline.submit",
        params,
        replies.read_statuses,
        is_repeatable="key" in params,
        undo=lambda statuses: cancel(statuses[0].job),  # of a pipeline they end together
    )


def status(job: str, inline_bytes: int | None = None) -> Call:
    """What is known of a job now: its Status."""
    params = _given({"job": job, "inline_bytes": inline_bytes})
    return Call("job.status", params, replies.read_status)


def wait(job: str, wait_seconds: float, inline_bytes: int | None = None) -> Call:
    """Wait for a job's end, or so long: its Status."""
    params = _given({"job": job, "wait_seconds": wait_seconds, "inline_bytes": inline_bytes})
    return Call("job.wait", params, replies.read_status, wait_seconds)


def read(
    job: str, stream: str, offset: int, most_bytes: int = PIECE_BYTES, wait_seconds: float = 0.0
) -> Call:
    """What a job has written behind `offset`, once there is any, or so long: a Piece."""
    params = {
        "job": job, "stream": stream, "offset": offset, "most_bytes": most_bytes,
        "wait_seconds": wait_seconds,
    }  # fmt: skip
    return Call("job.read", params, replies.read_piece, wait_seconds)


def write(
    job: str, offset: int | None, data: bytes, *, end: bool = False, wait_seconds: float = 0.0
) -> Call:
    """Write to a job's stdin, from its byte `offset` on: the offset that is expected next."""
    params = _given({"job": job, "offset": offset, "data": data, "end": end or None})
    if wait_seconds:
        params["wait_seconds"] = wait_seconds
    return Call("job.write", params, replies.read_offset, wait_seconds, offset is not None)


def resize(job: str, rows: int, columns: int) -> Call:
    """Tell a job how large its terminal is."""
    params = {"job": job, "rows": rows, "columns": columns}
    return Call("job.resize", params, replies.read_nothing)


def signal(job: str, number: int) -> Call:
    """Send a signal to the payload's first process."""
    params = {"job": job, "signal": number}
    return Call("job.signal", params, replies.read_nothing, is_repeatable=False)


def cancel(job: str) -> Call:
    """End a job."""
    return Call("job.cancel", {"job": job}, replies.read_nothing)


def jobs(state: str | None, after: str | None) -> Call:
    """Some of our jobs, those behind the id `after`, oldest first: their Summary."""
    params = _given({"state": state, "after": after, "most": _PAGE_JOBS})
    return Call("job.list", params, replies.read_summaries)


def delete(job: str) -> Call:
    """Have a job that is over forgotten."""
    return Call("job.delete", {"job": job}, replies.read_nothing, is_repeatable=False)


def read_artifact(job: str, path: str | bytes, offset: int) -> Call:
    """A part of a file that a job has left: a Piece."""
    name = text_for_wire(path) if isinstance(path, str) else path
    params = {"job": job, "path": name, "offset": offset, "most_bytes": PIECE_BYTES}
    return Call("job.read_artifact", params, replies.read_piece)


def stats(job: str | None) -> Call:
    """What running jobs use: JobStats of each."""
    return Call("job.stats", _given({"job": job}), replies.read_job_stats)


def open_stream(job: str, stream: str, offset: int, credit_bytes: int) -> Call:
    """Have a stream pushed from `offset` on; see Subscription."""
    params = {"job": job, "stream": stream, "offset": offset, "credit_bytes": credit_bytes}
    return Call("stream.open", params, replies.read_nothing)


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if value is not None}


def _submission(options: Mapping[str, Any]) -> dict[str, Any]:
    params = _given(options)
    if params.get("attached"):
        params.setdefault("durability", "memory")  # it ends with us: nothing is to outlive
        return params
    if params.get("keep", True) and "key" not in params:
        params |= {"key": os.urandom(16).hex(), "is_new": True}
    return params
