"""From a problem and a submission to a verdict: what is run when, and what counts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import trio

from sandbox.judge.answer_files import check_answers
from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit
from sandbox.judge.feedback import validator_job
from sandbox.judge.grader import GraderRun, read_grade
from sandbox.judge.grading import settled, summed
from sandbox.judge.here import Here
from sandbox.judge.preparation import build_submission, prepare
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.runner import Order
from sandbox.judge.schedule import Schedule
from sandbox.judge.trial import Settings, Trials
from sandbox.judge.verdict import GroupOutcome, Judgement, Outcome
from sandbox.spec.errors import SandboxError, SpecError

__all__ = ["Judge", "Progress", "open_judge"]

Progress = Callable[[Submission, Outcome], None]


@contextlib.asynccontextmanager
async def open_judge(problem: Problem, here: Here, settings: Settings) -> AsyncIterator[Judge]:
    """A judge of that problem, for as long as the block lasts. Raises SpecError as `prepare`."""
    with contextlib.ExitStack() as held:
        prepared = await prepare(problem, here, held)
        trials = Trials(
            problem, prepared.validator, prepared.answers, here, settings,
            static_validator=prepared.static_validator,
        )  # fmt: skip
        yield Judge(problem, here, settings, prepared.grader, trials)


class Judge:
    """One problem, whose programs are built; it judges submissions, one or several at once."""

    def __init__(
        self,
        problem: Problem,
        here: Here,
        settings: Settings,
        grader: Built | None,
        trials: Trials,
    ) -> None:
        """Use `open_judge`."""
        self.problem = problem
        self._here = here
        self._settings = settings
        self._grader = grader
        self._trials = trials

    async def judge(
        self,
        submission: Submission,
        time_limit_seconds: float,
        progress: Progress | None = None,
        *,
        is_lazy: bool | None = None,
    ) -> Judgement:
        """Build it, run it on the tests that matter, and sum up.

        `time_limit_seconds`: before the language's multiplier. `progress` is told of each test as
        it is judged, in no order. `is_lazy` False (None: as the package has it): every test is
        run. Whatever goes wrong is a verdict.
        """
        if self.problem.is_submit_answer:
            return await self._judge_answers(submission, progress, is_lazy)
        try:
            async with self._here.cores.one():
                built = await build_submission(self.problem, submission, self._here)
        except SandboxError as error:
            return _unjudged(submission, "JE", f"it was not compiled: {error}")
        if isinstance(built, NotBuilt):
            return _unjudged(submission, "CE", built.why, built.output)
        try:
            seconds = time_limit_seconds * built.language.time_multiplier
            limit = TimeLimit.of(seconds, most_of_interest=self._settings.measures_to)
            schedule = Schedule(self.problem, is_lazy=is_lazy)
            await self._run_tests(schedule, submission, built, limit, progress)
        except SpecError as error:  # the package contradicts itself
            return _unjudged(submission, "JE", str(error))
        finally:
            self._here.cache.release(built.directory)
        outcomes, graded = schedule.outcomes, schedule.graded
        return self._judgement(submission, outcomes, graded, is_lazy)._replace(
            language=built.language.code,
            compiler_output=built.output,
            compile_seconds=built.seconds,
            time_limit_seconds=seconds,
            time_multiplier=built.language.time_multiplier,
        )

    async def run_test(self, built: Built, test: Test, limit: TimeLimit) -> Outcome:
        """One test alone."""
        return await self._trials.run(built, test, limit)

    async def _judge_answers(
        self, submission: Submission, progress: Progress | None, is_lazy: bool | None
    ) -> Judgement:
        outcomes = {}
        async for outcome in check_answers(self.problem, submission, self._trials):
            outcomes[outcome.test] = self._kept(outcome)
            if progress is not None:
                progress(submission, outcome)
        return self._judgement(submission, outcomes, {}, is_lazy)

    def _kept(self, outcome: Outcome) -> Outcome:
        """What stays of one that `progress` was told of."""
        if self._settings.keeps_words:
            return outcome
        return outcome._replace(transcript=None, judge_message="", team_message="")

    def _judgement(
        self,
        submission: Submission,
        outcomes: Mapping[str, Outcome],
        graded: Mapping[str, GroupOutcome],
        is_lazy: bool | None,
    ) -> Judgement:
        found = summed(self.problem, outcomes, graded)
        tests = settled(self.problem, outcomes, graded, is_lazy=is_lazy)
        return Judgement(
            submission.name, "", found.verdict, found.score, found.why, tests, found.groups
        )

    async def _run_tests(
        self,
        schedule: Schedule,
        submission: Submission,
        built: Built,
        limit: TimeLimit,
        progress: Progress | None,
    ) -> None:
        """Several at once, those first that come first; none that cannot matter any more.

        Raises SpecError: the package contradicts itself.
        """
        running: dict[str, trio.CancelScope] = {}
        ended = trio.Event()
        contradictions: list[SpecError] = []

        def learn(tell: Callable[[Any], None], what: Outcome | GroupOutcome) -> None:
            try:
                tell(what)
            except SpecError as error:
                contradictions.append(error)
                nursery.cancel_scope.cancel()

        async def run(test: Test) -> None:
            with running[test.name]:
                outcome = await self.run_test(built, test, limit)
                if progress is not None:
                    progress(submission, outcome)
                learn(schedule.settle, self._kept(outcome))
            del running[test.name]
            ended.set()

        async with trio.open_nursery() as nursery:
            while schedule or running:
                while asked := schedule.graders():
                    learn(schedule.grade, await self._grade(asked[0]))
                for name, scope in running.items():
                    if not schedule.matters(name):
                        scope.cancel()
                while len(running) < self._here.cores.count and (test := schedule.take(running)):
                    running[test.name] = trio.CancelScope()
                    nursery.start_soon(run, test)
                if running:
                    await ended.wait()
                    ended = trio.Event()
        if contradictions:
            raise contradictions[0]

    async def _grade(self, asked: GraderRun) -> GroupOutcome:
        built = self._grader
        if built is None:
            return GroupOutcome(asked.group, "JE", None, "the package has no grader")
        command = (*built.command, *(flag.encode() for flag in asked.flags))
        job = validator_job(command, built.policy, built, [], [], self.problem.limits)
        try:
            done = await self._here.runner.run(Order(job, asked.stdin))
        except SandboxError as error:
            return GroupOutcome(asked.group, "JE", None, f"the grader was not run: {error}")
        code = done.result.exit_code if done.result.verdict == "exited" else None
        return read_grade(asked.group, code, done.stdout)


def _unjudged(submission: Submission, verdict: str, why: str, output: str = "") -> Judgement:
    language = submission.language or ""
    return Judgement(submission.name, language, verdict, None, why, (), (), compiler_output=output)
