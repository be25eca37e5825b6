"""What judging takes, whoever asks for it: a runner of jobs, a cache, cores, scratch space."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sandbox import Supervisor
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.language import load_languages
from sandbox.judge.language_file import Language
from sandbox.judge.runner import LocalRunner, Runner
from sandbox.judge.scratch import scratch_directory

__all__ = ["Here", "opened"]


class Here(NamedTuple):
    """Of one host, for any number of problems."""

    runner: Runner
    languages: Mapping[str, Language]
    cache: BuildCache
    cores: Cores
    scratch: Path  # a directory of ours, for files that are needed for as long as this is used


@contextlib.asynccontextmanager
async def opened(cores: Cores) -> AsyncIterator[Here]:
    """All of it in this process, for as long as the block lasts; under trio.

    Where this process is root's, it becomes an ordinary user for good. Raises HostError.
    """
    async with Supervisor(drops_root=True) as supervisor:
        runner, languages = LocalRunner(supervisor), load_languages()
        with BuildCache.open() as cache, scratch_directory() as scratch:
            yield Here(runner, languages, cache, cores, scratch)
