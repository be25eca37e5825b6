"""What the journal has of a job, read as what a disk or a hand may have changed meanwhile.

SQLite notices a page that is broken, not a value that means something else. What is read here names
files, and is told to clients.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack

from sandbox.server.journal_store import STATES, Entry
from sandbox.server.submission import DURABILITIES, Submission
from sandbox.spec.errors import HostError

__all__ = ["Outcome", "read_entry"]

_UNFINISHED = ("queued", "running")
_ID = re.compile("[0-9a-f]{22}")  # of a job: the name of its directory
_FILE = re.compile(r"[\w-]{1,255}")  # of an artifact, in that
_BAD = (ValueError, TypeError, KeyError, RecursionError, msgpack.UnpackException)


class Outcome(NamedTuple):
    """How a job ended, as `Record.outcome` packs it."""

    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    artifacts: Mapping[bytes, str]
    stdout: bytes | None
    stderr: bytes | None


def read_entry(entry: Entry) -> tuple[Submission, Outcome | None]:
    """What was submitted, and how it ended, if it has. Raises HostError: this is no job of ours."""
    try:
        _check_columns(entry)
        submission = Submission.unpack(entry.request)
        _check_submission(submission)
        outcome = None
        if entry.outcome is not None:
            fields = msgpack.unpackb(entry.outcome, use_list=False, strict_map_key=False)
            outcome = Outcome(**fields)
            _check_outcome(outcome)
    except _BAD as error:
        raise HostError(
            f"what the journal has of job {entry.job!r} cannot be read ({error}), so the file was "
            "changed by another program or a disk; fix: delete that job from it, or move the "
            "journal's files to another directory: the server then knows none of its jobs"
        ) from error
    return submission, outcome


def _check_columns(entry: Entry) -> None:
    _require(bool(_ID.fullmatch(entry.job)), "job")
    _require(isinstance(entry.tenant, str), "tenant")
    _require(entry.state in STATES, "state")
    _require((entry.outcome is None) is (entry.state in _UNFINISHED), "outcome")
    _require(isinstance(entry.runs, int) and entry.runs >= 0, "runs")
    for name in ("created_at", "started_at", "ended_at"):
        value = getattr(entry, name)
        is_needed = name == "created_at"
        _require(isinstance(value, int | float) or (value is None and not is_needed), name)


def _check_submission(submission: Submission) -> None:
    _require(isinstance(submission.job, Mapping), "job")
    _require(submission.durability in DURABILITIES, "durability")
    for name, kind in (
        *(("stdin", bytes), ("is_local", bool), ("stdin_open", bool), ("own_core", bool)),
        *(("attached", bool), ("keep", bool), ("is_piped", bool), ("most_runs", int)),
        *(("priority", int), ("queue_seconds", int | float)),
        *(("key", str | None), ("label", str | None)),
    ):
        _require(isinstance(getattr(submission, name), kind), name)


def _check_outcome(outcome: Outcome) -> None:
    for name in ("result", "error"):
        _require(isinstance(getattr(outcome, name), Mapping | None), name)
    _require((outcome.result is None) is not (outcome.error is None), "result")
    for name in ("stdout", "stderr"):
        _require(isinstance(getattr(outcome, name), bytes | None), name)
    _require(isinstance(outcome.artifacts, Mapping), "artifacts")
    for path, file in outcome.artifacts.items():
        _require(isinstance(path, bytes) and bool(_FILE.fullmatch(file)), "artifacts")


def _require(holds: bool, name: str) -> None:
    if not holds:
        raise ValueError(f"its {name}")
