"""The judge on this host, in this process: its supervisor, its cache, its scratch space."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from sandbox import Supervisor
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.engine import Judge
from sandbox.judge.language import load_languages
from sandbox.judge.problem import Problem
from sandbox.judge.runner import LocalRunner
from sandbox.judge.trial import Settings

__all__ = ["JudgeOf", "opened"]

JudgeOf = Callable[[Problem, Settings], Judge]


@contextlib.asynccontextmanager
async def opened(cores: Cores) -> AsyncIterator[JudgeOf]:
    """What makes a judge of a problem, for as long as the block lasts; under trio.

    Where this process is root's, it becomes an ordinary user for good. Raises HostError.
    """
    async with Supervisor(drops_root=True) as supervisor:
        runner, languages = LocalRunner(supervisor), load_languages()
        with (
            BuildCache.open() as cache,
            tempfile.TemporaryDirectory(prefix="sandbox-judge-") as scratch,
        ):
            yield lambda problem, settings: Judge(
                problem, runner, languages, cache, cores, settings, Path(scratch)
            )
