"""A program of the package's that judges: its job, and what it leaves in its feedback directory."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sandbox.judge.building import Built
from sandbox.judge.problem import ProblemLimits
from sandbox.spec.fields import printable
from sandbox.spec.job import Artifact, Input, Job
from sandbox.spec.result import Result

__all__ = ["MOST_MESSAGE_BYTES", "Feedback", "LastWords", "last_lines", "unread", "validator_job"]

MOST_MESSAGE_BYTES = 4096  # to judges and to teams, each
_FEEDBACK = b"/work/feedback"
_SUBMISSION = b"/submission"
_STATE = b"/work/state.tar"
_WRITTEN = (
    "judgemessage.txt", "teammessage.txt", "score.txt", "score_multiplier.txt", "nextpass.in",
)  # fmt: skip
_DECIDING = ("score.txt", "score_multiplier.txt", "nextpass.in", "state.tar")
_ABSENT = f"not collected: {os.strerror(errno.ENOENT)}"
_MOST_STDERR_BYTES = 1 << 16  # the last of it: there it says what it died of
# What a validator leaves in its directory is there again in the next pass, and nextpass.in is not.
# A tar of it comes out and goes in: which names there will be, nobody knows before.
_WITH_STATE = b"""\
[ ! -e /work/state ] || tar -xf /work/state/state.tar -C /work/feedback || exit 99
rm -f nextpass.in
"$@"
code=$?
tar -cf /work/state.tar -C /work/feedback . || exit 98
[ $code -le 128 ] || kill -$((code - 128)) $$
exit $code
"""
_AMONG_SOURCES = b'cd /submission && exec "$@"'


class LastWords:
    """The end of what a validator writes, of which no more is of use: a submission may have it
    write as much as it is allowed to, on every test."""

    def __init__(self, *streams: str) -> None:
        """`streams`: which are listened to."""
        self._streams = streams
        self._text = bytearray()

    async def add(self, stream: str, data: bytes) -> None:
        """As a sink is called."""
        if stream in self._streams:
            self._text += data
            del self._text[:-_MOST_STDERR_BYTES]

    def text(self) -> bytes:
        """That end."""
        return bytes(self._text)


class Feedback:
    """A host directory for what one test's validator leaves, and its state between passes."""

    def __init__(self, scratch: Path, held: contextlib.ExitStack, *, keeps_state: bool) -> None:
        """Use `open`."""
        self._scratch = scratch
        self._held = held
        self._keeps_state = keeps_state
        self._passes = 0

    @classmethod
    @contextlib.contextmanager
    def open(cls, scratch: Path, *, keeps_state: bool) -> Iterator[Feedback]:
        """Below `scratch`, and gone afterwards."""
        with contextlib.ExitStack() as held:
            yield cls(scratch, held, keeps_state=keeps_state)

    @functools.cached_property
    def _directory(self) -> Path:
        # Made when it is asked for: most problems have no validator of their own.
        made = tempfile.TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True)
        return Path(self._held.enter_context(made))

    def job(
        self,
        built: Built,
        input_path: Path,
        answer_path: Path,
        flags: Sequence[str],
        limits: ProblemLimits,
        core: int | None,
    ) -> Job:
        """The validator's: what it is to be told, and what of it is wanted."""
        self._passes += 1
        command = _command(built, b"/data/input", b"/data/answer", flags)
        inputs = [
            Input(input_path, b"/data/input", copied=False),
            Input(answer_path, b"/data/answer", copied=False),
        ]
        artifacts = self._artifacts()
        policy = built.policy
        if self._keeps_state:
            command = (b"/bin/sh", b"-c", _WITH_STATE, b"sh", *command)
            artifacts.append(Artifact(_STATE, self._path("state.tar")))
            policy = "default"
            if self._passes > 1:
                state = self._directory / str(self._passes - 1) / "state.tar"
                inputs.append(Input(state, b"/work/state/state.tar", copied=True))
                # There may be a thousand passes, and each leaves as much as a disk holds.
                shutil.rmtree(self._directory / str(self._passes - 2), ignore_errors=True)
        return validator_job(command, policy, built, inputs, artifacts, limits, core)

    def static_job(
        self,
        built: Built,
        submission: Built,
        flags: Sequence[str],
        limits: ProblemLimits,
        core: int | None,
    ) -> Job:
        """The static validator's, which is started among the files of the submission."""
        code, entry = submission.language.code.encode(), submission.entry.encode()
        inputs = [Input(submission.directory, _SUBMISSION, copied=False)]
        # By a shell: the directory that a job starts in is made for it, and that is the other one.
        command = (b"/bin/sh", b"-c", _AMONG_SOURCES, b"sh", *_command(built, code, entry, flags))
        return validator_job(command, "default", built, inputs, self._artifacts(), limits, core)

    def text(self, name: str) -> str:
        """What it has written there, in the last pass; bounded and printable."""
        return _shown_lines((self.read(name) or b"").strip())[:MOST_MESSAGE_BYTES]

    def read(self, name: str) -> bytes | None:
        """The same as bytes; None: it has not written that."""
        if not self.has(name):
            return None
        with self._path(name).open("rb") as file:
            return file.read(MOST_MESSAGE_BYTES)

    def has(self, name: str) -> bool:
        """Whether it has written that, in the last pass."""
        return self._path(name).exists()

    def next_input_path(self, number: int) -> Path:
        """What the validator of that pass has left as the input of the next one."""
        return self._directory / str(number) / "nextpass.in"

    def _artifacts(self) -> list[Artifact]:
        place = _FEEDBACK + b"/"
        return [Artifact(place + name.encode(), self._path(name)) for name in _WRITTEN]

    def _path(self, name: str) -> Path:
        directory = self._directory / str(self._passes)
        directory.mkdir(exist_ok=True)
        return directory / name


def validator_job(
    command: tuple[bytes, ...],
    policy: str,
    built: Built,
    inputs: Sequence[Input],
    artifacts: Sequence[Artifact],
    limits: ProblemLimits,
    core: int | None = None,
) -> Job:
    """A program of the package's: its limits are the package's for validation.

    `core`: that of the test, so that it disturbs no run on another one; None: any.
    """
    return Job(
        command=command,
        policy=policy,
        limits={
            **built.limits,
            "memory_bytes": limits.validation_memory_bytes + built.memory_overhead_bytes,
            "cpu_seconds": limits.validation_seconds,
            # A busy machine takes longer for it, and who does nothing ends sooner.
            "wall_seconds": 4 * limits.validation_seconds + 1,
            "idle_seconds": 2 * limits.validation_seconds + 1,
            "output_bytes": limits.validation_output_bytes,
            "stack_bytes": limits.validation_memory_bytes,
            "core": core,
        },
        environment=built.environment,
        cwd=_FEEDBACK,  # made where it is missing
        inputs=(*built.inputs, *inputs),
        artifacts=tuple(artifacts),
        disk_counts="apart",
    )


def _command(built: Built, first: bytes, second: bytes, flags: Sequence[str]) -> tuple[bytes, ...]:
    place = _FEEDBACK + b"/"  # so that the name of a file behind it makes a path
    return (*built.command, first, second, place, *(flag.encode() for flag in flags))


def unread(result: Result) -> str:
    """Which file that decides is there and could not be read: a link, a directory, one too large.

    Taken for one that is not there, it would have the first of several passes accepted.
    """
    for place, state in result.artifacts.items():
        name = PurePosixPath(place).name
        if name in _DECIDING and not state.startswith("collected") and state != _ABSENT:
            return f"{name}: {state}"
    return ""


def last_lines(text: bytes) -> str:
    """The end of what a program has said, as people may be shown it: there it says why."""
    return _shown_lines(text[-MOST_MESSAGE_BYTES:].strip())[-MOST_MESSAGE_BYTES:]


def _shown_lines(text: bytes) -> str:
    return "\n".join(map(printable, text.decode("utf-8", "replace").splitlines()))
