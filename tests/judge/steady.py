"""Mixed judgings, one after the other in one process: `python -m judge.steady COUNT`.

From the repository's root, with `PYTHONPATH=.:tests`. What each submission has to come to is in its
package; a verdict that is not that, or not the one of the time before, is a fault. Now and then all
that could grow is counted, and at the end nothing may be left.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import trio
from judge.plain import PROBLEMS

from bench.cgroups import v1_directories, v2_run
from bench.growth import growth, print_verdict
from bench.processes import anonymous_kib, children, entries
from sandbox import Supervisor
from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.engine import Judge, open_judge
from sandbox.judge.expectations import check
from sandbox.judge.here import Here
from sandbox.judge.language import load_languages
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Submission
from sandbox.judge.runner import LocalRunner
from sandbox.judge.trial import Settings

__all__ = ["Finding", "judge_many"]

# Of each kind of problem and each verdict some that are over soon, in what every host has.
_CHOSEN = {
    "legacy/sum": (
        "accepted/sum.c", "accepted/sum.py", "accepted/sum.sh", "accepted/several_c",
        "compiler_error/does_not_compile.cpp", "mixed/allocates.c", "mixed/floods.c",
        "run_time_error/null_pointer.c", "run_time_error/raises.py",
        "time_limit_exceeded/loops.py", "wrong_answer/difference.py",
    ),
    "legacy/guess": (
        "accepted/bisect.c", "run_time_error/crashes_midway.py",
        "time_limit_exceeded/reads_first.c", "wrong_answer/floods.c", "wrong_answer/leaves.c",
    ),
    "legacy/permutation": ("accepted/halves.c", "wrong_answer/twice.py"),
    "legacy/score": ("accepted/best.py", "partially_accepted/greedy.py"),
    "draft/groups": ("accepted/formula.c", "partial/narrow.c"),
    "draft/relay": ("accepted/five_bits.py", "run_time_error/fails_in_second.py"),
    "draft/rounds": ("accepted/totals.c", "wrong_answer/starts_from_zero.py"),
    "hostile/fortress": (
        "accepted/fills_disk.c", "accepted/kills_everything.c", "accepted/leaves_daemon.c",
        "run_time_error/ptrace.c", "wrong_answer/forged_verdict.py", "wrong_answer/links.py",
    ),
}  # fmt: skip
_SAMPLES = 12  # a third must be some
_SETTLE_SECONDS = 0.3  # for those that are gone to be gone
# How much of a rise is none: a share, and beside it a number.
_SLACK = {"kib": (0.05, 1024.0), "processes": (0.0, 2.0), "cgroups": (0.0, 4.0)}
_KEPT = ("empty", "working-")  # in the scratch directory, of each problem
_NOT_JUDGED = ("judgings",)


class Sample(NamedTuple):
    """What stands between two judgings."""

    judgings: int
    kib: int  # anonymous memory
    fds: int
    processes: int
    cgroups: int
    scratch_files: int
    cache_files: int


class Finding(NamedTuple):
    """What came of all."""

    samples: list[Sample]
    faults: list[str]
    verdicts: Counter[str]
    grown: dict[str, tuple[float, float]]


class _Case(NamedTuple):
    judge: Judge
    submission: Submission


async def judge_many(count: int, seed: int = 1) -> Finding:
    """`count` of them. Each round is all of the chosen ones, in an order of its own.

    What grows is looked for where there is a round at least between two samples.
    """
    chance = random.Random(seed)
    seen: dict[str, object] = {}  # what each has come to before
    faults: list[str] = []
    verdicts: Counter[str] = Counter()
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="steady-") as top:
        scratch, kept = Path(top) / "scratch", Path(top) / "cache"
        scratch.mkdir()
        async with _cases(scratch, kept) as cases:
            every, order = count // _SAMPLES, []
            for done in range(1, count + 1):
                order = order or chance.sample(sorted(cases), len(cases))
                name = order.pop()
                verdicts[await _judge_one(name, cases[name], seen, faults)] += 1
                if every >= len(cases) and done % every == 0:
                    samples.append(await _sample(done, scratch, kept))
                    print(f"{done} of {count} judgings, {len(faults)} faults", file=sys.stderr)
        left = [str(path.relative_to(scratch)) for path in scratch.rglob("*")]
        left = [path for path in left if not path.startswith(_KEPT)]
        faults += [f"left in the scratch directory: {path}" for path in left]
    if processes := _processes():
        faults.append(f"{processes} processes are left")
    faults += [f"{cgroup} is left" for cgroup in _v1_runs()]
    return Finding(samples, faults, verdicts, growth(samples, _SLACK, _NOT_JUDGED))


@contextlib.asynccontextmanager
async def _cases(scratch: Path, kept: Path) -> AsyncIterator[dict[str, _Case]]:
    languages, cases = load_languages(), {}
    async with Supervisor() as supervisor, contextlib.AsyncExitStack() as held:
        with BuildCache.open(kept) as cache:
            here = Here(LocalRunner(supervisor), languages, cache, Cores(), scratch)
            for package, names in _CHOSEN.items():
                problem = read_problem(PROBLEMS / package)
                judge = await held.enter_async_context(open_judge(problem, here, Settings()))
                found = {one.name: one for one in problem.submissions}
                for name in names:
                    cases[f"{package}/{name}"] = _Case(judge, found[name])
            yield cases


async def _judge_one(name: str, case: _Case, seen: dict[str, object], faults: list[str]) -> str:
    limit = case.judge.problem.limits.time_seconds
    assert limit is not None, f"{name} would be measured"
    judgement = await case.judge.judge(case.submission, limit)
    found = (judgement.verdict, judgement.score, [one.verdict for one in judgement.tests])
    if found != seen.setdefault(name, found):
        faults.append(f"{name}: {found} after {seen[name]}: {judgement.why}")
    faults += [f"{name}: {unmet}" for unmet in check(case.submission, judgement)]
    return judgement.verdict


async def _sample(judgings: int, scratch: Path, kept: Path) -> Sample:
    await trio.sleep(_SETTLE_SECONDS)
    # What the allocator keeps depends on which judging was the last, and is no growth.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return Sample(
        judgings=judgings,
        kib=anonymous_kib(os.getpid()),
        fds=entries(Path("/proc/self/fd")),
        processes=_processes(),
        cgroups=_cgroups(),
        scratch_files=sum(1 for _ in scratch.rglob("*")),
        cache_files=sum(1 for _ in kept.rglob("*")),
    )


def _processes() -> int:
    """Of us, and of those we started: how many there are below this one."""
    found, waiting = 0, children(os.getpid())
    while waiting:
        found += 1
        waiting += children(waiting.pop())
    return found


def _cgroups() -> int:
    """Of this process's jobs, in every hierarchy, while its supervisor runs."""
    runs = _v1_runs() if v1_directories() else [v2_run()]
    return sum(1 for run in runs for path in run.rglob("*") if path.is_dir())


def _v1_runs() -> list[Path]:
    own = f"sandbox-run-{os.getpid()}-*"
    return [run for base in v1_directories() for run in base.glob(own)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m judge.steady", description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = trio.run(judge_many, options.count, options.seed)
    told = ", ".join(f"{count} {verdict}" for verdict, count in found.verdicts.most_common())
    print_verdict(found.samples, f"{options.count} judgings: {told}", found.grown, found.faults)
    return 1 if found.grown or found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
