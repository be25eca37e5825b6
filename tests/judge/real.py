"""A judge of packages that a test writes, whose jobs are run."""

from __future__ import annotations

from pathlib import Path

import trio
from judge.packages import submission

from sandbox import Supervisor
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.engine import open_judge
from sandbox.judge.here import Here
from sandbox.judge.language import load_languages
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Submission
from sandbox.judge.runner import LocalRunner
from sandbox.judge.scratch import scratch_directory
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement

__all__ = ["LANGUAGES", "judge_here"]

LANGUAGES = load_languages()


def judge_here(
    directory: Path, *sources: str | Submission, settings: Settings | None = None
) -> list[Judgement]:
    """Submissions, or texts in Python, to that package, one after the other, on one core.

    Programs are kept where the environment says: see the fixture `cache`.
    """

    async def main() -> list[Judgement]:
        problem, found = read_problem(directory), []
        async with Supervisor() as supervisor:
            with BuildCache.open() as cache, scratch_directory() as scratch:
                here = Here(LocalRunner(supervisor), LANGUAGES, cache, Cores(1), scratch)
                async with open_judge(problem, here, settings or Settings()) as judge:
                    for source in sources:
                        if not isinstance(source, Submission):
                            source = submission(scratch, "made.py", source)
                        limit = problem.limits.time_seconds or 1.0
                        found.append(await judge.judge(source, limit))
        return found

    return trio.run(main)
