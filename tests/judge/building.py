"""Building in tests: sources from text, and one run of what came of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from judge import fakes
from judge.local import LocalRunner

from sandbox.judge.building import BuildCache, Built, NotBuilt, build
from sandbox.judge.language import Language, detect, load_languages
from sandbox.judge.problem import ProblemLimits, Submission
from sandbox.judge.runner import Order
from sandbox.judge.toolchain import find_toolchain
from sandbox.spec.errors import HostError
from sandbox.spec.job import Input, Job
from sandbox.spec.result import Completed

LANGUAGES = load_languages()
LIMITS = fakes.LIMITS._replace(
    memory_bytes=256 << 20, compilation_memory_bytes=2048 << 20, validation_memory_bytes=512 << 20
)


def write(directory: Path, files: Mapping[str, str | bytes]) -> tuple[tuple[str, Path], ...]:
    """The files, as a package's reader would hand them on: their names need not be their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number, (name, text) in enumerate(files.items()):
        path = directory / str(number)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        pairs.append((name, path))
    return tuple(pairs)


def needed(code: str) -> Language:
    """The language, if this host has it."""
    language = LANGUAGES[code]
    try:
        find_toolchain(language)
    except HostError as error:
        pytest.skip(str(error))
    return language


async def build_in(
    runner: LocalRunner,
    cache_directory: Path,
    submission: Submission,
    limits: ProblemLimits = LIMITS,
    **more: Any,
) -> Built | NotBuilt:
    language = detect(submission, LANGUAGES)
    with BuildCache.open(cache_directory) as cache:
        return await build(submission, language, runner, cache, limits=limits, **more)


async def run_built(
    runner: LocalRunner,
    built: Built,
    stdin: bytes,
    *words: bytes,
    inputs: tuple[Input, ...] = (),
    **more: Any,
) -> Completed:
    job = Job(
        command=(*built.command, *words),
        policy=built.policy,
        limits={**built.limits, "memory_bytes": LIMITS.memory_bytes + built.memory_overhead_bytes,
                "stack_bytes": LIMITS.memory_bytes},
        environment=built.environment,
        inputs=(*built.inputs, *inputs),
        **more,
    )  # fmt: skip
    return await runner.run(Order(job, stdin))
