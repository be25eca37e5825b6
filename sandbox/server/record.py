"""One accepted job, as the service knows it: from its submit until it is forgotten."""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack
import trio

from sandbox.server.journal import Entry
from sandbox.server.kept_job import read_entry
from sandbox.server.spool import Input, Spool
from sandbox.server.submission import Submission
from sandbox.spec.errors import HostError, SandboxError
from sandbox.spec.result import Result
from sandbox.supervisor.lifecycle import Cancellation
from sandbox.supervisor.live import Live
from sandbox.wire.errors import error_to_map
from sandbox.wire.messages import text_for_wire, text_from_wire
from sandbox.wire.result import result_to_map

__all__ = ["ENDED", "OUTPUTS", "STATES", "Record", "brief_of", "new_id"]

ENDED = ("ended", "failed", "lost")
STATES = ("queued", "running", *ENDED)
OUTPUTS = ("stdout", "stderr")


_ID_STEP = 1 << 24  # of 2^40: ids of one millisecond are as far apart as nobody guesses
_last_id = (0, 0)


def new_id() -> str:
    """An id that nobody guesses; a later one of this process sorts behind an earlier one."""
    global _last_id
    now = time.time_ns() // 1_000_000, secrets.randbits(39)
    moment, number = _last_id
    if number + _ID_STEP >= 1 << 40:
        moment, number = moment + 1, 0
    _last_id = max(now, (moment, number + 1 + secrets.randbelow(_ID_STEP)))
    return "{:012x}{:010x}".format(*_last_id)


class Record:
    """A job's state, streams and result."""

    def __init__(self, tenant: str, job: str, submission: Submission, spool: Path) -> None:
        """`spool`: the directory of this job's files, which exists once there are any."""
        self.tenant, self.id = tenant, job
        self.submission = submission
        self.state = "queued"
        self.runs = 0
        self.created_at = time.time()
        self.started_at: float | None = None
        self.start_seconds: float | None = None  # from there until its payload ran
        self.ended_at: float | None = None
        self.told: Result | None = None  # what came of it in this process
        self.is_accepted = True  # False: nobody was told of it, and it is nobody's
        self.result: Mapping[str, Any] | None = None  # as it goes over the wire
        self.error: Mapping[str, Any] | None = None
        self.directory = spool
        self.outputs = {name: Spool(spool / name) for name in OUTPUTS}
        self.artifacts: dict[bytes, str] = {}  # kept here: path in the job -> name of its file
        self.input = Input()
        self.cancellation = Cancellation()
        self.is_interrupted = False  # cancelled by us, because we must end
        self.live: Live | None = None
        self.is_published = False  # its end may be told
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def is_over(self) -> bool:
        """Whether there is a result, or an error in its place."""
        return self.state in ENDED

    def begin(self) -> None:
        """A run of it begins."""
        self.state = "running"
        self.runs += 1
        self.started_at = time.time()

    def prepare(self) -> Path:
        """The directory of its files, made. Raises HostError."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HostError(
                f"no place for what the job leaves: {self.directory}: {error.strerror};"
                f" fix: free some of that disk, and see that {self.directory.parent} is there"
            ) from error
        return self.directory

    def finish(self, outcome: Result | SandboxError | BaseException, state: str = "") -> None:
        """It has come to its end. Whoever waits is told by `publish`."""
        if isinstance(outcome, Result):
            self.told, self.result = outcome, result_to_map(outcome)
            self.state = state or "ended"
        else:
            self.error = error_to_map(outcome)
            self.state = state or "failed"
        self.ended_at = time.time()
        self.live = None
        self.input.close()

    def publish(self) -> None:
        """Let everybody see the end: it is as durable as was asked for."""
        for spool in self.outputs.values():
            spool.finish()
        self.is_published = True
        self._changed.unpark_all()

    def abandon(self) -> None:
        """Close its files; nobody is told anything."""
        for spool in self.outputs.values():
            spool.close()

    async def ended(self) -> None:
        """Wait until its end may be told."""
        while not self.is_published:
            await self._changed.park()

    def is_told_by(self, inline_bytes: int) -> bool:
        """Whether a status with so much of the outputs leaves nothing to ask for."""
        sizes = [spool.size_bytes for spool in self.outputs.values()]
        return max(sizes) <= inline_bytes and not self.artifacts

    def usage(self) -> dict[str, Any]:
        """What it uses now."""
        try:
            used = None if self.live is None else self.live.usage()
        except (SandboxError, OSError):  # it has just ended
            used = None
        found = {"job": self.id, "label": self.submission.label, "state": self.state}
        names = ("cpu_seconds", "memory_bytes", "processes", "wall_seconds")
        return {**found, **{name: used and getattr(used, name) for name in names}}

    def read_artifact(self, path: bytes, offset: int, most_bytes: int) -> bytes | None:
        """Bytes of an artifact that is kept here; None: there is none such. Raises HostError."""
        if path not in self.artifacts:
            return None
        try:
            with (self.directory / self.artifacts[path]).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), most_bytes, offset)
        except (FileNotFoundError, NotADirectoryError):  # not collected, or gone with its job
            return None
        except OSError as error:
            problem = f"{self.directory / self.artifacts[path]} cannot be read"
            raise HostError(f"{problem}: {error.strerror}; fix that") from error

    def status(self, inline_bytes: int = 0) -> dict[str, Any]:
        """What is known of it, with up to `inline_bytes` of each output once that is complete."""
        is_told = self.is_published
        submission = self.submission
        return {
            "job": self.id,
            "state": self.state if is_told or not self.is_over else "running",
            "label": submission.label,
            "key": submission.key,
            "priority": submission.priority,
            "created_at": self.created_at,
            "started_at": self.started_at,
            "ended_at": self.ended_at if is_told else None,
            "runs": self.runs,
            "result": self.result if is_told else None,
            "error": self.error if is_told else None,
            "artifacts": self._artifacts() if is_told else {},
            **{name: _output(spool, inline_bytes) for name, spool in self.outputs.items()},
        }

    def entry(self) -> Entry:
        """This as the journal keeps it."""
        submission = self.submission
        return Entry(
            tenant=self.tenant,
            job=self.id,
            key=submission.key,
            state=self.state,
            label=submission.label,
            priority=submission.priority,
            runs=self.runs,
            most_runs=submission.most_runs,
            created_at=self.created_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            request=submission.pack(),
            outcome=self.outcome() if self.is_over else None,
        )

    def outcome(self) -> bytes:
        """The end of it, for the journal; outputs that are in files stay there."""
        return msgpack.packb(
            {
                "result": self.result,
                "error": self.error,
                "artifacts": self.artifacts,
                **{name: spool.data for name, spool in self.outputs.items()},
            },
            default=dict,
        )

    @classmethod
    def from_entry(cls, entry: Entry, spool: Path) -> "Record":
        """The job that the journal has kept. Raises HostError: that is none."""
        submission, outcome = read_entry(entry)
        record = cls(entry.tenant, entry.job, submission, spool)
        record.state, record.runs = entry.state, entry.runs
        record.created_at, record.started_at = entry.created_at, entry.started_at
        record.ended_at = entry.ended_at
        if outcome is not None:
            record.result, record.error = outcome.result, outcome.error
            record.artifacts = dict(outcome.artifacts)
            record.outputs = {
                name: Spool.kept(spool / name, getattr(outcome, name)) for name in OUTPUTS
            }
            record.input.close()
            record.is_published = True
        return record

    def recover_outputs(self) -> None:
        """Take up what a run had written to its files before its supervisor was killed."""
        for name in OUTPUTS:
            if (self.directory / name).exists():
                self.outputs[name] = Spool.kept(self.directory / name, None)

    def remove_files(self) -> None:
        """Remove what it has on the disk."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def requeue(self) -> None:
        """It is to be run again; what an earlier run has left is dropped."""
        self.remove_files()
        self.state, self.started_at = "queued", None

    def _artifacts(self) -> dict[str | bytes, Any]:
        found: dict[str | bytes, Any] = {}
        for path, name in self.artifacts.items():
            try:
                status = (self.directory / name).stat()
            except OSError:  # removed with its job
                continue
            # Text where it is that: some decoders have no maps with other keys.
            found[text_for_wire(text_from_wire(path))] = {
                "bytes": status.st_size,
                "is_executable": bool(status.st_mode & 0o100),
            }
        return found


def brief_of(entry: Entry) -> dict[str, Any]:
    """A job as a list shows it."""
    names = ("job", "state", "label", "key", "priority", "created_at", "started_at", "ended_at")
    return {name: getattr(entry, name) for name in (*names, "runs")}


def _output(spool: Spool, inline_bytes: int) -> dict[str, Any]:
    document: dict[str, Any] = {"bytes": spool.size_bytes, "is_complete": spool.is_complete}
    if spool.is_complete and spool.size_bytes <= inline_bytes:
        with contextlib.suppress(HostError):  # its file was removed: told to who reads it
            document["data"] = spool.read(0, inline_bytes)
    return document
