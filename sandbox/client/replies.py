"""What the server answers, as typed values. What a newer server says beside is ignored.

Every reader raises ProtocolError naming the field that is not as it should be.
"""

from __future__ import annotations

import math

from sandbox.spec.errors import ProtocolError, SpecError
from sandbox.spec.fields import read_table
from sandbox.wire.errors import error_from_map
from sandbox.wire.framing import FRAME_BYTES
from sandbox.wire.result import result_from_map
from sandbox.wire.values import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NamedTuple

    from sandbox.spec.errors import SandboxError
    from sandbox.spec.result import Result
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "STATES", "ArtifactInfo", "Blob", "JobStats", "Output", "Piece", "Status", "Summary", "Upload",
    "fields_of", "moment", "read_blob", "read_blobs", "read_job_stats", "read_mapping",
    "read_metrics", "read_nothing", "read_offset", "read_piece", "read_result", "read_status",
    "read_statuses", "read_summaries", "read_upload", "reader", "text_of",
]  # fmt: skip

STATES = ("queued", "running", "ended", "failed", "lost")
_OVER = ("ended", "failed", "lost")
_MOST_SECONDS = math.inf


class Output(NamedTuple):
    """One output stream of a job: how much there is, and all of it where that is little."""

    size_bytes: int
    is_complete: bool
    data: bytes | None = None


class ArtifactInfo(NamedTuple):
    """One file that a job has left and the server keeps."""

    size_bytes: int
    is_executable: bool


class Summary(NamedTuple):
    """A job in brief, as in a list of many. Moments are unix time in seconds."""

    job: str
    state: str  # one of STATES
    label: str | None
    key: str | None
    priority: int
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    runs: int  # how often it was begun


class Status(NamedTuple):
    """What a server knows of a job. Moments are unix time in seconds."""

    job: str
    state: str  # one of STATES
    label: str | None
    key: str | None
    priority: int
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    runs: int  # how often it was begun
    result: Result | None  # of an ended one
    error: SandboxError | None  # why it failed or was lost: to be raised
    stdout: Output
    stderr: Output
    artifacts: Mapping[str, ArtifactInfo]  # path in the job -> what is kept here

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in _OVER


class Piece(NamedTuple):
    """Bytes of a stream or file, from `offset` on; `is_end`: nothing comes behind them."""

    offset: int
    data: bytes
    is_end: bool


class Upload(NamedTuple):
    """How far a blob has come: the offset that is expected next."""

    offset: int
    is_complete: bool


class Blob(NamedTuple):
    """One blob that the server holds for us, until `expires_at` (unix time) unless it is used."""

    sha256: str
    size_bytes: int
    is_complete: bool
    expires_at: float | None


class JobStats(NamedTuple):
    """What a queued or running job uses now; None where the host does not tell, or not yet."""

    job: str
    label: str | None
    state: str
    cpu_seconds: float | None
    memory_bytes: int | None
    processes: int | None
    wall_seconds: float | None


def reader(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`read`, whose complaints are of a reply."""

    def guarded(value: Any) -> Any:
        try:
            return read(value)
        except SpecError as error:
            raise ProtocolError(f"in a reply, {error}") from error

    return guarded


def fields_of(value: Any, *known: str, field: str = "") -> Fields:
    """Of a map, in a reply or `field` of it."""
    return Fields(value, known, field, ignore_unknown=True)


def moment(fields: Fields, key: str) -> float | None:
    """Seconds, if there are any."""
    return fields.number(key, None, least=0, most=_MOST_SECONDS)


def text_of(fields: Fields, key: str) -> str | None:
    """A text, of any length; None: it is empty, or there is none."""
    # A label may be empty, which Fields.text takes for a mistake.
    return fields.data(key, b"", most_bytes=FRAME_BYTES).decode("utf-8", "replace") or None


def _output(value: Any, field: str) -> Output:
    fields = fields_of(value, "bytes", "is_complete", "data", field=field)
    return Output(
        fields.integer("bytes"),
        fields.flag("is_complete"),
        fields.data("data", None, most_bytes=FRAME_BYTES),
    )


def _artifact(value: Any, field: str) -> ArtifactInfo:
    fields = fields_of(value, "bytes", "is_executable", field=field)
    return ArtifactInfo(fields.integer("bytes"), fields.flag("is_executable", False))


_NO_OUTPUT = {"bytes": 0, "is_complete": False}


def _status(value: Any) -> Status:
    brief = _summary(value)
    state = brief.state
    fields = fields_of(value, "result", "error", "stdout", "stderr", "artifacts")
    result, error = (fields.table(key, default=None) for key in ("result", "error"))
    if state == "ended" and result is None:
        raise SpecError("result", "is missing, and the job has ended")
    if state in ("failed", "lost") and error is None:
        raise SpecError("error", f"is missing, and the job is {state}")
    return Status(
        *brief,
        result=None if result is None else result_from_map(result),
        error=None if error is None else error_from_map(error),
        stdout=_output(fields.table("stdout", default=_NO_OUTPUT), "stdout"),
        stderr=_output(fields.table("stderr", default=_NO_OUTPUT), "stderr"),
        artifacts={
            path: _artifact(item, f"artifacts.{path}")
            for path, item in fields.table("artifacts", default={}).items()
        },
    )


def _summary(value: Any) -> Summary:
    fields = fields_of(value, *Summary._fields)
    return Summary(
        fields.text("job"),
        fields.choice("state", STATES),
        text_of(fields, "label"),
        text_of(fields, "key"),
        fields.integer("priority", 0, least=-1000),
        moment(fields, "created_at"),
        moment(fields, "started_at"),
        moment(fields, "ended_at"),
        fields.integer("runs", 0),
    )


read_status = reader(_status)
read_result = result_from_map


@reader
def read_statuses(value: Any) -> tuple[Status, ...]:
    """The `jobs` of a reply to pipeline.submit."""
    return tuple(_status(item) for item in fields_of(value, "jobs").array("jobs"))


@reader
def read_summaries(value: Any) -> tuple[Summary, ...]:
    """The `jobs` of a reply to job.list."""
    return tuple(_summary(item) for item in fields_of(value, "jobs").array("jobs"))


@reader
def read_piece(value: Any) -> Piece:
    """{offset, data, is_end}."""
    fields = fields_of(value, *Piece._fields)
    return Piece(
        fields.integer("offset"),
        fields.data("data", b"", most_bytes=FRAME_BYTES),
        fields.flag("is_end"),
    )


@reader
def read_offset(value: Any) -> int:
    """{offset}: what is expected next."""
    return fields_of(value, "offset").integer("offset")


@reader
def read_upload(value: Any) -> Upload:
    """{offset, is_complete}."""
    fields = fields_of(value, *Upload._fields)
    return Upload(fields.integer("offset"), fields.flag("is_complete"))


def _blob(value: Any, sha256: str | None = None) -> Blob:
    fields = fields_of(value, "sha256", "bytes", "is_complete", "expires_at")
    return Blob(
        sha256 or fields.text("sha256"),
        fields.integer("bytes"),
        fields.flag("is_complete", True),
        moment(fields, "expires_at"),
    )


def read_blob(sha256: str) -> Callable[[Any], Blob]:
    """A reader of what is known of this blob."""
    return reader(lambda value: _blob(value, sha256))


@reader
def read_blobs(value: Any) -> tuple[Blob, ...]:
    """The `blobs` of a reply."""
    return tuple(_blob(item) for item in fields_of(value, "blobs").array("blobs"))


@reader
def read_job_stats(value: Any) -> tuple[JobStats, ...]:
    """The `jobs` of a reply to job.stats."""
    return tuple(_job_stats(item) for item in fields_of(value, "jobs").array("jobs"))


def _job_stats(value: Any) -> JobStats:
    fields = fields_of(value, *JobStats._fields)
    return JobStats(
        fields.text("job"),
        text_of(fields, "label"),
        fields.text("state"),
        moment(fields, "cpu_seconds"),
        fields.integer("memory_bytes", None),
        fields.integer("processes", None),
        moment(fields, "wall_seconds"),
    )


@reader
def read_metrics(value: Any) -> str:
    """{text}."""
    return fields_of(value, "text").data("text", most_bytes=FRAME_BYTES).decode("utf-8", "replace")


@reader
def read_mapping(value: Any) -> dict[str, Any]:
    """A map, as it came."""
    return dict(read_table(value, "reply"))


def read_nothing(value: Any) -> None:
    """Whatever it is: the call has succeeded."""
