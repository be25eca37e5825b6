"""python -m bench judge: what judging a problem of many small tests costs over its tests.

A package of a hundred tests, and two accepted submissions in C: one that ends at once, and one of
some 20 ms of CPU time a test. The judge stays, as a backend's would: it has compiled them before.
Bare is each test run one after the other with no sandbox, and nothing else of the judge's; the
loop around bubblewrap runs each test in it and compares the output, as many at once as the judge.
Then judgings over RPC, of five tests: see judge_service.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from bench.daemon import Daemon, serving
from bench.judge_service import judging_figures
from bench.machine import Watch
from bench.peers import BWRAP
from bench.ratios import Ratio
from bench.rounds import Figure, Measure, run_rounds
from bench.table import format_rows, ratio_rows
from sandbox.judge.cores import Cores
from sandbox.judge.engine import Judge, open_judge
from sandbox.judge.here import opened
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Problem
from sandbox.judge.trial import Settings

__all__ = ["main"]

_TESTS, _FEW_TESTS = 100, 5
_ROUNDS = 7
_JOBS = (1, 2)
_LIMIT_SECONDS = 10.0
_SUM = """\
#include <stdio.h>
int main(void) {
    long a, b;
    if (scanf("%%ld %%ld", &a, &b) != 2) return 1;
    for (volatile long i = 0; i < %d; i++);
    printf("%%ld\\n", a + b);
}
"""
_SUBMISSIONS = {"tests of no CPU time": 0, "tests of 20 ms": 60_000_000}


class _Package(NamedTuple):
    problem: Problem
    programs: dict[str, Path]  # name of a figure -> what gcc made of its submission
    tests: list[tuple[Path, bytes]]  # (input, answer)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench judge",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--markdown", action="store_true", help="as docs/performance.md has it")
    parser.add_argument("--service", action="store_true", help="judgings over RPC only")
    options = parser.parse_args(arguments)
    with (
        _package(_TESTS) as package, _package(_FEW_TESTS) as few,
        tempfile.TemporaryDirectory() as top,
    ):  # fmt: skip
        watch = Watch()
        ratios = [] if options.service else trio.run(_run, package, options.rounds)
        with serving(Path(__file__).resolve().parents[1], Path(top) / "service") as daemon:
            ratios += trio.run(_run_service, daemon, few, options.rounds)
    print(format_rows(ratio_rows(ratios), markdown=options.markdown))
    print(f"\n{options.rounds} rounds; {watch.machine().text()}")


async def _run(package: _Package, rounds: int) -> list[Ratio]:
    figures = []
    async with AsyncExitStack() as stack:
        judges: dict[int, Judge] = {}
        for jobs in _JOBS:
            here = await stack.enter_async_context(opened(Cores(jobs)))
            judges[jobs] = await stack.enter_async_context(
                open_judge(package.problem, here, Settings())
            )
        for number, (name, program) in enumerate(package.programs.items()):
            bare = _bare(program, package.tests)
            for jobs, judge in judges.items():
                peers = {"bare": bare, "a bwrap loop": _bwrap(program, package.tests, jobs)}
                title = f"judging, {name}, jobs: {jobs}"
                figures.append(Figure(title, _judging(judge, number), peers))
        return await run_rounds(figures, rounds)


async def _run_service(daemon: Daemon, package: _Package, rounds: int) -> list[Ratio]:
    async with (
        opened(Cores()) as here,
        open_judge(package.problem, here, Settings()) as judge,
        judging_figures(daemon, judge, _LIMIT_SECONDS) as figures,
    ):
        return await run_rounds(figures, rounds)


def _judging(judge: Judge, number: int) -> Measure:
    submission = judge.problem.submissions[number]

    async def measure() -> Sequence[float]:
        start = time.perf_counter()
        judgement = await judge.judge(submission, _LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        if judgement.verdict != "AC":
            raise RuntimeError(f"{submission.name}: {judgement.verdict}: {judgement.why}")
        return [seconds]

    return measure


def _bare(program: Path, tests: Sequence[tuple[Path, bytes]]) -> Measure:
    """The sum of what the runs take."""

    async def measure() -> Sequence[float]:
        total = 0.0
        output = program.with_suffix(".out")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for question, answer in tests:
            actions = [
                (os.POSIX_SPAWN_OPEN, 0, question, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, output, flags, 0o600),
            ]
            start = time.perf_counter()
            pid = os.posix_spawn(program, [program], {}, file_actions=actions)
            _, status = os.waitpid(pid, 0)
            total += time.perf_counter() - start
            if status or output.read_bytes() != answer:
                raise RuntimeError(f"{program.name} failed on {question.name}")
        return [total]

    return measure


def _bwrap(program: Path, tests: Sequence[tuple[Path, bytes]], jobs: int) -> Measure:
    def one(test: tuple[Path, bytes]) -> None:
        question, answer = test
        with question.open("rb") as stdin:
            done = subprocess.run([*BWRAP, program], stdin=stdin, stdout=subprocess.PIPE)
        if done.returncode or done.stdout != answer:
            raise RuntimeError(f"{program.name} failed on {question.name}")

    async def measure() -> Sequence[float]:
        start = time.perf_counter()
        with ThreadPoolExecutor(jobs) as threads:
            list(threads.map(one, tests))
        return [time.perf_counter() - start]

    return measure


@contextmanager
def _package(count: int) -> Iterator[_Package]:
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        place.chmod(0o755)
        directory = place / "sums"
        secret, accepted = directory / "data/secret", directory / "submissions/accepted"
        for made in (secret, accepted):
            made.mkdir(parents=True)
        (directory / "problem.yaml").write_text(
            f"name: sums\nlimits:\n  time_limit: {_LIMIT_SECONDS}\n"
        )
        tests = []
        for number in range(count):
            question, answer = secret / f"{number:03}.in", b"%d\n" % (3 * number)
            question.write_text(f"{number} {2 * number}\n")
            question.with_suffix(".ans").write_bytes(answer)
            tests.append((question, answer))
        programs = {}
        for name, loops in _SUBMISSIONS.items():
            source = accepted / f"sum{loops}.c"
            source.write_text(_SUM % loops)
            programs[name] = place / source.stem
            subprocess.run(["gcc", "-O2", "-static", "-o", programs[name], source], check=True)
        problem = read_problem(directory)
        yield _Package(problem, programs, tests)
