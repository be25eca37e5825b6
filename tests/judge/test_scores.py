"""A test's score, as its validator wrote it, and what a package's own grader says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge.fakes import made_up

from sandbox.judge.grader import read_grade, write_results
from sandbox.judge.problem import Group, Problem
from sandbox.judge.problem import Test as Case  # pytest takes a Test for one of its own
from sandbox.judge.scores import read_number, read_score
from sandbox.judge.verdict import GroupOutcome
from sandbox.spec.errors import SpecError

BOUNDED = Case("secret/1", None, None, accept_score=20)
UNBOUNDED = Case("secret/1", None, None, must_score=True)
ALL_OR_NOTHING = Case("secret/1", None, None, accept_score=0, may_score=False)
SAMPLE = Case("sample/1", None, None, accept_score=0)


def problem(form: str = "2025-09", *, is_scoring: bool = True, sees: bool = True) -> Problem:
    return made_up(Group("", ()), format=form, is_scoring=is_scoring, validator_sees_score=sees)


@pytest.mark.parametrize(
    ("subject", "test", "score", "multiplier", "value"),
    [
        (problem(), BOUNDED, None, None, None),
        (problem(), BOUNDED, b"20\n", None, 20),
        (problem(), BOUNDED, b" 1.5e1 ", None, 15),
        (problem(), BOUNDED, b"20.000000001", None, 20.000000001),  # a sum that was rounded
        (problem(), BOUNDED, None, b"0.25", 5),
        (problem(), BOUNDED, None, b"1", 20),
        (problem(), UNBOUNDED, b"1e9", None, 1e9),
        (problem(), SAMPLE, b"3", None, None),
        (problem(), SAMPLE, b"nonsense", b"more", None),
        (problem(is_scoring=False), BOUNDED, b"nonsense", None, None),
        (problem("legacy"), BOUNDED, b"-300", None, -300),
        (problem("legacy"), SAMPLE, b"3", None, 3),
        (problem("legacy"), BOUNDED, None, b"0.25", None),  # no file of that format
    ],
)
def test_a_score_is_what_the_validator_wrote(
    subject: Problem, test: Case, score: bytes | None, multiplier: bytes | None, value: float | None
) -> None:
    found = read_score(subject, test, is_accepted=True, score=score, multiplier=multiplier)
    assert found == value


def test_a_rejected_output_is_scored_where_the_package_is_domjudges() -> None:
    subject = problem("legacy")._replace(scores_rejected=True)
    assert read_score(subject, BOUNDED, is_accepted=False, score=b"12.5\n") == 12.5


@pytest.mark.parametrize(
    ("test", "accepted", "score", "multiplier", "why"),
    [
        (BOUNDED, False, b"0", None,
         "score.txt: was written for an output that was rejected"),
        (BOUNDED, False, None, b"0",
         "score_multiplier.txt: was written for an output that was rejected"),
        (BOUNDED, True, b"1", b"1", "score.txt: was written beside score_multiplier.txt"),
        (BOUNDED, True, b"21", None, "score.txt: 21 is over 20, the most of secret/1"),
        (BOUNDED, True, b"-1", None, "score.txt: -1 is negative"),
        (BOUNDED, True, b"", None, 'score.txt: "" is no number such as 0.5'),
        (BOUNDED, True, b"nan", None, 'score.txt: "nan" is no number such as 0.5'),
        (BOUNDED, True, b"1 2", None, 'score.txt: "1 2" is no number such as 0.5'),
        (BOUNDED, True, None, b"1.5", "score_multiplier.txt: 1.5 is not between 0 and 1"),
        (BOUNDED, True, None, b"-0.5", "score_multiplier.txt: -0.5 is not between 0 and 1"),
        (ALL_OR_NOTHING, True, b"0", None,
         "score.txt: was written for secret/1, whose group is all or nothing"),
        (ALL_OR_NOTHING, True, None, b"1",
         "score_multiplier.txt: was written for secret/1, whose group is all or nothing"),
        (UNBOUNDED, True, None, b"0.5",
         "score_multiplier.txt: secret/1 has no most score that it could be a share of"),
    ],
)  # fmt: skip
def test_a_wrong_score_is_an_error_of_the_package(
    test: Case, accepted: bool, score: bytes | None, multiplier: bytes | None, why: str
) -> None:
    with pytest.raises(SpecError) as refused:
        read_score(problem(), test, is_accepted=accepted, score=score, multiplier=multiplier)
    assert str(refused.value) == why


@pytest.mark.parametrize("form", ["legacy", "2025-09"])
def test_a_validator_that_is_not_said_to_score_must_not(form: str) -> None:
    with pytest.raises(SpecError, match="does not say that its validator scores"):
        read_score(problem(form, sees=False), BOUNDED, is_accepted=True, score=b"1")


@pytest.mark.parametrize(
    "text",
    [
        b"1e999",
        b"inf",
        b"0x10",
        b"1e",
        b"1_0",
        b".",
        b"1\0",
        b"9" * 2000,
        b"1,5",
        "\uff11".encode(),
    ],
)
def test_a_number_is_decimal_and_finite(text: bytes) -> None:
    with pytest.raises(SpecError, match=r"^score: .* is no number such as 0\.5$"):
        read_number(text, "score")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_as_python_writes_it_is_read_again(value: float) -> None:
    assert read_number(f"{value!r}\n".encode(), "score") == value


def test_a_grader_reads_a_line_a_result_with_the_verdicts_of_the_format() -> None:
    results = [("AC", 1.0), ("WA", 0.1 + 0.2), ("WA", None), ("MLE", 0), ("OLE", 0), ("TLE", -2.5)]
    assert write_results(results) == b"AC 1\nWA 0.3\nWA 0\nRTE 0\nRTE 0\nTLE -2.5\n"


@pytest.mark.parametrize(
    ("code", "stdout", "outcome"),
    [
        (0, b"AC 12.5\n", ("AC", 12.5, "by the grader")),
        (0, b"  TLE\t-1e2\r\n\n", ("TLE", -100, "by the grader")),
        (0, b"JE 0", ("JE", None, "the grader said JE")),
        (1, b"AC 1", ("JE", None, "the grader exited with 1")),
        (None, b"AC 1", ("JE", None, "the grader did not end by itself")),
        (0, b"", ("JE", None, 'the grader wrote ""; a verdict and a score were due')),
        (0, b"AC", ("JE", None, 'the grader wrote "AC"; a verdict and a score were due')),
        (0, b"ac 1", ("JE", None, 'the grader wrote "ac 1"; a verdict and a score were due')),
        (0, b"CE 1", ("JE", None, 'the grader wrote "CE 1"; a verdict and a score were due')),
        (0, b"AC 1\nAC 2",
         ("JE", None, 'the grader wrote "AC 1\\nAC 2"; a verdict and a score were due')),
        (0, b"AC nan", ("JE", None, 'the grader\'s score: "nan" is no number such as 0.5')),
    ],
)  # fmt: skip
def test_a_grade_is_a_verdict_and_a_score_or_a_judge_error(
    code: int | None, stdout: bytes, outcome: tuple[str, float | None, str]
) -> None:
    assert read_grade("g", code, stdout) == GroupOutcome("g", *outcome)


@given(st.binary(max_size=40))
def test_any_output_of_a_grader_is_told_in_a_line(stdout: bytes) -> None:
    outcome = read_grade("g", 0, stdout + b"x" * 2000 if len(stdout) == 40 else stdout)
    assert outcome.why.isprintable() and len(outcome.why) < 200
    assert (outcome.verdict == "JE") is (outcome.score is None)
