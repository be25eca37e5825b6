"""What a package expects of a submission is compared with what came, in words."""

import math

import pytest

from sandbox.judge.expectations import check
from sandbox.judge.problem import Expectation, Submission
from sandbox.judge.verdict import GroupOutcome, Judgement, Outcome

ACCEPTED = Expectation(permitted=frozenset({"AC"}))
WRONG = Expectation(permitted=frozenset({"AC", "WA"}), required=frozenset({"WA"}))


def judged(
    verdicts: dict[str, str], verdict: str, score: float | None = None, why: str = "because"
) -> Judgement:
    tests = tuple(
        Outcome(name, given, f"why {given}", judge_message=f"judge says {given}")
        for name, given in verdicts.items()
    )
    groups = (
        GroupOutcome("secret/one", "AC", 30), GroupOutcome("secret/two", "WA", 0),
        GroupOutcome("secret", "WA", 30), GroupOutcome("", verdict, score),
    )  # fmt: skip
    return Judgement("s", "c", verdict, score, why, tests, groups)


FAILED = judged({"sample/1": "AC", "secret/one/1": "AC", "secret/two/1": "WA"}, "WA", 30)
PASSED = judged({"sample/1": "AC", "secret/one/1": "AC", "secret/two/1": "AC"}, "AC", 60)
STOPPED = judged({"sample/1": "AC", "secret/one/1": "TLE", "secret/two/1": ""}, "TLE", 0)
NOT_COMPILED = Judgement("s", "c", "CE", None, "exit code 1", (), ())
HALF = Expectation(permitted=frozenset({"AC", "WA"}), score=(30, 30))


def only(tests: str, permitted: str = "", required: str = "", **more: object) -> Expectation:
    return Expectation(
        tests, frozenset(permitted.split()) or None, frozenset(required.split()), **more
    )


@pytest.mark.parametrize(
    ("expectations", "judgement", "unmet"),
    [
        ([], FAILED, []),
        ([ACCEPTED], PASSED, []),
        ([ACCEPTED], FAILED, ["AC is permitted, and secret/two/1 is WA: why WA"]),
        ([ACCEPTED], judged({"a": "WA", "b": "TLE", "c": ""}, "WA"),
         ["AC is permitted, and a is WA: why WA, and 1 more"]),
        ([WRONG], FAILED, []),
        ([WRONG], PASSED, ["WA was expected at least once, and there were 3 AC"]),
        ([WRONG], STOPPED, [
            "AC or WA is permitted, and secret/one/1 is TLE: why TLE",
            "WA was expected at least once, and there were 1 AC, 1 TLE (not run: 1)",
        ]),
        ([ACCEPTED], NOT_COMPILED, ["AC is permitted, and the submission is CE: exit code 1"]),
        ([only("secret/one", "AC")], NOT_COMPILED,
         ["secret/one: AC is permitted, and the submission is CE: exit code 1"]),
        ([only("*", "", "CE")], NOT_COMPILED, []),
        ([only("secret/one", "AC")], FAILED, []),
        ([only("secret/{one,two}", "AC")], FAILED,
         ["secret/{one,two}: AC is permitted, and secret/two/1 is WA: why WA"]),
        ([only("secret/*/1", "AC")], FAILED,
         ["secret/*/1: AC is permitted, and secret/two/1 is WA: why WA"]),
        ([only("secret", "AC", "TLE")], PASSED,
         ["secret: TLE was expected at least once, and there were 2 AC"]),
        ([only("secret/three", "AC")], PASSED, ["secret/three: there is no such test"]),
        ([only("secret/two", "AC")], STOPPED, []),
        ([only("secret/two", "AC TLE", "TLE")], STOPPED,
         ["secret/two: TLE was expected, and none of these tests was run"]),
        ([Expectation(verdicts=frozenset({"WA", "TLE"}))], FAILED, []),
        ([Expectation(verdicts=frozenset({"TLE", "RTE"}))], FAILED,
         ["TLE or RTE was expected in sum, and it is WA: because"]),
        ([Expectation(verdicts=frozenset({"CE"}))], NOT_COMPILED, []),
        ([HALF], FAILED, []),
        ([HALF], PASSED, ["a score of 30 was expected, and the submission has 60"]),
        ([HALF], judged({"a": "AC"}, "AC", 30.000000000001), []),
        ([Expectation(score=(31, 59.5))], FAILED,
         ["a score of 31 to 59.5 was expected, and the submission has 30"]),
        ([Expectation(score=(30, 60))], PASSED, []),
        ([Expectation(score=(math.nextafter(0, 1), math.nextafter(60, 0)))], PASSED,
         ["a score of over 0 to under 60 was expected, and the submission has 60"]),
        ([Expectation(score=(0, 9))], judged({"a": "AC"}, "AC"),
         ["a score of 0 to 9 was expected, and the submission has none"]),
        ([Expectation("secret/two", score=(0, 0))], FAILED, []),
        ([Expectation("secret", score=(30, 30))], FAILED, []),
        ([Expectation("secret/*", score=(30, 30))], FAILED,
         ["secret/*: a score of 30 was expected, and secret/two has 0"]),
        ([Expectation("secret/three", score=(1, 1))], FAILED,
         ["secret/three: a score of 1 was expected, and no such group was judged"]),
        ([Expectation(message="says WA")], FAILED, []),
        ([Expectation(message="says WA")], PASSED, ['no judge message holds "says WA"']),
        ([Expectation("secret/one", message="says WA")], FAILED,
         ['secret/one: no judge message holds "says WA"']),
        ([ACCEPTED, ACCEPTED, WRONG], PASSED,
         ["WA was expected at least once, and there were 3 AC"]),
        ([], judged({"a": "AC"}, "JE"), ["judge error: because"]),
        ([Expectation(verdicts=frozenset({"JE"}))], judged({}, "JE"), ["judge error: because"]),
    ],
)  # fmt: skip
def test_what_is_not_met_is_said(
    expectations: list[Expectation], judgement: Judgement, unmet: list[str]
) -> None:
    assert check(Submission("s", (), expectations=tuple(expectations)), judgement) == unmet


def test_what_is_said_twice_is_told_once() -> None:
    submission = Submission("s", (), expectations=(ACCEPTED, ACCEPTED))
    assert check(submission, FAILED) == ["AC is permitted, and secret/two/1 is WA: why WA"]
