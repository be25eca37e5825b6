"""Building: from source files to a directory that runs can be shown, and the command to run."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import trio

from sandbox.judge.archive import unpack
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.build_plan import NOTHING, PROGRAM_PLACE, Plan, plan_program, plan_submission
from sandbox.judge.compilation import Compiled, NotBuilt, compile_sources
from sandbox.judge.language_file import Language, fill_in
from sandbox.judge.problem import ProblemLimits, Program, Submission
from sandbox.judge.runner import Runner
from sandbox.judge.sources import Files, SourceError, stage
from sandbox.spec.errors import HostError
from sandbox.spec.fields import shown
from sandbox.spec.job import Input

__all__ = ["BuildCache", "Built", "NotBuilt", "build", "build_program"]

_OUTPUT_PLACE = "/tmp"
_ARCHIVE_PLACE = b"/tmp/program.tar"
_MOST_STACK_BYTES = 64 << 20
# Files that every run gets copies of, which are in its memory, before it is started.
_MOST_BESIDE, _MOST_BESIDE_BYTES, _PAGE_BYTES = 100, 16 << 20, 4096
_BUILD = """
"./$1" && { [ -f "./$2" ] || { echo "$1 made no file $2" >&2; exit 1; }; } && chmod +x "./$2" &&
    exec tar -c -h --hard-dereference --format=ustar -f /tmp/program.tar .
"""


class Built(NamedTuple):
    """A program to be run: a job of this policy with this directory read-only at /program."""

    directory: Path  # in the cache, which keeps it until it is released
    command: tuple[bytes, ...]
    language: Language
    policy: str
    limits: Mapping[str, Any]  # fields of Limits that the language sets
    environment: Mapping[bytes, bytes]
    memory_overhead_bytes: int  # of the runtime's own: to be allowed over the problem's limit
    seconds: float  # that compiling took, when it was done
    output: str  # what the compiler said
    entry: str = ""  # file or class that is started; "": the language has none, or finds it itself
    beside: tuple[tuple[str, Path], ...] = ()  # what the working directory of a run has

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What a job that runs it is shown: its directory, and settings of its runtime."""
        settings = (path for path in self.language.run.host_files if path.exists())
        return (
            Input(self.directory, PROGRAM_PLACE.encode(), copied=False),
            *(Input(path, os.fsencode(path), copied=False) for path in settings),
        )


async def build(
    submission: Submission,
    language: Language,
    runner: Runner,
    cache: BuildCache,
    *,
    includes: Mapping[str, Files] = MappingProxyType({}),
    constants: Mapping[str, str] = NOTHING,
    is_of_package: bool = False,
    keeps_sources: bool = False,
    limits: ProblemLimits,
) -> Built | NotBuilt:
    """Compile a submission, or take what the same sources came to before.

    `is_of_package` as `plan_submission`; `keeps_sources`: they are in the directory too. One job of
    at most `limits.compilation_*`; what it does wrong is a NotBuilt. Raises HostError: this host
    lacks the compiler; SandboxError as `runner`.
    """
    plan = plan_submission(
        submission, language, includes, constants,
        is_of_package=is_of_package, keeps_sources=keeps_sources, memory_bytes=limits.memory_bytes,
    )  # fmt: skip
    try:
        return plan if isinstance(plan, NotBuilt) else await _build(plan, runner, cache, limits)
    except SourceError as error:
        return NotBuilt(str(error), "")


async def build_program(
    program: Program,
    languages: Mapping[str, Language],
    runner: Runner,
    cache: BuildCache,
    *,
    constants: Mapping[str, str] = NOTHING,
    limits: ProblemLimits,
) -> Built | NotBuilt:
    """The same for a program of a package's. Raises SpecError as `plan_program` too."""
    plan = plan_program(program, languages, constants, limits)
    return plan if isinstance(plan, NotBuilt) else await _build(plan, runner, cache, limits)


async def _build(
    plan: Plan, runner: Runner, cache: BuildCache, limits: ProblemLimits
) -> Built | NotBuilt:
    try:
        return await _build_in(plan, runner, cache, limits)
    except OSError as error:
        raise HostError(f"{cache.directory} cannot keep a built program: {error}") from error


async def _build_in(
    plan: Plan, runner: Runner, cache: BuildCache, limits: ProblemLimits
) -> Built | NotBuilt:
    async with _draft(cache) as draft:
        staged = draft / "sources"
        staged.mkdir()
        # In a thread: they may be thousands, of megabytes.
        content = await trio.to_thread.run_sync(
            stage, plan.files, staged, plan.constants, plan.filled
        )
        key = plan.key(content)
        if (found := cache.find(key)) is not None:
            files, note = found
            return _built(plan, files, note["seconds"], note["output"])
        made = draft / "made"
        made.mkdir()
        if plan.build_script is not None:
            outcome = await _run_script(plan, runner, staged, made, limits, plan.build_script)
        elif plan.language.compile is None:
            outcome = Compiled("", 0.0)
            (staged / plan.entry).chmod(0o755)  # archives lose it
        else:
            outcome = await _compile(plan, runner, staged, made, limits)
        if isinstance(outcome, NotBuilt):
            return outcome
        files = made if any(made.iterdir()) else staged
        if files is made:
            is_to_be_seen = len(plan.kept) == len(plan.files)  # and all of it: anything is included
            for name in plan.kept:
                if not _moved(staged / name, made / name) and is_to_be_seen:
                    why = f"{shown(name)}: what is made of the sources is called so"
                    return NotBuilt(why, outcome.output, outcome.seconds)
        note = {"seconds": outcome.seconds, "output": outcome.output}
        # In a thread: it waits for the disk.
        kept = await trio.to_thread.run_sync(cache.keep, draft, key, files, note)
        return _built(plan, kept, outcome.seconds, outcome.output)


@contextlib.asynccontextmanager
async def _draft(cache: BuildCache) -> AsyncIterator[Path]:
    with cache.draft() as draft:
        try:
            yield draft
        finally:
            # In a thread, as they came: nobody else waits while a disk forgets thousands of files.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(shutil.rmtree, draft, True)


async def _compile(
    plan: Plan, runner: Runner, staged: Path, made: Path, limits: ProblemLimits
) -> Compiled | NotBuilt:
    compiling = plan.language.compile
    assert compiling is not None
    place = f"{_OUTPUT_PLACE}/{compiling.output}"
    values = {**plan.toolchain.paths, "output": place, "entry": _argument(plan)}
    command: list[str] = []
    for word in compiling.command:
        if word == "{sources}":
            command += (f"./{name}" for name in plan.sources)
        else:
            command.append(fill_in(word, values.__getitem__))
    result = None
    if compiling.output is not None:
        result = (made.parent if compiling.is_archive else made) / compiling.output
    outcome = await compile_sources(
        runner,
        tuple(map(os.fsencode, command)),
        _staged(plan, staged),
        {} if result is None else {os.fsencode(place): result},
        policy=compiling.policy,
        environment=compiling.environment,
        own_limits=compiling.limits,
        host_files=compiling.host_files,
        limits=limits,
    )
    if isinstance(outcome, Compiled) and result is not None:
        if compiling.is_archive:
            return await _unpacked(outcome, result, made)
        result.chmod(0o755)  # whatever our umask is: jobs read it as somebody else
    return outcome


async def _run_script(
    plan: Plan, runner: Runner, staged: Path, made: Path, limits: ProblemLimits, build_script: str
) -> Compiled | NotBuilt:
    for name in {build_script, plan.entry} & set(plan.sources):
        (staged / name).chmod(0o755)
    archive = made.parent / "program.tar"
    outcome = await compile_sources(
        runner,
        tuple(map(os.fsencode, ("/bin/sh", "-c", _BUILD, "sh", build_script, plan.entry))),
        _staged(plan, staged),
        {_ARCHIVE_PLACE: archive},
        policy="compile",
        environment={},
        own_limits={},
        limits=limits,
    )
    return await _unpacked(outcome, archive, made) if isinstance(outcome, Compiled) else outcome


async def _unpacked(outcome: Compiled, archive: Path, made: Path) -> Compiled | NotBuilt:
    try:  # in a thread: it is as large as a job's disk
        await trio.to_thread.run_sync(unpack, archive, made)
    except ValueError as error:
        return NotBuilt(f"of what was made: {error}", outcome.output, outcome.seconds)
    return outcome


def _moved(source: Path, place: Path) -> bool:
    """False: something is there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return False
    if place.exists():
        return False
    source.rename(place)
    return True


def _staged(plan: Plan, staged: Path) -> list[tuple[str, Path]]:
    return [(name, staged / name) for name, _ in plan.files]


def _argument(plan: Plan) -> str:
    return f"./{plan.entry}" if plan.language.entry == "file" else plan.entry


def _beside(plan: Plan, directory: Path) -> tuple[tuple[str, Path], ...]:
    """What a program may open where it is started ("Working directory" of 2025-09): scripts, each
    other, and one alone has none to open; what was compiled has its sources in it."""
    compiling = plan.language.compile
    is_compiled = compiling is not None and compiling.output is not None
    names = [name for name, _ in plan.files]
    if is_compiled:
        names = [name for name in plan.kept if name not in plan.sources]
    elif plan.build_script is not None or len(names) == 1:
        names = []
    if len(names) > _MOST_BESIDE:
        return ()
    # What a compiler has made comes first, and may have left no place for one.
    found = tuple((name, directory / name) for name in names if (directory / name).is_file())
    size = sum(path.stat().st_size + _PAGE_BYTES for _, path in found)
    return found if size <= min(_MOST_BESIDE_BYTES, plan.memory_bytes // 4) else ()


def _built(plan: Plan, directory: Path, seconds: float, output: str) -> Built:
    language = plan.language
    stack_bytes = min(_MOST_STACK_BYTES, plan.memory_bytes // 4)
    values = {
        **plan.toolchain.paths,
        "directory": PROGRAM_PLACE,
        "entry": plan.entry,
        "stem": plan.entry.removesuffix(PurePosixPath(plan.entry).suffix),
        "memory_mib": str(max(plan.memory_bytes >> 20, 2)),  # java takes no smaller heap
        "stack_kib": str(max(stack_bytes >> 10, 64)),
    }
    words = (fill_in(word, values.__getitem__) for word in language.run.command)
    return Built(
        directory,
        tuple(map(os.fsencode, words)),
        language,
        language.run.policy,
        language.run.limits,
        language.run.environment,
        language.memory_overhead_bytes,
        seconds,
        output,
        plan.entry,
        _beside(plan, directory),
    )
