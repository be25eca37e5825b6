"""A submission and the package's validator that talk to each other: who ended first decides."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.building import Built
from sandbox.judge.execution import Failure, TimeLimit, failure_of, not_run, submission_job
from sandbox.judge.feedback import Feedback, LastWords
from sandbox.judge.problem import Problem, Test
from sandbox.judge.runner import Order, Pipe, Runner
from sandbox.judge.validation import ACCEPTED, REJECTED, Validation, judged_by
from sandbox.spec.errors import SandboxError
from sandbox.spec.result import Completed, Result

__all__ = ["Dialogue", "Transcript", "interact"]

_VALIDATOR, _SUBMISSION = 0, 1
_WHO = ("the validator", "the submission")
_JOB = re.compile(r"job ([01]) \(.*?\)")  # as the evidence of a deadlock names them
_SIGPIPE = 13
_EPIPE = os.strerror(errno.EPIPE).encode()
_MOST_TRANSCRIPT_BYTES = 1 << 18  # of a test, and a package may have thousands of them
_PIECE_BYTES = 200  # that a piece costs beside its own: a dialogue may be of single bytes


class Dialogue(NamedTuple):
    """What came of it."""

    done: Completed  # the submission's run
    failure: Failure | None  # of the submission; None: the validation counts
    validation: Validation


class Transcript:
    """The first of what was said in all passes of a test, with the time at which we heard it."""

    def __init__(self) -> None:
        """Of a dialogue that begins now."""
        # (seconds, "<" to or ">" from the submission, bytes)
        self.lines: list[tuple[float, str, bytes]] = []
        self._left = _MOST_TRANSCRIPT_BYTES
        self._begun = time.monotonic()

    def add(self, direction: str, data: bytes) -> None:
        """What was said just now."""
        if kept := data[: max(0, self._left)]:
            self._left -= len(kept) + _PIECE_BYTES
            self.lines.append((round(time.monotonic() - self._begun, 6), direction, kept))


async def interact(
    runner: Runner,
    submission: Built,
    validator: Built,
    feedback: Feedback,
    problem: Problem,
    test: Test,
    input_path: Path,
    answer_path: Path,
    flags: Sequence[str],
    limit: TimeLimit,
    core: int,
    directory: Path | None,
    transcript: Transcript | None,
) -> Dialogue | Failure:
    """Let them talk, both on one core, where only one of them has anything to do at a time.

    `directory`: as `submission_job` has it. What is said is added to `transcript`. A Failure: a
    judge error, for one of the two was not run.
    """
    said, answered = LastWords("stderr"), LastWords("stderr")
    is_recorded = transcript is not None
    closed: list[int] = []

    def recording(direction: str, words: LastWords):
        async def sink(stream: str, data: bytes) -> None:
            if stream != "stdout":
                await words.add(stream, data)
            elif transcript is not None:
                transcript.add(direction, data)

        return sink

    asking = feedback.job(validator, input_path, answer_path, flags, problem.limits, core)
    # Each waits for the other, so that one's wall time is the other's too.
    wall_seconds = limit.wall_seconds + problem.limits.validation_seconds
    limit = limit._replace(wall_seconds=wall_seconds)
    answering = submission_job(submission, test, problem.limits, limit, core, directory)
    patience = {"wall_seconds": wall_seconds + 1, "idle_seconds": None}
    asking = asking._replace(limits={**asking.limits, **patience})
    pipes = [
        Pipe(_VALIDATOR, "stdout", _SUBMISSION, is_recorded=is_recorded),
        Pipe(_SUBMISSION, "stdout", _VALIDATOR, is_recorded=is_recorded),
    ]
    try:
        outcomes = await runner.run_pipeline(
            [
                Order(asking, None, recording("<", said)),
                Order(answering, None, recording(">", answered)),
            ],
            pipes,
            closed.append,
        )
    except SandboxError as error:
        return Failure("JE", f"the dialogue was not run: {error}")
    told, done = outcomes
    if isinstance(done, SandboxError):
        return not_run(done)
    if isinstance(told, SandboxError):
        return Failure("JE", f"the output validator was not run: {told}")
    done = done._replace(stderr=answered.text())  # where a runtime says that its heap is full
    validation = judged_by(told._replace(stderr=said.text()), feedback, problem, test)
    was_first = closed[:1] == [_VALIDATOR]
    if not was_first and _died_of_pipe(told.result, said.text()):
        # Nobody was there to be asked any more: that is the fault of who has gone.
        validation = Validation("WA", "it ended before the dialogue was over")
    failure = _failure(done, submission, validation, limit, validator_first=was_first)
    return Dialogue(done, failure, validation)


def _failure(
    done: Completed,
    built: Built,
    validation: Validation,
    limit: TimeLimit,
    *,
    validator_first: bool,
) -> Failure | None:
    """What the submission has failed by itself; None: what the validator says counts."""
    found = failure_of(done, built, limit)
    if done.result.verdict == "idle":
        # Both were seen to wait for each other, so no time of either was of use.
        told_so = next((e for e in done.result.evidence if e.startswith("deadlock")), "it waits")
        return Failure("TLE", _JOB.sub(lambda found: _WHO[int(found[1])], told_so))
    if validator_first and validation.verdict == "WA":
        return None  # what it does in a dialogue that is over is no fault of its own
    if found is None or (validator_first and done.result.signal == _SIGPIPE):
        return None
    if validation.verdict == "JE" and validator_first:
        return None  # it has gone without a verdict, and the submission fails for that
    return found


def _died_of_pipe(result: Result, stderr: bytes) -> bool:
    """Whether what was written to nobody ended it: by the signal, or, where the runtime ignores
    that (Python, Java), by an error that ends it with a code of its own."""
    if result.verdict == "exited":
        return result.exit_code not in (ACCEPTED, REJECTED) and _EPIPE in stderr
    return result.signal == _SIGPIPE
