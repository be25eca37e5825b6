"""The judge on this host, in this process: its supervisor, its cache, its scratch space."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple

from sandbox import Supervisor
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.engine import Judge
from sandbox.judge.language import load_languages
from sandbox.judge.language_file import Language
from sandbox.judge.problem import Problem
from sandbox.judge.runner import LocalRunner
from sandbox.judge.scratch import scratch_directory
from sandbox.judge.trial import Settings

__all__ = ["Here", "JudgeOf", "opened"]

JudgeOf = Callable[[Problem, Settings], Judge]


class Here(NamedTuple):
    """What judging on this host takes."""

    runner: LocalRunner
    languages: dict[str, Language]
    cache: BuildCache
    cores: Cores
    scratch: Path

    def judge_of(self, problem: Problem, settings: Settings) -> Judge:
        """A judge of that problem, not yet prepared."""
        return Judge(
            problem, self.runner, self.languages, self.cache, self.cores, settings, self.scratch
        )


@contextlib.asynccontextmanager
async def opened(cores: Cores) -> AsyncIterator[Here]:
    """All of it, for as long as the block lasts; under trio.

    Where this process is root's, it becomes an ordinary user for good. Raises HostError.
    """
    async with Supervisor(drops_root=True) as supervisor:
        runner, languages = LocalRunner(supervisor), load_languages()
        with BuildCache.open() as cache, scratch_directory() as scratch:
            yield Here(runner, languages, cache, cores, scratch)
