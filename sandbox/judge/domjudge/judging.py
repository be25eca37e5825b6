"""One judging: compile the submission once, then run it on the tests in the server's order."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import trio

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.domjudge.api import Api, Settings
from sandbox.judge.domjudge.blame import Blamed
from sandbox.judge.domjudge.client import ServerError
from sandbox.judge.domjudge.config import Config
from sandbox.judge.domjudge.engine import Engine
from sandbox.judge.domjudge.kept import Kept
from sandbox.judge.domjudge.material import Material
from sandbox.judge.domjudge.overshoot import overshoot_seconds
from sandbox.judge.domjudge.report import bounded, compile_metadata, run_fields
from sandbox.judge.domjudge.tasks import JudgingTask
from sandbox.judge.execution import TimeLimit
from sandbox.judge.language import find_language, load_languages
from sandbox.judge.problem import Group, Problem, ProblemLimits, Submission, Test
from sandbox.spec.errors import ProtocolError, SandboxError, SpecError

__all__ = ["Judge", "Log"]

Log = Callable[..., None]


class Judge:
    """Judges tasks, one after another. Keeps what the last judging was compiled to."""

    def __init__(self, config: Config, api: Api, engine: Engine, material: Material, kept: Kept,
                 log: Log) -> None:  # fmt: skip
        self._config, self._api, self._engine = config, api, engine
        self._material, self._kept, self._log = material, kept, log
        self._languages = load_languages()
        self._last: tuple[str, Built] | None = None

    async def judge(self, task: JudgingTask, settings: Settings) -> bool:
        """Judge one test, and report it; whether the server wants the judging's next one.

        Raises Blamed: it could not be judged. Raises ServerError, ProtocolError.
        """
        try:
            problem = await self._problem(task)
            built = await self._built(task, problem, settings)
            return built is not None and await self._run(task, problem, built, settings)
        except SandboxError as error:
            if isinstance(error, ServerError | ProtocolError):
                raise
            raise Blamed.judgehost(self._config.hostname, str(error)) from error

    async def _problem(self, task: JudgingTask) -> Problem:
        """A package that says what the task says."""
        compiling, running, comparing = task.compiling, task.running, task.comparing
        validator = await self._material.program(running.script)
        if not comparing.is_interactive:
            if validator is not None:
                raise Blamed.judgehost(
                    self._config.hostname,
                    f"run_script {running.script.id} is not DOMjudge's default, and no script of "
                    "its kind can be run here; judge its problems by another judgehost",
                )
            validator = await self._material.program(comparing.script)
        elif validator is None:
            raise Blamed.script(running.script, "the default one, for an interactive problem")
        limits = ProblemLimits(
            time_seconds=running.seconds, time_multiplier=1.0, safety_margin=1.0,
            time_resolution=0.001,
            memory_bytes=running.memory_bytes, output_bytes=running.output_bytes,
            code_bytes=compiling.file_bytes,
            compilation_seconds=compiling.seconds,
            compilation_memory_bytes=compiling.memory_bytes,
            validation_seconds=comparing.seconds,
            validation_memory_bytes=comparing.memory_bytes,
            validation_output_bytes=comparing.file_bytes,
            passes=running.passes,
        )  # fmt: skip
        return Problem(
            directory=self._config.directory, name=f"judging {task.job}", format="legacy",
            is_scoring=comparing.is_scoring, is_interactive=comparing.is_interactive,
            is_submit_answer=False, limits=limits, data=Group("", ()),
            output_validator=validator, output_validator_flags=comparing.flags,
            input_validators=(), grader=None, includes={}, submissions=(),
            validator_sees_score=comparing.is_scoring,
        )  # fmt: skip

    async def _built(self, task: JudgingTask, problem: Problem, settings: Settings) -> Built | None:
        """The program; None after a compile error, which is reported."""
        if self._last is not None and self._last[0] == task.job:
            return self._last[1]
        self._last = None
        sources = await self._api.source_files(task)
        files = await trio.to_thread.run_sync(self._kept.begin, task.job, sources)
        compiling = task.compiling
        built: Built | NotBuilt
        if compiling.filters_files and not any(
            file.name.endswith(compiling.extensions) for file in sources
        ):
            extensions = ", ".join(compiling.extensions)
            built = NotBuilt(f"No file has one of the extensions {extensions}", "")
        else:
            submission = Submission(
                task.submission, files, self._language(task), task.running.entry_point
            )
            built = await self._engine.prepare(problem, submission)
        is_success = not isinstance(built, NotBuilt)
        text = built.output if is_success else f"{built.why}\n{built.output}"
        output = text.encode(errors="backslashreplace")
        await trio.to_thread.run_sync(self._kept.add_compilation, task.job, output)
        await self._api.compiled(
            task.id, is_success=is_success,
            output=bounded(output, settings.storage_bytes),
            metadata=compile_metadata(built.seconds, is_success=is_success),
        )  # fmt: skip
        self._log("compiled", job=task.job, task=task.id, is_success=is_success)
        if isinstance(built, NotBuilt):
            return None
        self._last = task.job, built
        return built

    async def _run(
        self, task: JudgingTask, problem: Problem, built: Built, settings: Settings
    ) -> bool:
        data, answer = await self._material.test(task.test)
        running = task.running
        most = running.seconds + running.more_overshoot_seconds
        most += overshoot_seconds(settings.overshoot, running.seconds)
        limit = TimeLimit.of(running.seconds, most_of_interest=most)
        started = time.time()
        outcome = await self._engine.run_test(
            problem, built, Test(task.test.id, data, answer), limit
        )
        if outcome.verdict in ("", "JE") and problem.output_validator is None:
            # Our own comparing has nobody else to blame.
            raise Blamed.judgehost(self._config.hostname, outcome.why, "\n".join(outcome.evidence))
        fields = run_fields(outcome, task, settings, started, time.time())
        await trio.to_thread.run_sync(self._kept.add_run, task.job, task.test.id, outcome)
        goes_on = await self._api.add_run(task.id, fields)
        self._log("run", job=task.job, task=task.id, result=fields["runresult"], goes_on=goes_on)
        return goes_on

    def _language(self, task: JudgingTask) -> str | None:
        """Our name for it: the configuration's, or of the only one of ours that has its extensions.

        By the files only where there is none: a contest may not have what a team would write.
        """
        for extension in task.compiling.extensions:
            if (name := self._config.languages.get(extension)) is not None:
                return name
        for extension in task.compiling.extensions:
            with contextlib.suppress(SpecError):
                return find_language(extension, self._languages).code
        return None
