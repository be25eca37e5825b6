"""Submissions that are outputs, of a submit-answer problem: a file for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.sources import SourceError, read_source
from sandbox.judge.trial import Trials
from sandbox.judge.verdict import Outcome

__all__ = ["check_answers"]


async def check_answers(
    problem: Problem, submission: Submission, trials: Trials
) -> AsyncIterator[Outcome]:
    """Each test, by the file of its name; the only secret one by the only file, whatever its
    name."""
    tests = list(problem.data.tests())
    secret = [test for test in tests if not test.name.startswith("sample")]
    files = {Path(name).stem: path for name, path in submission.files}
    for test in tests:
        path = files.get(Path(test.name).name)
        if path is None and len(files) == 1 and test in secret and len(secret) == 1:
            (path,) = files.values()
        if path is None:
            yield Outcome(test.name, "WA", "there is no output for this test")
        else:
            yield await _check(test, path, problem.limits.output_bytes, trials)


async def _check(test: Test, path: Path, most_bytes: int, trials: Trials) -> Outcome:
    try:
        output, _ = read_source(path, most_bytes)
    except SourceError as error:
        return Outcome(test.name, "WA", str(error))
    return await trials.check(test, output)
