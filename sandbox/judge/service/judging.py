"""One judging: what was submitted, how far it is, and what came of it, all in one directory.

`record` is replaced as a whole, by a rename; `files/N` are the submission's, and `events` are as
events.py has them. What was accepted, and what has ended, has reached the disk before anybody is
told: it outlives a loss of power, as jobs of durability "power" do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import trio

from sandbox.judge.problem import Submission
from sandbox.judge.service.events import Events
from sandbox.server.directories import sync_directory
from sandbox.spec.errors import HostError, SandboxError
from sandbox.wire.errors import error_to_map

__all__ = ["ENDED", "STATES", "Judging", "Request"]

STATES = ("queued", "running", "ended", "failed", "cancelled")
ENDED = STATES[2:]
MOST_RUNS = 3  # of one whose supervisor dies each time while it runs
_BRIEF = ("state", "created_at", "started_at", "ended_at", "runs", "verdict", "score")


class Request(NamedTuple):
    """What was asked for, and all that another run of it needs beside its files."""

    problem: str  # the SHA-256 of its package's archive
    names: tuple[str, ...]  # of the files
    fingerprint: str  # of all that decides what comes of it
    language: str | None = None
    entry_point: str | None = None
    time_limit_seconds: float | None = None
    judges_all: bool = False
    transcribes: bool = False
    key: str | None = None
    label: str | None = None
    priority: int = 0
    rejudge_of: str | None = None


class Judging:
    """Its state in memory, and on the disk."""

    def __init__(self, directory: Path, request: Request) -> None:
        """`directory`: its name is the judging's id."""
        self.directory, self.id, self.request = directory, directory.name, request
        self.state = "queued"
        self.created_at = time.time()
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.runs = 0
        self.verdict: str | None = None
        self.score: float | None = None
        self.size_bytes = 0  # of the files
        self.events = Events(directory / "events")
        self.scope = trio.CancelScope()  # of the run that there is
        self.is_cancelled = False  # by its client
        self._ended = trio.Event()

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end."""
        return self.state in ENDED

    def submission(self) -> Submission:
        """As the judge takes it."""
        request = self.request
        files = tuple(
            (name, self.directory / "files" / str(number))
            for number, name in enumerate(request.names)
        )
        return Submission("submission", files, request.language, request.entry_point)

    def brief(self) -> dict[str, Any]:
        """It in a list."""
        request = self.request
        return {
            "judging": self.id,
            "problem": request.problem,
            "label": request.label,
            "key": request.key,
            "priority": request.priority,
            "rejudge_of": request.rejudge_of,
            **{name: getattr(self, name) for name in _BRIEF},
        }

    def status(self) -> dict[str, Any]:
        """All that is known of it. Raises HostError: its record cannot be read."""
        kept = _read(self.directory) if self.is_over else {}
        return {
            **self.brief(),
            "events": self.events.size_bytes,
            "result": kept.get("result"),
            "error": kept.get("error"),
        }

    async def begin(self) -> None:
        """A run of it begins. Raises HostError."""
        self.state, self.started_at = "running", time.time()
        self.runs += 1
        await trio.to_thread.run_sync(self._save)

    def leave(self) -> None:
        """Leave it to the supervisor that comes after this one, which ends by plan. Blocks."""
        self.state, self.started_at = "queued", None
        self.runs -= 1
        self._save()

    async def finish(
        self, state: str, outcome: Mapping[str, Any] | SandboxError | None = None
    ) -> None:
        """It is over: first on the disk, then told. `outcome`: the result, or why there is none.

        Raises HostError: it is not over then.
        """
        changes: dict[str, Any] = {"state": state, "ended_at": time.time()}
        more: dict[str, Any] = {"result": None, "error": None}
        if isinstance(outcome, SandboxError):
            more["error"] = error_to_map(outcome)
        elif outcome is not None:
            more["result"] = outcome
            changes |= {"verdict": outcome["verdict"], "score": outcome["score"]}

        def save() -> None:
            self.events.sync()
            self._save(**changes, **more)

        with trio.CancelScope(shield=True):  # if we end, it need not be judged again for that
            await trio.to_thread.run_sync(save)
        for name, value in changes.items():
            setattr(self, name, value)
        self._tell_end(more)

    def _tell_end(self, kept: Mapping[str, Any]) -> None:
        """The last event. What ended it was on the disk before."""
        with contextlib.suppress(HostError):  # the record says it too
            self.events.add(self.state, result=kept.get("result"), error=kept.get("error"))
        self.events.finish()
        self._ended.set()

    async def ended(self) -> None:
        """Wait until it is over."""
        await self._ended.wait()

    def _save(self, **changes: Any) -> None:
        """Replace the record, on the disk when this returns. Blocks. Raises HostError."""
        document = {
            "request": self.request._asdict(),
            "size_bytes": self.size_bytes,
            **{name: getattr(self, name) for name in _BRIEF},
            **changes,
        }
        try:
            draft = self.directory / "record.new"
            # Before the rename: it may reach the disk before what it names.
            _write(draft, msgpack.packb(document, unicode_errors="backslashreplace"))
            draft.replace(self.directory / "record")
            sync_directory(self.directory)
        except OSError as error:
            raise HostError(
                f"{self.directory} cannot be written: {error.strerror}; fix: free some of that disk"
            ) from error

    @classmethod
    def create(cls, directory: Path, request: Request, files: Sequence[bytes]) -> Judging:
        """A new one, whole on the disk when this returns. Blocks. Raises HostError."""
        draft = directory.with_name(f"draft-{directory.name}")
        try:
            (draft / "files").mkdir(mode=0o700, parents=True)
            for number, data in enumerate(files):
                _write(draft / "files" / str(number), data)
            sync_directory(draft / "files")
            judging = cls(draft, request)
            judging.id = directory.name
            judging.size_bytes = sum(map(len, files))
            judging._save()
            draft.rename(directory)
            sync_directory(directory.parent)
        except (OSError, HostError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise HostError(f"no room for a judging: {error}; fix: free some") from error
        created = cls(directory, request)
        created.size_bytes = judging.size_bytes
        created.created_at = judging.created_at
        return created

    @classmethod
    def load(cls, directory: Path) -> Judging:
        """One that an earlier process has left. Raises HostError: it is none."""
        try:
            kept = _read(directory)
            fields = dict(kept["request"])
            request = Request(**{**fields, "names": tuple(fields["names"])})
            judging = cls(directory, request)
            for name in (*_BRIEF, "size_bytes"):
                setattr(judging, name, kept[name])
        except (ValueError, TypeError, KeyError) as error:
            raise HostError(f"{directory} is no judging: {error!r}") from error
        if judging.is_over:
            if not judging._has_told_end():
                judging._tell_end(kept)
            judging.events.finish()
            judging._ended.set()
        return judging

    def remove(self) -> None:
        """Forget it. Blocks."""
        gone = self.directory.with_name(f"draft-gone-{self.id}")
        with contextlib.suppress(OSError):
            self.directory.rename(gone)  # half of it must not be found under its name
        shutil.rmtree(gone, ignore_errors=True)

    def _has_told_end(self) -> bool:
        number = 0
        last: Mapping[str, Any] = {}
        while number < self.events.size_bytes:
            found, number = self.events.after(number, 64 << 10)
            last = found[-1]
        return last.get("event") in ENDED


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read(directory: Path) -> Mapping[str, Any]:
    try:
        kept = msgpack.unpackb((directory / "record").read_bytes())
    except OSError as error:
        raise HostError(f"{directory}: {error.strerror}; the judging is lost") from error
    except (ValueError, msgpack.UnpackException) as error:
        raise HostError(f"{directory} is no judging: {error!r}") from error
    if not isinstance(kept, Mapping):
        raise HostError(f"{directory} is no judging: its record is no map")
    return kept
