"""A real judge on a package that a test makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from sandbox.judge.cores import Cores
from sandbox.judge.engine import open_judge
from sandbox.judge.here import opened
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Submission
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement

ECHO = "import sys\nsys.stdout.write(sys.stdin.read())\n"
# Says 42 where the whole output is the answer; the answer is read first.
STRICT = """import sys
answer = open(sys.argv[2], 'rb').read()
sys.exit(42 if sys.stdin.buffer.read() == answer else 43)
"""


def written(directory: Path, files: Mapping[str, str | bytes]) -> Path:
    """The files, at their paths below `directory`."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def package(directory: Path, files: Mapping[str, str | bytes] = {}, *, yaml: str = "") -> Path:
    """A problem of one secret test, whose input is its answer, with `files` over it."""
    limits = "limits: {time_limit: 1, memory: 256, output: 1, validation_time: 5}\n"
    return written(directory, {
        "problem.yaml": yaml if "limits:" in yaml else yaml + limits,
        "data/secret/1.in": "17\n",
        "data/secret/1.ans": "17\n",
        **files,
    })  # fmt: skip


def judged(
    directory: Path, submissions: Sequence[Submission], settings: Settings | None = None
) -> list[Judgement]:
    """What the submissions come to, one after the other."""

    async def main() -> list[Judgement]:
        problem = read_problem(directory)
        async with (
            opened(Cores()) as here,
            open_judge(problem, here, settings or Settings()) as judge,
        ):
            seconds = problem.limits.time_seconds or 1.0
            return [await judge.judge(one, seconds) for one in submissions]

    return trio.run(main)


def submission(directory: Path, name: str, source: str | bytes) -> Submission:
    """Of one file."""
    path = written(directory, {name: source}) / name
    return Submission(name, ((name, path),))
