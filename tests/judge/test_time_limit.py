"""Limits taken from accepted submissions."""

from __future__ import annotations

import functools

import pytest
import trio
from judge.fakes import LIMITS

from sandbox.judge.problem import Submission
from sandbox.judge.time_limit import limit_from, measure, slowest
from sandbox.judge.verdict import Judgement, Outcome
from sandbox.judge.verdict import TestRun as Run  # pytest takes a Test for one of its own
from sandbox.spec.errors import SpecError

FIRST = Run(9.0, 9.0, 0, 0)


def judged(name: str, verdict: str, *seconds: float, multiplier: float = 1.0) -> Judgement:
    tests = tuple(
        Outcome(f"secret/{number}", "AC", "", runs=(Run(9.0, 9.0, 0, 0), Run(cpu, cpu, 0, 0)))
        for number, cpu in enumerate(seconds)
    )
    return Judgement(name, "c", verdict, None, "why", tests, (), time_multiplier=multiplier)


class Judging:
    """A judge whose submissions come to what was said before."""

    def __init__(self, *judgements: Judgement) -> None:
        self.problem = self
        self.name, self.limits = "p", LIMITS
        self._judgements = {one.submission: one for one in judgements}
        self.submissions = [
            *(Submission(name, (), is_model=True) for name in self._judgements),
            Submission("wrong.c", ()),
        ]

    async def judge(self, submission: Submission, seconds: float) -> Judgement:
        return self._judgements[submission.name]


@pytest.mark.parametrize(
    ("slowest_seconds", "multiplier", "resolution", "limit"),
    [
        (0.5, 2.0, 1.0, 1.0),
        (0.5001, 2.0, 1.0, 2.0),
        (0.0, 2.0, 1.0, 1.0),
        (0.1, 3.0, 0.1, 0.3),  # 0.30000000000000004 is no reason for another step
        (0.101, 3.0, 0.1, 0.4),
        (0.0104, 1.0, 0.0, 0.011),
    ],
)
def test_a_limit_is_the_next_multiple_of_the_resolution(
    slowest_seconds: float, multiplier: float, resolution: float, limit: float
) -> None:
    limits = LIMITS._replace(time_multiplier=multiplier, time_resolution=resolution)
    assert limit_from(slowest_seconds, limits) == pytest.approx(limit)


def test_the_slowest_counts_by_its_last_run_and_without_its_language_s_multiplier() -> None:
    judgements = [judged("a.c", "AC", 0.3, 0.4), judged("a.py", "AC", 1.5, multiplier=5.0)]
    assert slowest(judgements) == (0.4, "a.c on secret/1")
    found = trio.run(measure, Judging(*judgements))
    assert (found.seconds, found.slowest) == (1.0, "a.c on secret/1")


@pytest.mark.parametrize("verdict", ["JE", "TLE"])
def test_what_is_not_accepted_leaves_the_limit_to_the_others(verdict: str) -> None:
    found = trio.run(measure, Judging(judged("a.c", "AC", 0.7), judged("a.kt", verdict, 60.0)))
    assert (found.seconds, found.slowest) == (2.0, "a.c on secret/0")
    assert [one.verdict for one in found.judgements] == ["AC", verdict], "all are told of"


@pytest.mark.parametrize(
    ("judgements", "words"),
    [
        ((), "no accepted submission to take one from"),
        ((judged("a.c", "WA", 0.1),), "a.c: is to be accepted, and comes to WA"),
        ((judged("a.kt", "JE"),), "a.kt: is to be accepted, and comes to JE"),
    ],
)
def test_no_limit_is_guessed(judgements: tuple[Judgement, ...], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        trio.run(measure, Judging(*judgements))


def test_a_package_that_is_checked_has_a_limit_where_nothing_is_accepted() -> None:
    judgements = (judged("a.c", "WA", 0.6), judged("b.c", "TLE", 9.0), judged("c.c", "RTE", 0.1))
    find = functools.partial(measure, takes_rejected=True)
    found = trio.run(find, Judging(*judgements))
    assert (found.seconds, found.slowest) == (2.0, "a.c on secret/0")
    found = trio.run(find, Judging(*judgements, judged("d.c", "AC", 1.1)))
    assert found.slowest == "d.c on secret/0", "what is accepted counts alone"
    for verdict in ("TLE", "JE", "CE"):
        with pytest.raises(SpecError, match="no time limit can be taken"):
            trio.run(find, Judging(judged("a.c", verdict, 0.1)))
