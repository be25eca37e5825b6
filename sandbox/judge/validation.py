"""Whether what a submission wrote is right: by the default validator, or by the package's own.

A package's validator is a program of somebody's too: it runs in a sandbox, and what it does wrong
is a judge error, never the submission's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from sandbox.judge.building import Built
from sandbox.judge.compare import compare
from sandbox.judge.feedback import Feedback, LastWords, last_lines, unread
from sandbox.judge.problem import Problem, Test
from sandbox.judge.runner import Order, Runner
from sandbox.judge.scores import read_score
from sandbox.spec.errors import SandboxError, SpecError
from sandbox.spec.job import Job
from sandbox.spec.result import Completed, Result

__all__ = [
    "ACCEPTED", "REJECTED", "Validation", "by_comparing", "ending", "judged_by", "validate",
    "validate_statically",
]  # fmt: skip

ACCEPTED, REJECTED = 42, 43  # exit codes of validators, in every format
_LONG_BYTES = 1 << 16  # to compare more than this takes a while in which nobody is served


class Validation(NamedTuple):
    """What a validator has said of one output."""

    verdict: str  # AC, WA or JE
    why: str
    score: float | None = None
    judge_message: str = ""
    team_message: str = ""
    wants_another_pass: bool = False


async def by_comparing(answer: bytes, output: bytes, flags: Sequence[str]) -> Validation:
    """By the default validator."""
    if len(answer) + len(output) <= _LONG_BYTES:
        found = compare(answer, output, flags)
    else:
        found = await trio.to_thread.run_sync(compare, answer, output, flags)
    return Validation("AC" if found.accepted else "WA", found.message, judge_message=found.message)


async def validate(
    runner: Runner,
    built: Built,
    feedback: Feedback,
    problem: Problem,
    test: Test,
    input_path: Path,
    answer_path: Path,
    flags: Sequence[str],
    output: bytes,
    core: int | None,
) -> Validation:
    """By the package's validator."""
    job = feedback.job(built, input_path, answer_path, flags, problem.limits, core)
    return await _asked(runner, job, output, feedback, problem, test)


async def validate_statically(
    runner: Runner,
    built: Built,
    submission: Built,
    feedback: Feedback,
    problem: Problem,
    test: Test,
    core: int | None,
) -> Validation:
    """By the package's static validator, which is shown the sources. "Static validator" of
    2025-09: it says what it has to say as an output validator does."""
    flags = test.static_arguments or ()
    job = feedback.static_job(built, submission, flags, problem.limits, core)
    return await _asked(runner, job, b"", feedback, problem, test)


async def _asked(
    runner: Runner, job: Job, stdin: bytes, feedback: Feedback, problem: Problem, test: Test
) -> Validation:
    said = LastWords("stderr")
    try:
        done = await runner.run(Order(job, stdin, said.add))
    except SandboxError as error:
        return Validation("JE", f"{_who(test)} was not run: {error}")
    return judged_by(done._replace(stderr=said.text()), feedback, problem, test)


def judged_by(done: Completed, feedback: Feedback, problem: Problem, test: Test) -> Validation:
    """What its exit code and files say."""
    who = _who(test)
    code = done.result.exit_code if done.result.verdict == "exited" else None
    if code not in (ACCEPTED, REJECTED):
        neither = "" if code is None else ", which is neither 42 nor 43"
        why = f"{who} {ending(done.result)}{neither}"
        return Validation("JE", why, judge_message=last_lines(done.stderr))
    if problem_found := unread(done.result):
        return Validation("JE", f"{who}'s {problem_found}")
    judge, team = feedback.text("judgemessage.txt"), feedback.text("teammessage.txt")
    verdict = "AC" if code == ACCEPTED else "WA"
    try:
        score = read_score(
            problem,
            test,
            is_accepted=code == ACCEPTED,
            score=feedback.read("score.txt"),
            multiplier=feedback.read("score_multiplier.txt"),
        )
    except SpecError as error:
        return Validation("JE", f"{who}'s {error}", None, judge, team)
    is_more = test.static_arguments is None and feedback.has("nextpass.in")
    if is_more and problem.limits.passes == 1:
        why = f"{who} wants another pass (nextpass.in), and the problem is not multi-pass"
        return Validation("JE", why, None, judge, team)
    if is_more and verdict != "AC":  # "Multi-pass validation" of the format
        why = f"{who} wants another pass of an output that it has rejected"
        return Validation("JE", why, None, judge, team)
    why = judge.splitlines()[0][:200] if judge else ""
    return Validation(verdict, why, score, judge, team, is_more)


def _who(test: Test) -> str:
    return "the output validator" if test.static_arguments is None else "the static validator"


def ending(result: Result) -> str:
    """What became of a program, as the rest of a sentence."""
    if result.verdict == "exited":
        return f"exited with {result.exit_code}"
    if result.verdict == "signaled":
        return f"was ended by signal {result.signal}"
    return f"was ended: {result.verdict}: {'; '.join(result.evidence)}"
