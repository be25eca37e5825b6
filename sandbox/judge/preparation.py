"""What is there before a submission is run: it and the package's programs, built, and answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from sandbox.judge.building import Built, build, build_program
from sandbox.judge.compare import read_flags
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit
from sandbox.judge.here import Here
from sandbox.judge.language import detect, is_known
from sandbox.judge.language_file import Language
from sandbox.judge.problem import Problem, Program, Submission
from sandbox.judge.trial import Settings, Trials
from sandbox.spec.errors import HostError, SpecError
from sandbox.spec.quantities import format_size

__all__ = ["Prepared", "build_package_program", "build_submission", "prepare"]

_MODEL_SECONDS = 60.0  # that an accepted submission may take to make an answer
_MOST_ANSWER_BYTES = 1 << 30  # that it may make in sum: they are on our disk


class Prepared(NamedTuple):
    """What a package brings, as it is used."""

    validator: Built | None  # None: the default one
    static_validator: Built | None
    grader: Built | None
    answers: Mapping[str, Path]  # of the tests that come without


async def prepare(problem: Problem, here: Here, held: contextlib.ExitStack) -> Prepared:
    """Build the package's programs, and make the answers that it lacks.

    `held` keeps the programs from being removed. Raises SpecError: one does not compile, no
    accepted submission makes the answers, or the default validator has no such flag.
    """
    if problem.output_validator is None:
        _check_flags(problem)
    return Prepared(
        await build_package_program(
            problem.output_validator, problem, here, held, constants=problem.constants
        ),
        await _build_static_validator(problem, here, held),
        await build_package_program(problem.grader, problem, here, held),
        await _make_answers(problem, here),
    )


async def build_submission(
    problem: Problem, submission: Submission, here: Here
) -> Built | NotBuilt:
    """The submission, compiled. Raises SpecError: the language that it names is not known."""
    try:
        language = detect(submission, here.languages)
    except SpecError as error:
        if submission.language is not None:  # who names it is not who wrote it
            raise
        is_of_all = error.field == submission.name  # which whoever reads it knows
        return NotBuilt(error.problem if is_of_all else str(error), "")
    if problem.languages is not None and not _is_allowed(language, problem.languages):
        return NotBuilt(f"{language.name} is not allowed for this problem", "")
    try:
        size = sum(path.lstat().st_size for _, path in submission.files)
    except OSError as error:  # of a directory that may not be entered
        return NotBuilt(f"{error.filename}: cannot be read: {error.strerror}", "")
    if size > problem.limits.code_bytes:
        why = f"{size} bytes of source, over the limit of {problem.limits.code_bytes}"
        return NotBuilt(why, "")
    return await build(
        submission, language, here.runner, here.cache,
        includes=problem.includes, constants=problem.constants,
        is_of_package=_is_of_package(problem, submission),
        keeps_sources=problem.static_validator is not None, limits=problem.limits,
    )  # fmt: skip


def _is_allowed(language: Language, named: frozenset[str]) -> bool:
    """`named`: as a package does, by any of its names, or of those of its kin."""
    return not named.isdisjoint({language.code, *language.codes, *language.kin})


def _is_of_package(problem: Problem, submission: Submission) -> bool:
    """Whether it is an example submission, whoever named its files."""
    places = (Path(os.path.realpath(path)) for _, path in submission.files)
    return all(place.is_relative_to(problem.directory) for place in places)


def _check_flags(problem: Problem) -> None:
    """Those that the default validator reads, before anything is judged by it."""
    common = problem.output_validator_flags
    first: dict[Sequence[str], str] = {}  # flags -> the test that has them
    for test in problem.data.tests():
        first.setdefault(test.output_validator_flags, f"data/{test.name}: output validator flags")
    for flags, where in first.items():
        # Where a test brings none of its own it is problem.yaml that says them.
        read_flags((*common, *flags), where if flags else "problem.yaml: validator_flags")


async def build_package_program(
    program: Program | None,
    problem: Problem,
    here: Here,
    held: contextlib.ExitStack,
    *,
    constants: Mapping[str, str] = {},
) -> Built | None:
    """One program, which `held` keeps from being removed. Raises SpecError: it does not compile."""
    if program is None:
        return None
    built = await build_program(
        program, here.languages, here.runner, here.cache,
        constants=constants, limits=problem.limits,
    )  # fmt: skip
    return held.enter_context(_in_use(program.name, built, here))


async def _build_static_validator(
    problem: Problem, here: Here, held: contextlib.ExitStack
) -> Built | None:
    """As above. Raises SpecError too: it would run what a submission brings."""
    program = problem.static_validator
    built = await build_package_program(program, problem, here, held)
    if program and built and built.language.run.loads_from_cwd:
        raise SpecError(
            program.name,
            f"{built.language.name} loads modules from where it is started, which is among the "
            "submission's files; fix: write it in another language",
        )
    return built


async def _make_answers(problem: Problem, here: Here) -> dict[str, Path]:
    """By a model solution; a dialogue needs none."""
    tests = [test for test in problem.data.tests() if test.static_arguments is None]
    missing = [test for test in tests if test.answer is None]
    if not missing or problem.is_interactive or problem.limits.passes > 1:
        return {}
    models = (one for one in problem.submissions if one.is_model)
    model = next((one for one in models if is_known(one, here.languages)), None)
    if model is None:
        raise SpecError(
            f"data/{missing[0].name}.ans", "is missing, and no accepted submission can make it"
        )
    answers: dict[str, Path] = {}
    left = _MOST_ANSWER_BYTES
    settings = Settings(kept_bytes=problem.limits.output_bytes)
    name = f"submissions/{model.name}"
    with _in_use(name, await build_submission(problem, model, here), here) as built:
        maker = Trials(problem, None, {}, here, settings)
        for number, test in enumerate(missing):
            made = await maker.run(built, test, TimeLimit.of(_MODEL_SECONDS))
            if made.verdict == "JE":
                raise HostError(made.why)
            if made.exit_code != 0:
                raise SpecError(name, f"on {test.name}: {made.why}")
            left -= len(made.stdout)
            if left < 0:
                most = format_size(_MOST_ANSWER_BYTES)
                why = f"makes answers of over {most} in sum, up to that of {test.name}"
                raise SpecError(name, f"{why}; fix: have the package bring them")
            path = here.scratch / f"answer-{number}"
            await trio.to_thread.run_sync(path.write_bytes, made.stdout)
            answers[test.name] = path
    return answers


@contextlib.contextmanager
def _in_use(name: str, built: Built | NotBuilt, here: Here) -> Iterator[Built]:
    """A program of the package's, kept in the cache. Raises SpecError: it does not compile."""
    if isinstance(built, NotBuilt):
        raise SpecError(name, f"{built.why}\n{built.output}".strip())
    try:
        yield built
    finally:
        here.cache.release(built.directory)
