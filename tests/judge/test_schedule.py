"""The way through the tests: what it asks for is what grading says may matter, and asked rarely."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge.test_grading import group, problem

from sandbox.judge import schedule as subject
from sandbox.judge.grading import next_graders, next_tests, summed
from sandbox.judge.problem import Grading, Group
from sandbox.judge.schedule import Schedule
from sandbox.judge.verdict import GroupOutcome, Outcome

GRADINGS = [
    Grading("worst_error"), Grading("first_error"), Grading("always_accept"),
    Grading("accept_if_any_accepted"), Grading(is_custom=True),
]  # fmt: skip


@st.composite
def problems(draw: st.DrawFn):
    members = [
        group(
            f"g{number}",
            draw(st.integers(1, 4)),
            draw(st.sampled_from(GRADINGS)),
            breaks=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    return problem(
        *members,
        breaks=draw(st.booleans()),
        grading=draw(st.sampled_from(GRADINGS)),
        is_scoring=draw(st.booleans()),
    )


@given(problems(), st.randoms(use_true_random=False), st.integers(1, 3), st.booleans())
def test_whatever_the_order_it_ends_where_nothing_is_left_that_matters(
    package, choice: random.Random, at_once: int, is_lazy: bool
) -> None:
    schedule = Schedule(package, is_lazy=is_lazy)
    running: list[str] = []
    started = set()
    while schedule or running:
        while asked := schedule.graders():
            verdict = choice.choice(["AC", "WA"])
            schedule.grade(GroupOutcome(asked[0].group, verdict, 1.0))
        while len(running) < at_once and (test := schedule.take(running)):
            assert test.name not in started, "run twice"
            started.add(test.name)
            running.append(test.name)
        running = [name for name in running if schedule.matters(name)]
        if running:
            ended = running.pop(choice.randrange(len(running)))
            verdict = choice.choice(["AC", "AC", "AC", "WA", "JE"])
            schedule.settle(Outcome(ended, verdict, ""))
    known = schedule.outcomes, schedule.graded
    assert next_tests(package, *known, is_lazy=is_lazy) == ()
    assert next_graders(package, *known) == ()
    assert summed(package, *known).verdict


def looks(monkeypatch: pytest.MonkeyPatch, package, verdict: str) -> int:
    """How often all tests are looked through when each comes to that verdict."""
    count = 0

    def counted(*arguments, **more):
        nonlocal count
        count += 1
        return next_tests(*arguments, **more)

    monkeypatch.setattr(subject, "next_tests", counted)
    schedule = Schedule(package)
    while test := schedule.take(()):
        schedule.settle(Outcome(test.name, verdict, ""))
    return count


@pytest.mark.parametrize("verdict", ["AC", "WA"])
def test_a_thousand_tests_are_not_looked_through_a_thousand_times(
    monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    package = problem(group("secret", 1000, breaks=False))
    assert len(list(package.data.tests())) == 1000
    assert looks(monkeypatch, package, verdict) <= 4


def test_a_running_test_no_longer_matters_when_an_earlier_one_has_failed() -> None:
    schedule = Schedule(problem(Group("secret", group("secret", 3).members)))
    first, second = (schedule.take(()), schedule.take(("secret/1",)))
    assert first is not None and second is not None
    schedule.settle(Outcome("secret/1", "WA", ""))
    assert not schedule.matters("secret/2") and not schedule
