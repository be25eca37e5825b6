"""`sandbox judge`: a problem, submissions, and what is printed of them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from sandbox.judge import report, time_limit
from sandbox.judge.cores import Cores
from sandbox.judge.data_check import check_data
from sandbox.judge.engine import Judge, open_judge
from sandbox.judge.expectations import check
from sandbox.judge.here import Here, opened
from sandbox.judge.interrupt import run_until_signal
from sandbox.judge.package_file import as_known_here, read_archive, read_directory
from sandbox.judge.problem import Problem, Submission
from sandbox.judge.sources import files_below
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable

__all__ = ["Request", "judge"]

_REJECTED, _JUDGE_ERROR = 1, 125
_ERROR_BYTES = 2048


class Request(NamedTuple):
    """What was asked for on the command line."""

    problem: Path
    submissions: tuple[Path, ...]  # none: those of the package, against their expectations
    language: str | None = None
    jobs: int | None = None
    time_limit_seconds: float | None = None
    json: Path | None = None  # "-" is stdout
    judges_all: bool = False  # also tests that cannot matter any more
    transcribes: bool = False


def judge(request: Request) -> int:
    """Judge and print; the exit code: 0 if all were accepted, or were as expected; else 1, and 125
    where the judge or the package is to blame, 130 where a signal ended it. Raises SandboxError.
    """
    problem = read_directory(request.problem)
    submissions = [_submission(path, request.language) for path in request.submissions]
    # Opened now: what fails is told before hours of judging, and root is root no longer then.
    with _opened(request.json) as document:
        return run_until_signal(lambda: _judge(request, problem, submissions, document))


async def _judge(
    request: Request, problem: Problem | None, given: list[Submission], document: IO[str] | None
) -> int:
    async with opened(Cores(request.jobs)) as here:
        found = problem or await read_archive(request.problem, here)
        known = as_known_here(found, here.languages)
        return await _judge_by(here, request, known, given, document)


async def _judge_by(
    here: Here,
    request: Request,
    problem: Problem,
    given: list[Submission],
    document: IO[str] | None,
) -> int:
    verifies = not given
    submissions = given or list(problem.submissions)
    _note(problem.notes)
    if not submissions:
        raise SpecError("submissions", "has none to verify")
    settings = _settings(request, problem, verifies=verifies)
    async with open_judge(problem, here, settings) as judge:
        data = await check_data(here, problem) if verifies else None
        if data is not None:
            _note(f"not run: {what}" for what in data.not_run)
            if document is not sys.stdout:
                print("".join(f"{line}\n" for line in data.lines()), end="", flush=True)
        seconds, notes = await _time_limit(request, judge, verifies=verifies)
        _note(notes)
        progress = report.Progress(sys.stderr, sum(1 for _ in problem.data.tests()))
        judgements, unmet = [], []
        for submission in submissions:
            progress.begin()
            is_lazy = False if request.judges_all else None
            judgement = await judge.judge(submission, seconds, progress, is_lazy=is_lazy)
            missed = check(submission, judgement) if verifies else []
            if missed and is_lazy is None:  # what is expected may be of tests that were not run
                progress.begin()
                judgement = await judge.judge(submission, seconds, progress, is_lazy=False)
                missed = check(submission, judgement)
            progress.end()
            judgements.append(judgement)
            unmet.append(missed)
            if document is not sys.stdout:
                was_met = "as expected" if submission.expectations else "nothing was expected"
                lines = report.table(judgement, is_scoring=problem.is_scoring)
                _print(judgement, list(lines), missed, was_met if verifies else None)
        if document is not None:
            more = {} if data is None else {"data": data.document()}
            text = report.json_document(
                judgements, problem=problem.name, time_limit_seconds=seconds,
                notes=[*problem.notes, *notes], unmet=unmet, **more,
            )  # fmt: skip
            print(text, file=document)
    if data is not None and data.faults:
        return _JUDGE_ERROR
    return _exit_code(judgements, unmet, verifies=verifies)


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        print(printable(f"sandbox: {note}"), file=sys.stderr)


def _settings(request: Request, problem: Problem, *, verifies: bool) -> Settings:
    limit = request.time_limit_seconds or problem.limits.time_seconds
    # What is expected to take too long must take so much longer, and is to be seen to.
    measures_to = (limit or 0.0) * problem.limits.safety_margin if verifies else 0.0
    return Settings(
        transcribes=request.transcribes, measures_to=measures_to, kept_error_bytes=_ERROR_BYTES
    )


async def _time_limit(request: Request, judge: Judge, *, verifies: bool) -> tuple[float, list[str]]:
    if request.time_limit_seconds is not None:
        return request.time_limit_seconds, []
    if judge.problem.limits.time_seconds is not None:
        return judge.problem.limits.time_seconds, []
    measured = await time_limit.measure(judge, takes_rejected=verifies)
    return measured.seconds, [
        f"the package has no time limit: {measured.seconds:g} s, from {measured.slowest}",
        *(
            f"{one.submission} is to be accepted, and comes to {one.verdict} ({one.why})"
            for one in measured.judgements
            if one.verdict != "AC"
        ),
    ]


def _submission(path: Path, language: str | None) -> Submission:
    """As the caller names it: a file, or a directory of them."""
    if path.is_dir():
        named = files_below(path)
    elif path.is_file():
        named = ((path.name, path),)
    else:
        raise SpecError("SUBMISSION", f"{path} is neither a file nor a directory")
    if not named:
        raise SpecError("SUBMISSION", f"{path} has no files")
    return Submission(str(path), named, language)


def _print(
    judgement: Judgement, lines: Sequence[str], unmet: Sequence[str], was_met: str | None
) -> None:
    """`was_met`: what to say where all is that was expected; None: it is not asked for."""
    if was_met is None:
        print("\n".join(lines))
    elif not unmet:
        print(f"{lines[0]} - {was_met}")
    else:
        print("\n".join(lines))
        for missed in unmet:
            print(printable(f"  NOT as expected: {missed}"))
    for outcome in judgement.tests:
        if outcome.transcript is not None:
            print(printable(f"  dialogue of {outcome.test}:"))
            print("\n".join(report.transcript(outcome)))
    sys.stdout.flush()


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[IO[str] | None]:
    """Where the JSON document goes; None: nowhere."""
    if path is None:
        yield None
    elif path == Path("-"):
        yield sys.stdout
    else:
        try:
            file = path.open("w", encoding="ascii")
        except OSError as error:
            raise SpecError("--json", f"{path}: {error.strerror}") from error
        with file:
            yield file


def _exit_code(
    judgements: Sequence[Judgement], unmet: Sequence[Sequence[str]], *, verifies: bool
) -> int:
    if any(judgement.verdict == "JE" for judgement in judgements):
        return _JUDGE_ERROR
    failed = any(unmet) if verifies else any(one.verdict != "AC" for one in judgements)
    return _REJECTED if failed else 0
