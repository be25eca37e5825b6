"""One judging at work: its package, the judge, and what is told while it goes on."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio

from sandbox.judge import time_limit
from sandbox.judge.building import BuildCache
from sandbox.judge.engine import Judge, open_judge
from sandbox.judge.here import Here
from sandbox.judge.language import find_language, load_languages
from sandbox.judge.problem import Problem, Submission
from sandbox.judge.service.dialogues import Dialogues
from sandbox.judge.service.judging import Judging
from sandbox.judge.service.packages import remove_tree
from sandbox.judge.service.plain import judgement_map, outcome_map
from sandbox.judge.service.quiet import Quiet
from sandbox.judge.service.reading import PackageReader
from sandbox.judge.service.runner import TenantRunner, Turns
from sandbox.judge.service.space import Space
from sandbox.judge.toolchain import report_language, report_languages
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Outcome
from sandbox.server.service import Service
from sandbox.spec.errors import SandboxError, SpecError
from sandbox.spec.quantities import format_size
from sandbox.wire.errors import InvalidParamsError, NotFoundError

__all__ = ["Work"]

_MOST_OUTPUT_BYTES = 64 << 20  # of a run: it is kept in our memory
# To sum them up takes a look at each test, in which nobody is served, whenever a group is done.
_MOST_TESTS, _MOST_GROUPS = 10_000, 1_000


class Work:
    """What judgings have in common."""

    def __init__(self, service: Service, directory: Path, nursery: trio.Nursery) -> None:
        """`directory`: has a place for what only lasts as long as a run. `nursery`: for what goes
        on when a call was answered.
        """
        self._service, self._nursery = service, nursery
        self.cores = service.admission.own_cores
        self._languages = load_languages()
        self._versions: dict[str, str] = {}  # of compilers, by the language's code
        self._versions_known, self._is_asking = trio.Event(), False
        self._outputs: dict[str, trio.CapacityLimiter] = {}  # in our memory, by tenant
        self._scratch = directory / "scratch"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700)
        self._quiet = Quiet()
        self.reader = PackageReader(service.orders, directory)

    async def judge(self, space: Space, judging: Judging) -> Mapping[str, Any]:
        """From its package to its result. Raises SandboxError: it cannot be judged."""
        request = judging.request

        async def blob() -> Any:
            try:
                return await self._service.blobs.hold(space.tenant, request.problem)
            except NotFoundError as error:
                problem = f"{request.problem} is no blob that is held any more; upload it again"
                raise SpecError("problem", problem) from error

        async with space.packages.open(request.problem, blob) as problem:
            with _named("problem"):
                await trio.to_thread.run_sync(_check, problem)
            async with contextlib.AsyncExitStack() as held:
                here = await held.enter_async_context(self._opened(space, judging))
                # They may be many, and what a judgement is made of stays in memory to its end.
                settings = Settings(transcribes=request.transcribes, keeps_words=False)
                with _named("problem"):
                    judge = await held.enter_async_context(open_judge(problem, here, settings))
                    seconds = await self._time_limit(space, judging, judge)
                judging.events.add(
                    "begun",
                    run=judging.runs,
                    problem=problem.name,
                    tests=sum(1 for _ in problem.data.tests()),
                    time_limit_seconds=seconds,
                )

                dialogues = Dialogues()

                def progress(_submission: Submission, outcome: Outcome) -> None:
                    judging.events.add("test", **outcome_map(outcome), **dialogues.of(outcome))

                with _named("files"):
                    judgement = await judge.judge(
                        judging.submission(),
                        seconds,
                        progress,
                        is_lazy=False if judging.request.judges_all else None,
                    )
                return judgement_map(judgement)

    def language_code(self, word: str) -> str:
        """The code of the language that is called so. Raises InvalidParamsError."""
        try:
            return find_language(word, self._languages).code
        except SpecError as error:
            raise InvalidParamsError("language", error.problem) from error

    async def languages_here(
        self, tenant: str, patience: contextlib.AbstractContextManager[None]
    ) -> dict[str, Any]:
        """Each language, and what this host has for it. Compilers are asked for their versions
        once, in jobs of the tenant that asks first, and some of them take seconds for that."""
        if not self._is_asking:
            self._is_asking = True
            self._nursery.start_soon(self._ask_for_versions, tenant)
        with patience:
            await self._versions_known.wait()
        return {
            "languages": [
                report_language(one, self._versions.get(one.code, ""))._asdict()
                for one in self._languages.values()
            ],
            "is_complete": self._versions_known.is_set(),
        }

    async def _ask_for_versions(self, tenant: str) -> None:
        try:
            runner = TenantRunner(self._service.orders, tenant, 0, 0, self._quiet)
            for report in await report_languages(self._languages, runner):
                self._versions[report.code] = report.version
            self._versions_known.set()
        except SandboxError as error:
            self._is_asking = False  # the next who asks may have more luck
            self._service.log.event("versions_unknown", tenant=tenant, error=str(error))

    @contextlib.asynccontextmanager
    async def _opened(self, space: Space, judging: Judging) -> AsyncIterator[Here]:
        service, request = self._service, judging.request
        runner = TenantRunner(
            service.orders, space.tenant, self.cores, request.priority, self._quiet
        )
        most = trio.CapacityLimiter(2 * max(1, self.cores))
        turns = Turns(service.admission, self.cores, self._outputs.setdefault(space.tenant, most))
        scratch = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            with BuildCache.open(space.builds) as cache:
                yield Here(runner, self._languages, cache, turns, scratch)
        finally:
            await remove_tree(scratch)  # there may be a directory of files for each test

    async def _time_limit(self, space: Space, judging: Judging, judge: Judge) -> float:
        """What is asked for, or the package's own, or what its accepted submissions come to:
        that is measured once, for the verdict of tomorrow is to be that of today."""
        if judging.request.time_limit_seconds is not None:
            return judging.request.time_limit_seconds
        if judge.problem.limits.time_seconds is not None:
            return judge.problem.limits.time_seconds
        note = space.packages.place_of_note(judging.request.problem)
        try:
            return float(note.read_text())
        except (OSError, ValueError):
            seconds = (await time_limit.measure(judge)).seconds
        with contextlib.suppress(OSError):
            note.write_text(repr(seconds))
        return seconds


@contextlib.contextmanager
def _named(field: str) -> Iterator[None]:
    """What is wrong in a package or a submission is wrong in that parameter."""
    try:
        yield
    except SpecError as error:
        raise SpecError(field, str(error)) from error


def _check(problem: Problem) -> None:
    limits, tests = problem.limits, list(problem.data.tests())
    if len(tests) > _MOST_TESTS:
        raise SpecError("data", f"{len(tests)} tests; this service judges up to {_MOST_TESTS}")
    groups = list(problem.data.groups())
    if len(groups) > _MOST_GROUPS:
        raise SpecError("data", f"{len(groups)} groups; this service judges up to {_MOST_GROUPS}")
    if (required := sum(len(group.grading.require_pass) for group in groups)) > _MOST_TESTS:
        raise SpecError("data", f"require_pass: {required} in sum; up to {_MOST_TESTS} here")
    for test in tests if problem.output_validator is None else ():
        if test.answer is not None and test.answer.stat().st_size > _MOST_OUTPUT_BYTES:
            most = format_size(_MOST_OUTPUT_BYTES)
            raise SpecError(f"data/{test.name}.ans", f"is over {most}, which this service compares")
    for name, size in (
        ("limits.output", limits.output_bytes),
        ("limits.validation_output", limits.validation_output_bytes),
    ):
        if size > _MOST_OUTPUT_BYTES:
            most = format_size(_MOST_OUTPUT_BYTES)
            raise SpecError(
                name, f"{format_size(size)}; this service keeps outputs of up to {most}"
            )
