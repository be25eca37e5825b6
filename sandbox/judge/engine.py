"""From a problem and a submission to a verdict: what is run when, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from sandbox.judge.build_cache import BuildCache
from sandbox.judge.building import Built, build, build_program
from sandbox.judge.compare import read_flags
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.cores import Cores
from sandbox.judge.execution import TimeLimit
from sandbox.judge.grader import GraderRun, read_grade
from sandbox.judge.grading import settled, summed
from sandbox.judge.language import detect
from sandbox.judge.language_file import Language
from sandbox.judge.problem import Problem, Program, Submission, Test
from sandbox.judge.runner import Order, Runner
from sandbox.judge.schedule import Schedule
from sandbox.judge.sources import SourceError, read_source
from sandbox.judge.trial import Settings, Trials
from sandbox.judge.validation import validator_job
from sandbox.judge.verdict import GroupOutcome, Judgement, Outcome
from sandbox.spec.errors import SandboxError, SpecError

__all__ = ["Judge", "Progress", "Settings"]

_MODEL_SECONDS = 60.0  # that an accepted submission may take to make an answer

Progress = Callable[[Submission, Outcome], None]


class Judge:
    """One problem, whose programs are built; it judges submissions, one or several at once."""

    def __init__(
        self,
        problem: Problem,
        runner: Runner,
        languages: Mapping[str, Language],
        cache: BuildCache,
        cores: Cores,
        settings: Settings,
        scratch: Path,
    ) -> None:
        """`scratch`: a directory of ours, for files that are needed for as long as this is used."""
        self.problem = problem
        self._runner = runner
        self._languages = languages
        self._cache = cache
        self._cores = cores
        self._settings = settings
        self._scratch = scratch
        self._grader: Built | None = None
        self._trials: Trials

    async def prepare(self) -> None:
        """Build the package's programs, and make the answers that it lacks.

        Raises SpecError: one does not compile, no accepted submission makes the answers, or the
        default validator has no such flag.
        """
        self._check_flags()
        validator = await self._build_program(self.problem.output_validator)
        self._grader = await self._build_program(self.problem.grader)
        self._trials = Trials(
            self.problem, validator, await self._make_answers(), self._runner, self._cores,
            self._settings, self._scratch,
        )  # fmt: skip

    async def build(self, submission: Submission) -> Built | NotBuilt:
        """The submission, compiled. Raises SpecError: the language that it names is not known."""
        problem = self.problem
        try:
            language = detect(submission, self._languages)
        except SpecError as error:
            if submission.language is not None:  # who names it is not who wrote it
                raise
            return NotBuilt(str(error), "")
        if problem.languages is not None and not _is_allowed(language, problem.languages):
            return NotBuilt(f"{language.name} is not allowed for this problem", "")
        size = sum(path.lstat().st_size for _, path in submission.files)
        if size > problem.limits.code_bytes:
            why = f"{size} bytes of source, over the limit of {problem.limits.code_bytes}"
            return NotBuilt(why, "")
        return await build(
            submission, language, self._runner, self._cache,
            includes=problem.includes, limits=problem.limits,
        )  # fmt: skip

    async def judge(
        self,
        submission: Submission,
        time_limit_seconds: float,
        progress: Progress | None = None,
        *,
        is_lazy: bool | None = None,
    ) -> Judgement:
        """Build it, run it on the tests that matter, and sum up. After `prepare`.

        `time_limit_seconds`: before the language's multiplier. `progress` is told of each test as
        it is judged, in no order. `is_lazy` False (None: as the package has it): every test is
        run. Whatever goes wrong is a verdict.
        """
        if self.problem.is_submit_answer:
            return await self._check_answers(submission, progress, is_lazy)
        try:
            async with self._cores.one():
                built = await self.build(submission)
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
            self._cache.release(built.directory)
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
        try:
            return await self._trials.run(built, test, limit)
        except (SandboxError, OSError) as error:  # OSError: no room for what a validator writes
            return _not_judged(test, error)

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
                learn(schedule.settle, outcome)
                if progress is not None:
                    progress(submission, outcome)
            del running[test.name]
            ended.set()

        async with trio.open_nursery() as nursery:
            while schedule or running:
                while asked := schedule.graders():
                    learn(schedule.grade, await self._grade(asked[0]))
                for name, scope in running.items():
                    if not schedule.matters(name):
                        scope.cancel()
                while len(running) < self._cores.count and (test := schedule.take(running)):
                    running[test.name] = trio.CancelScope()
                    nursery.start_soon(run, test)
                if running:
                    await ended.wait()
                    ended = trio.Event()
        if contradictions:
            raise contradictions[0]

    async def _check_answers(
        self, submission: Submission, progress: Progress | None, is_lazy: bool | None
    ) -> Judgement:
        """Of a problem whose submissions are outputs: a file for each test, or one for the only
        one that is secret."""
        tests = list(self.problem.data.tests())
        secret = [test for test in tests if not test.name.startswith("sample")]
        files = {Path(name).stem: path for name, path in submission.files}
        outcomes = {}
        for test in tests:
            path = files.get(Path(test.name).name)
            if path is None and len(files) == 1 and test in secret and len(secret) == 1:
                (path,) = files.values()
            if path is None:
                outcome = Outcome(test.name, "WA", "there is no output for this test")
            else:
                outcome = await self._check_answer(test, path)
            outcomes[test.name] = outcome
            if progress is not None:
                progress(submission, outcome)
        return self._judgement(submission, outcomes, {}, is_lazy)

    async def _check_answer(self, test: Test, path: Path) -> Outcome:
        try:
            output, _ = read_source(path, self.problem.limits.output_bytes)
        except SourceError as error:
            return Outcome(test.name, "WA", str(error))
        try:
            return await self._trials.check(test, output)
        except (SandboxError, OSError) as error:
            return _not_judged(test, error)

    async def _grade(self, asked: GraderRun) -> GroupOutcome:
        built = self._grader
        if built is None:
            return GroupOutcome(asked.group, "JE", None, "the package has no grader")
        command = (*built.command, *(flag.encode() for flag in asked.flags))
        job = validator_job(command, built.policy, built, [], [], self.problem.limits)
        try:
            done = await self._runner.run(Order(job, asked.stdin))
        except SandboxError as error:
            return GroupOutcome(asked.group, "JE", None, f"the grader was not run: {error}")
        code = done.result.exit_code if done.result.verdict == "exited" else None
        return read_grade(asked.group, code, done.stdout)

    def _check_flags(self) -> None:
        """Where the default validator reads them, before anything is judged by it."""
        problem = self.problem
        if problem.output_validator is None:
            common = problem.output_validator_flags
            every = {test.output_validator_flags: test for test in problem.data.tests()}
            for flags, test in every.items():
                read_flags((*common, *flags), f"data/{test.name}: output validator flags")

    async def _build_program(self, program: Program | None) -> Built | None:
        if program is None:
            return None
        built = await build_program(
            program, self._languages, self._runner, self._cache, limits=self.problem.limits
        )
        if isinstance(built, NotBuilt):
            raise SpecError(program.name, f"{built.why}\n{built.output}".strip())
        return built

    async def _make_answers(self) -> dict[str, Path]:
        """Of the tests that come without; a dialogue needs none."""
        problem = self.problem
        missing = [test for test in problem.data.tests() if test.answer is None]
        if not missing or problem.is_interactive or problem.limits.passes > 1:
            return {}
        model = next((one for one in problem.submissions if one.is_model), None)
        if model is None:
            raise SpecError(
                f"data/{missing[0].name}.ans", "is missing, and no accepted submission can make it"
            )
        built = await self.build(model)
        if isinstance(built, NotBuilt):
            raise SpecError(f"submissions/{model.name}", f"{built.why}\n{built.output}".strip())
        answers = {}
        maker = Trials(
            problem, None, {}, self._runner, self._cores,
            Settings(kept_bytes=problem.limits.output_bytes), self._scratch,
        )  # fmt: skip
        for number, test in enumerate(missing):
            made = await maker.run(built, test, TimeLimit.of(_MODEL_SECONDS))
            if made.exit_code != 0:
                raise SpecError(f"submissions/{model.name}", f"on {test.name}: {made.why}")
            path = self._scratch / f"answer-{number}"
            path.write_bytes(made.stdout)
            answers[test.name] = path
        return answers


def _not_judged(test: Test, error: Exception) -> Outcome:
    return Outcome(test.name, "JE", f"it was not judged: {error}")


def _is_allowed(language: Language, named: frozenset[str]) -> bool:
    """`named`: as a package does, by any of its names, or of those of its kin."""
    return not named.isdisjoint({language.code, *language.codes, *language.kin})


def _unjudged(submission: Submission, verdict: str, why: str, output: str = "") -> Judgement:
    language = submission.language or ""
    return Judgement(submission.name, language, verdict, None, why, (), (), compiler_output=output)
