"""A submission on one test: run, checked, and run again where that was no fair trial."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.building import Built
from sandbox.judge.execution import (
    Failure,
    TimeLimit,
    failure_of,
    measured,
    not_run,
    submission_job,
    working_files,
)
from sandbox.judge.feedback import MOST_MESSAGE_BYTES, Feedback
from sandbox.judge.here import Here
from sandbox.judge.interaction import Transcript, interact
from sandbox.judge.problem import Problem, Test
from sandbox.judge.runner import Order
from sandbox.judge.validation import Validation, by_comparing, validate, validate_statically
from sandbox.judge.verdict import Outcome, TestRun
from sandbox.judge.working_directory import WorkingDirectories
from sandbox.spec.errors import SandboxError
from sandbox.spec.result import Completed

__all__ = ["Settings", "Trials"]

_NEAR = 0.1  # of the limit: a run this close to it is measured again where it was disturbed
# Of the limit: who used so much did not sleep until the wall-clock guard came.
_AWAKE = 0.1


class Settings(NamedTuple):
    """How to judge, where the package leaves it open."""

    transcribes: bool = False
    # Dialogues and messages, in a Judgement; False: only `progress` is given them.
    keeps_words: bool = True
    measures_to: float = 0.0  # seconds of CPU time up to which runs are to be seen to end
    repeats_near: bool = True  # a disturbed run near the limit is done again, on a quiet machine
    kept_bytes: int = 0  # of stdout and of stderr, in each Outcome
    kept_error_bytes: int = 0  # of the end of stderr, where the program failed by itself


class _Run(NamedTuple):
    """One run of the submission, and what its output came to."""

    done: Completed
    measured: TestRun
    failure: Failure | None = None
    validation: Validation | None = None  # None: there is a failure
    transcript: tuple[tuple[float, str, bytes], ...] | None = None
    before: tuple[Validation, ...] = ()  # of the passes before this one


class Trials:
    """What is the same for all tests of a problem, and all its submissions."""

    def __init__(
        self,
        problem: Problem,
        validator: Built | None,
        answers: Mapping[str, Path],
        here: Here,
        settings: Settings,
        *,
        static_validator: Built | None = None,
    ) -> None:
        """`validator` None: the default one. `answers`: of the tests that come without."""
        self._problem = problem
        self._validator = validator
        self._static_validator = static_validator
        self._answers = answers
        self._here = here
        self._settings = settings
        self._directories = None if problem.may_write_files else WorkingDirectories(here.scratch)

    async def run(self, built: Built, test: Test, limit: TimeLimit) -> Outcome:
        """One test. It is run again on a quiet machine where a disturbed run came near the limit;
        the last run counts. What goes wrong is a judge error."""
        try:
            if test.static_arguments is not None:
                return await self._look_at(built, test)
            return self._outcome(test, await self._runs(built, test, limit))
        except (SandboxError, OSError) as error:  # OSError: no room for what a validator writes
            return _not_judged(test, error)

    async def check(self, test: Test, output: bytes) -> Outcome:
        """One test of a problem whose submissions are outputs; as `run`."""
        try:
            with Feedback.open(self._here.scratch, keeps_state=False) as feedback:
                # Such a validator is given the input too, and there need not be any.
                input_path = test.input or self._empty
                validation = await self._validate(test, feedback, input_path, output)
        except (SandboxError, OSError) as error:
            return _not_judged(test, error)
        return _unrun(test, validation)

    async def _look_at(self, built: Built, test: Test) -> Outcome:
        """A static validation test: the submission is read, and not run."""
        assert self._static_validator is not None  # a package without one was refused
        with Feedback.open(self._here.scratch, keeps_state=False) as feedback:
            async with self._here.cores.one() as core:
                validation = await validate_statically(
                    self._here.runner, self._static_validator, built, feedback, self._problem,
                    test, core,
                )  # fmt: skip
        return _unrun(test, validation)

    async def _runs(self, built: Built, test: Test, limit: TimeLimit) -> list[_Run | Failure]:
        async with self._here.cores.one() as core:
            run = await self._run(built, test, limit, core)
        runs: list[_Run | Failure] = [run]
        if self._settings.repeats_near and isinstance(run, _Run) and _is_doubtful(run, limit):
            again = limit.patient() if _was_cut_off(run) else limit
            async with self._here.cores.alone() as core:
                runs.append(await self._run(built, test, again, core))
        return runs

    async def _run(self, built: Built, test: Test, limit: TimeLimit, core: int) -> _Run | Failure:
        """All passes of it: what the last one came to, or the first that failed.

        Limits are of each pass ("Multi-pass validation" of the format), so what was measured is
        that of the slowest one.
        """
        most = self._problem.limits.passes
        before: tuple[Validation, ...] = ()
        slowest: TestRun | None = None
        input_path = test.input or self._empty
        said = Transcript() if self._settings.transcribes else None
        with Feedback.open(self._here.scratch, keeps_state=most > 1) as feedback:
            for number in range(1, most + 1):
                if self._problem.is_interactive:
                    run = await self._talk(built, test, limit, core, feedback, input_path, said)
                else:
                    run = await self._run_once(built, test, limit, core, feedback, input_path)
                if isinstance(run, Failure):
                    return run
                if slowest is None or run.measured.cpu_seconds >= slowest.cpu_seconds:
                    slowest = run.measured
                run = run._replace(before=before, measured=slowest)
                if run.validation is None or not run.validation.wants_another_pass:
                    return run
                before += (run.validation,)
                input_path = feedback.next_input_path(number)
        return Failure("JE", f"the output validator wants more than {most} passes")

    async def _run_once(
        self,
        built: Built,
        test: Test,
        limit: TimeLimit,
        core: int,
        feedback: Feedback,
        input_path: Path,
    ) -> _Run | Failure:
        directory = await self._directory(built, test)
        watched = self._here.cores.watch()
        job = submission_job(built, test, self._problem.limits, limit, core, directory)
        try:
            done = await self._here.runner.run(Order(job, input_path))
        except SandboxError as error:
            return not_run(error)
        neighbours = self._here.cores.neighbours_since(watched)
        run = measured(done.result, core, neighbours=neighbours)
        if failure := failure_of(done, built, limit):
            return _Run(done, run, failure)
        validation = await self._validate(test, feedback, input_path, done.stdout, core)
        return _Run(done, run, validation=validation)

    async def _talk(
        self,
        built: Built,
        test: Test,
        limit: TimeLimit,
        core: int,
        feedback: Feedback,
        input_path: Path,
        transcript: Transcript | None,
    ) -> _Run | Failure:
        assert self._validator is not None  # a package without one was refused
        directory = await self._directory(built, test)
        watched = self._here.cores.watch()
        found = await interact(
            self._here.runner, built, self._validator, feedback, self._problem, test, input_path,
            self._answer(test), self._flags(test), limit, core,
            directory, transcript,
        )  # fmt: skip
        if isinstance(found, Failure):
            return found
        neighbours = self._here.cores.neighbours_since(watched)
        run = measured(found.done.result, core, neighbours=neighbours)
        lines = None if transcript is None else tuple(transcript.lines)
        validation = None if found.failure else found.validation
        return _Run(found.done, run, found.failure, validation, lines)

    async def _validate(
        self,
        test: Test,
        feedback: Feedback,
        input_path: Path,
        output: bytes,
        core: int | None = None,
    ) -> Validation:
        flags, answer = self._flags(test), self._answer(test)
        if self._validator is None:
            return await by_comparing(answer.read_bytes(), output, flags)
        return await validate(
            self._here.runner, self._validator, feedback, self._problem, test, input_path,
            answer, flags, output, core,
        )  # fmt: skip

    async def _directory(self, built: Built, test: Test) -> Path | None:
        if self._directories is None:
            return None
        return await self._directories.of(working_files(built, test))

    def _flags(self, test: Test) -> Sequence[str]:
        return (*self._problem.output_validator_flags, *test.output_validator_flags)

    def _answer(self, test: Test) -> Path:
        return test.answer or self._answers.get(test.name) or self._empty

    @functools.cached_property
    def _empty(self) -> Path:
        path = self._here.scratch / "empty"
        path.touch()
        return path

    def _outcome(self, test: Test, runs: Sequence[_Run | Failure]) -> Outcome:
        last, most = runs[-1], self._settings.kept_bytes
        measurements = tuple(run.measured for run in runs if isinstance(run, _Run))
        if isinstance(last, Failure):
            return Outcome(test.name, last.verdict, last.why, runs=measurements)
        result = last.done.result
        found = last.failure or last.validation
        assert found is not None
        outcome = Outcome(
            test=test.name,
            verdict=found.verdict,
            why=found.why,
            evidence=result.evidence,
            runs=measurements,
            exit_code=result.exit_code,
            signal=result.signal,
            transcript=last.transcript,
            stdout=last.done.stdout[:most],
            stderr=last.done.stderr[:most],
        )
        if found.verdict == "RTE" and (most := self._settings.kept_error_bytes):
            outcome = outcome._replace(stderr=last.done.stderr[-most:])
        if last.validation is None:
            return _told(outcome, *last.before)
        return _told(outcome, *last.before, last.validation)._replace(score=last.validation.score)


def _not_judged(test: Test, error: Exception) -> Outcome:
    return Outcome(test.name, "JE", f"it was not judged: {error}")


def _unrun(test: Test, validation: Validation) -> Outcome:
    """Of a test for which the submission is not run."""
    outcome = Outcome(test.name, validation.verdict, validation.why, score=validation.score)
    return _told(outcome, validation)


def _told(outcome: Outcome, *validations: Validation) -> Outcome:
    """With what was said in each pass: why the last one failed may be in the first."""
    return outcome._replace(
        judge_message=_joined(one.judge_message for one in validations),
        team_message=_joined(one.team_message for one in validations),
    )


def _joined(messages: Iterable[str]) -> str:
    """What is still there in the next pass, and was added to, is told once."""
    told: list[str] = []
    for message in messages:
        if told and message.startswith(told[-1]):
            told.pop()
        told.append(message)
    return "\n".join(filter(None, told))[:MOST_MESSAGE_BYTES]


def _is_doubtful(run: _Run, limit: TimeLimit) -> bool:
    """Whether it might have come out otherwise on a quiet machine."""
    if not run.measured.noise:
        return False
    if _was_cut_off(run):  # somebody else may have had the core
        return run.measured.cpu_seconds > _AWAKE * limit.seconds
    return abs(run.measured.cpu_seconds - limit.seconds) <= _NEAR * limit.seconds


def _was_cut_off(run: _Run) -> bool:
    return run.done.result.verdict == "wall_time"
