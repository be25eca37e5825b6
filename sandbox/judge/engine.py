"""From a problem and a submission to a verdict: what is run when, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import trio

from sandbox.judge.building import BuildCache, Built, NotBuilt, build, build_program
from sandbox.judge.cores import Cores
from sandbox.judge.execution import Failure, TimeLimit, failure_of, measured, submission_job
from sandbox.judge.grading import next_tests, summed
from sandbox.judge.interaction import interact
from sandbox.judge.language import Language, detect
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.runner import Order, Runner
from sandbox.judge.validation import Feedback, Validation, by_comparing, validate
from sandbox.judge.verdict import Judgement, Outcome, TestRun
from sandbox.spec.errors import SandboxError, SpecError
from sandbox.spec.result import Result

__all__ = ["Judge", "Settings"]

_NEAR = 0.1  # of the limit: a run this close to it is measured again where it was disturbed
_MOST_STDERR_BYTES = 4096

Progress = Callable[[Submission, Outcome], None]


class Settings(NamedTuple):
    """How to judge, where the package leaves it open."""

    is_lazy: bool | None = None  # None: as the package has it; False: every test is run
    transcribes: bool = False
    measures_to: float = 0.0  # seconds of CPU time up to which runs are to be seen to end
    repeats_near: bool = True  # a disturbed run near the limit is done again, on a quiet machine


class _Run(NamedTuple):
    """One run of the submission, and what its output came to."""

    result: Result
    failure: Failure | None
    validation: Validation | None
    measured: TestRun
    transcript: tuple[tuple[float, str, bytes], ...] | None = None


class Judge:
    """One problem, whose validators are built; it judges submissions, one or several at once."""

    def __init__(
        self,
        problem: Problem,
        runner: Runner,
        languages: Mapping[str, Language],
        cache: BuildCache,
        cores: Cores,
        settings: Settings,
    ) -> None:
        self.problem = problem
        self._runner = runner
        self._languages = languages
        self._cache = cache
        self._cores = cores
        self._settings = settings
        self._validator: Built | None = None

    async def prepare(self) -> None:
        """Build the package's validator. Raises SpecError: it does not compile."""
        program = self.problem.output_validator
        if program is None:
            return
        built = await build_program(
            program, self._languages, self._runner, self._cache, limits=self.problem.limits
        )
        if isinstance(built, NotBuilt):
            raise SpecError(program.name, f"{built.why}\n{built.output}".strip())
        self._validator = built

    async def build(self, submission: Submission) -> Built | NotBuilt:
        """The submission, compiled. Raises SpecError: in no language that is known here."""
        language = detect(submission, self._languages)
        if self.problem.languages is not None and language.code not in self.problem.languages:
            return NotBuilt(f"{language.name} is not allowed for this problem", "")
        size = sum(path.stat().st_size for _, path in submission.files)
        if size > self.problem.limits.code_bytes:
            why = f"{size} bytes of source, over the limit of {self.problem.limits.code_bytes}"
            return NotBuilt(why, "")
        return await build(
            submission,
            language,
            self._runner,
            self._cache,
            includes=self.problem.includes,
            limits=self.problem.limits,
        )

    async def judge(
        self, submission: Submission, time_limit_seconds: float, progress: Progress | None = None
    ) -> Judgement:
        """Build it, run it on the tests that matter, and sum up.

        `time_limit_seconds`: before the language's multiplier. `progress` is told of each test as
        it is judged, in no order. Never raises for what the submission, or a program of the
        package's, does wrong: that is a verdict. Raises SpecError: its language is not known.
        """
        try:
            async with self._cores.one():
                built = await self.build(submission)
        except SpecError:
            raise
        except SandboxError as error:
            return _unjudged(submission, "JE", f"it was not compiled: {error}")
        if isinstance(built, NotBuilt):
            return _unjudged(submission, "CE", built.why, built.output)
        seconds = time_limit_seconds * built.language.time_multiplier
        limit = TimeLimit.of(seconds, most_of_interest=self._settings.measures_to)
        outcomes = await self._run_tests(submission, built, limit, progress)
        verdict, score, why, groups = summed(self.problem, outcomes)
        tests = tuple(
            outcomes.get(test.name) or Outcome(test.name, "", "not run: it cannot matter any more")
            for test in self.problem.data.tests()
        )
        return Judgement(
            submission=submission.name,
            language=built.language.code,
            verdict=verdict,
            score=score,
            why=why,
            tests=tests,
            groups=groups,
            compiler_output=built.output,
            compile_seconds=built.seconds,
            time_limit_seconds=seconds,
            time_multiplier=built.language.time_multiplier,
        )

    async def run_test(self, built: Built, test: Test, limit: TimeLimit) -> Outcome:
        """One test, run again on a quiet machine where a disturbed run was near the limit."""
        async with self._cores.one() as core:
            run = await self._run(built, test, limit, core)
        runs = [run]
        if self._settings.repeats_near and isinstance(run, _Run) and _is_doubtful(run, limit):
            async with self._cores.alone() as core:
                run = await self._run(built, test, limit, core)
            runs.append(run)
        return _outcome(test, runs)

    async def _run_tests(
        self,
        submission: Submission,
        built: Built,
        limit: TimeLimit,
        progress: Progress | None,
    ) -> dict[str, Outcome]:
        """Several at once, those first that come first; none that cannot matter any more."""
        outcomes: dict[str, Outcome] = {}
        running: dict[str, trio.CancelScope] = {}
        is_lazy = self.problem.is_lazy if self._settings.is_lazy is None else self._settings.is_lazy
        ended = trio.Event()

        async def run(test: Test) -> None:
            nonlocal ended
            with running[test.name]:
                outcome = await self.run_test(built, test, limit)
                outcomes[test.name] = outcome
                if progress is not None:
                    progress(submission, outcome)
            del running[test.name]
            ended.set()

        async with trio.open_nursery() as nursery:
            while True:
                wanted = next_tests(self.problem, outcomes, is_lazy=is_lazy)
                for name in running.keys() - {test.name for test in wanted}:
                    running[name].cancel()
                for test in wanted:
                    if test.name not in running and len(running) < self._cores.count:
                        running[test.name] = trio.CancelScope()
                        nursery.start_soon(run, test)
                if not running:
                    break
                await ended.wait()
                ended = trio.Event()
        return outcomes

    async def _run(self, built: Built, test: Test, limit: TimeLimit, core: int) -> _Run | Failure:
        """All passes of it; what the last one came to, or the first that failed."""
        keeps_state = self.problem.limits.passes > 1
        with Feedback.open(keeps_state=keeps_state) as feedback:
            input_path = test.input
            for number in range(1, self.problem.limits.passes + 1):
                if self.problem.is_interactive:
                    run = await self._talk(built, test, limit, core, feedback, input_path)
                else:
                    run = await self._run_once(built, test, limit, core, feedback, input_path)
                if isinstance(run, Failure) or run.failure is not None:
                    return run
                assert run.validation is not None
                if not run.validation.wants_another_pass:
                    return run
                input_path = feedback.next_input_path(number)
        why = f"the output validator wants more than {self.problem.limits.passes} passes"
        return Failure("JE", why)

    async def _run_once(
        self,
        built: Built,
        test: Test,
        limit: TimeLimit,
        core: int,
        feedback: Feedback,
        input_path: Path,
    ) -> _Run | Failure:
        neighbours = self._cores.in_use - 1
        job = submission_job(built, test, self.problem.limits, limit, core)
        try:
            done = await self._runner.run(Order(job, input_path))
        except SandboxError as error:
            return Failure("JE", f"the submission was not run: {error}")
        run = measured(done.result, core, neighbours=max(neighbours, self._cores.in_use - 1))
        if failure := failure_of(done.result, limit):
            return _Run(done.result, failure, None, run)
        flags = (*self.problem.output_validator_flags, *test.output_validator_flags)
        if self._validator is None:
            validation = await by_comparing(test.answer.read_bytes(), done.stdout, flags)
        else:
            validation = await validate(
                self._runner, self._validator, feedback, self.problem, test, input_path, flags,
                done.stdout,
            )  # fmt: skip
        return _Run(done.result, None, validation, run)

    async def _talk(
        self,
        built: Built,
        test: Test,
        limit: TimeLimit,
        core: int,
        feedback: Feedback,
        input_path: Path,
    ) -> _Run | Failure:
        assert self._validator is not None  # the package was checked
        flags = (*self.problem.output_validator_flags, *test.output_validator_flags)
        found = await interact(
            self._runner, built, self._validator, feedback, self.problem, test, input_path, flags,
            limit, core, transcribes=self._settings.transcribes,
        )  # fmt: skip
        if isinstance(found, Failure):
            return found
        run = measured(found.done.result, core, neighbours=self._cores.in_use - 1)
        return _Run(found.done.result, found.failure, found.validation, run, found.transcript)


def _is_doubtful(run: _Run, limit: TimeLimit) -> bool:
    """Whether it might have come out otherwise on a quiet machine."""
    if not run.measured.noise:
        return False
    if run.result.verdict == "wall_time":  # somebody else may have had the core
        return run.measured.cpu_seconds > limit.seconds / 2
    return abs(run.measured.cpu_seconds - limit.seconds) <= _NEAR * limit.seconds


def _outcome(test: Test, runs: list[_Run | Failure]) -> Outcome:
    last = runs[-1]
    measurements = tuple(run.measured for run in runs if isinstance(run, _Run))
    if isinstance(last, Failure):
        return Outcome(test.name, last.verdict, last.why, runs=measurements)
    result, validation = last.result, last.validation
    outcome = Outcome(
        test=test.name,
        verdict=last.failure.verdict if last.failure else validation.verdict,
        why=last.failure.why if last.failure else validation.why,
        evidence=result.evidence,
        runs=measurements,
        exit_code=result.exit_code,
        signal=result.signal,
        transcript=last.transcript,
    )
    if validation is None:
        return outcome
    return outcome._replace(
        score=None if last.failure else validation.score,
        judge_message=validation.judge_message,
        team_message=validation.team_message,
    )


def _unjudged(submission: Submission, verdict: str, why: str, output: str = "") -> Judgement:
    language = submission.language or ""
    return Judgement(submission.name, language, verdict, None, why, (), (), compiler_output=output)
