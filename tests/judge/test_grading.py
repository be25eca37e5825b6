"""Groups and sums: as the formats have them, whatever the order in which tests were judged."""

import random
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge.fakes import made_up

from sandbox.judge.grader import GraderRun, read_grade
from sandbox.judge.grading import Sum, next_graders, next_tests, settled, summed
from sandbox.judge.problem import Grading, Group, Problem
from sandbox.judge.problem import Test as Case  # pytest takes a Test for one of its own
from sandbox.judge.verdict import GroupOutcome, Outcome
from sandbox.spec.errors import SpecError

WORST = Grading("worst_error")
ALL_OR_NOTHING = Grading("first_error", "all", max_score=30, score_range=(0, 30))


def problem(
    *members: Group | Case,
    is_scoring: bool = True,
    breaks: bool = True,
    grading: Grading = WORST,
    is_lazy: bool = True,
    form: str = "legacy",
) -> Problem:
    data = Group("", members, breaks, grading)
    return made_up(data, format=form, is_scoring=is_scoring, is_lazy=is_lazy)


def group(
    name: str,
    tests: int | Iterable[Group | Case],
    grading: Grading = WORST,
    *,
    breaks: bool = True,
    accept: float = 1,
    reject: float = 0,
) -> Group:
    """With so many tests, "NAME/1" and so on, or those."""
    if isinstance(tests, int):
        tests = [
            Case(f"{name}/{n + 1}", None, None, accept_score=accept, reject_score=reject)
            for n in range(tests)
        ]
    return Group(name, tuple(tests), breaks, grading)


def outcomes(subject: Problem, verdicts: str, scores: Mapping[str, float] = {}) -> dict:
    """Of the tests in order; "-": has none."""
    named = zip(subject.data.tests(), verdicts.split(), strict=True)
    return {
        test.name: Outcome(test.name, verdict, f"why {verdict}", score=scores.get(test.name))
        for test, verdict in named
        if verdict != "-"
    }


def names(tests: Iterable[Case]) -> list[str]:
    return [test.name for test in tests]


# Flags of the legacy default grader: how it sums up verdicts, scores; the verdicts; what comes out.
# The sub-results of the reference grader gave these lines, run on each of them.
@pytest.mark.parametrize(
    ("grading", "verdicts", "verdict", "score"),
    [
        (Grading("worst_error"), "AC AC AC", "AC", 3),
        (Grading("worst_error"), "AC WA TLE", "TLE", 1),
        (Grading("worst_error"), "TLE MLE RTE", "RTE", 0),
        (Grading("worst_error"), "WA OLE WA", "OLE", 0),
        (Grading("first_error"), "AC WA TLE", "WA", 1),
        (Grading("first_error"), "TLE WA AC", "TLE", 1),
        (Grading("always_accept"), "WA TLE RTE", "AC", 0),
        (Grading("accept_if_any_accepted"), "WA AC RTE", "AC", 1),
        (Grading("accept_if_any_accepted"), "WA TLE RTE", "RTE", 0),
        (Grading("accept_if_any_accepted", otherwise="first_error"), "WA TLE RTE", "WA", 0),
        (Grading("worst_error", score="avg"), "AC AC WA", "WA", 2 / 3),
        (Grading("worst_error", score="min"), "AC AC WA", "WA", 0),
        (Grading("worst_error", score="max"), "AC AC WA", "WA", 1),
        (Grading("worst_error", score="min"), "AC AC AC", "AC", 1),
    ],
)
def test_members_are_summed_up_as_the_default_grader_does(
    grading: Grading, verdicts: str, verdict: str, score: float
) -> None:
    subject = problem(group("secret", 3, grading, breaks=False))
    found = summed(subject, outcomes(subject, verdicts))
    assert (found.verdict, found.score) == (verdict, pytest.approx(score))


def test_where_a_group_breaks_what_comes_later_neither_runs_nor_counts() -> None:
    subject = problem(group("sample", 1), group("secret", 3), is_scoring=False)
    assert names(next_tests(subject, {})) == ["sample/1", "secret/1", "secret/2", "secret/3"]
    known = outcomes(subject, "AC - WA JE")
    assert names(next_tests(subject, known)) == ["secret/1"], "it may break before the others"
    with pytest.raises(ValueError, match="no outcome yet"):
        summed(subject, known)
    known |= outcomes(subject, "AC TLE WA JE")
    assert next_tests(subject, known) == ()
    found = summed(subject, known)
    assert found == Sum(
        "TLE", None, "secret/1: why TLE",
        (
            GroupOutcome("sample", "AC", None, "sample/1: why AC"),
            GroupOutcome("secret", "TLE", None, "secret/1: why TLE"),
            GroupOutcome("", "TLE", None, "secret/1: why TLE"),
        ),
    )  # fmt: skip
    tests = settled(subject, known)
    assert [one.verdict for one in tests] == ["AC", "TLE", "", ""]
    assert tests[3].why == "not run: secret/1 was not accepted"


def test_all_tests_are_run_where_that_was_asked_and_the_sum_is_the_same() -> None:
    subject = problem(group("secret", 3), is_scoring=False, is_lazy=False)
    known = outcomes(subject, "AC WA -")
    assert names(next_tests(subject, known)) == ["secret/3"]
    assert names(next_tests(subject, known, is_lazy=True)) == []
    known = outcomes(subject, "AC WA RTE")
    assert summed(subject, known)[:3] == ("WA", None, "secret/2: why WA")
    assert [one.verdict for one in settled(subject, known)] == ["AC", "WA", "RTE"]
    assert [one.verdict for one in settled(subject, known, is_lazy=True)] == ["AC", "WA", ""]


def test_an_outcome_without_a_verdict_is_none() -> None:
    subject = problem(group("secret", 2), is_scoring=False)
    before = {"secret/1": Outcome("secret/1", "", "not run")}
    assert names(next_tests(subject, before)) == ["secret/1", "secret/2"]
    assert names(next_tests(subject, before, is_lazy=False)) == ["secret/1", "secret/2"]


def test_a_group_that_continues_needs_every_test() -> None:
    subject = problem(group("secret", 3, breaks=False), group("after", 1))
    known = outcomes(subject, "WA - RTE -")
    assert names(next_tests(subject, known)) == ["secret/2"], "its group fails: the sum breaks"
    known = outcomes(subject, "WA AC RTE -")
    assert next_tests(subject, known) == ()
    assert summed(subject, known)[:3] == ("RTE", 1, "secret/3: why RTE")


def test_what_may_still_be_accepted_leaves_the_later_groups_to_run() -> None:
    grading = Grading("accept_if_any_accepted")
    subject = problem(group("one", 2, grading, breaks=False), group("two", 1))
    assert names(next_tests(subject, outcomes(subject, "WA - -"))) == ["one/2", "two/1"]
    assert names(next_tests(subject, outcomes(subject, "WA WA -"))) == []
    assert summed(subject, outcomes(subject, "WA AC AC"))[:2] == ("AC", 2)


@pytest.mark.parametrize("breaks", [True, False])
def test_a_judge_error_that_counts_is_the_sum(breaks: bool) -> None:
    grading = Grading("accept_if_any_accepted")
    subject = problem(
        group("one", 3, grading, breaks=breaks), group("two", 1),
        grading=Grading("always_accept"), breaks=False,
    )  # fmt: skip
    known = outcomes(subject, "AC JE - -")
    assert next_tests(subject, known) == (), "nothing can mend it"
    found = summed(subject, known)
    assert found[:3] == ("JE", None, "one/2: why JE")
    assert [one.verdict for one in settled(subject, known)] == ["AC", "JE", "", ""]


def test_a_judge_error_that_may_not_count_decides_nothing_yet() -> None:
    accepts = group("one", 2, Grading("always_accept"))
    subject = problem(accepts, group("two", 1))
    assert names(next_tests(subject, outcomes(subject, "- JE -"))) == ["one/1", "two/1"]
    assert names(next_tests(subject, outcomes(subject, "WA JE -"))) == ["two/1"], "it broke before"
    assert names(next_tests(subject, outcomes(subject, "AC JE -"))) == []


def test_a_judge_error_behind_the_first_failure_does_not_count() -> None:
    subject = problem(group("secret", 3), is_scoring=False)
    assert names(next_tests(subject, outcomes(subject, "- AC JE"))) == ["secret/1"]
    assert summed(subject, outcomes(subject, "WA AC JE")).verdict == "WA"


@pytest.mark.parametrize("breaks", [True, False])
def test_an_ignored_sample_is_run_and_decides_nothing(breaks: bool) -> None:
    subject = problem(
        group("sample", 2), group("secret", 2, accept=50),
        grading=Grading("worst_error", ignores_sample=True), breaks=breaks,
    )  # fmt: skip
    assert names(next_tests(subject, {}))[0] == "sample/1"
    known = outcomes(subject, "RTE AC AC AC")
    assert next_tests(subject, known) == ()
    assert summed(subject, known)[:3] == ("AC", 100, "2 of 3 tests accepted")
    assert [one.group for one in summed(subject, known).groups] == ["sample", "secret", ""]
    only_sample = problem(group("sample", 1), grading=Grading(ignores_sample=True))
    assert summed(only_sample, outcomes(only_sample, "AC")).verdict == "JE"


def test_a_group_without_tests_counts_for_nothing() -> None:
    subject = problem(
        group("empty", 0), group("full", 1, accept=4), grading=Grading("worst_error", score="avg")
    )
    assert summed(subject, outcomes(subject, "AC"))[:2] == ("AC", 4)
    assert summed(problem(), {})[:3] == ("JE", None, "there is no test that counts")


def test_a_tests_own_score_comes_before_that_of_its_group() -> None:
    subject = problem(group("secret", 3, breaks=False, accept=10, reject=-1))
    known = outcomes(subject, "AC AC WA", {"secret/2": 2.5})
    assert summed(subject, known)[:2] == ("WA", 11.5)


@pytest.mark.parametrize(
    ("grading", "scores", "why"),
    [
        (Grading("worst_error", score_range=(0, 5)), (3, 3), "score 6 is not in 0 to 5"),
        (Grading("worst_error", score_range=(7, 9)), (3, 3), "score 6 is not in 7 to 9"),
        (Grading("worst_error", max_score=5), (3, 3), "score 6 is not in -inf to 5"),
        (Grading("worst_error"), (1.7e308, 1.7e308), "score inf is not in -inf to inf"),
        (Grading("worst_error", score="all"), (3, 3), "all or nothing of no max_score"),
    ],
)
def test_a_score_out_of_range_is_a_judge_error(
    grading: Grading, scores: tuple[float, float], why: str
) -> None:
    subject = problem(group("secret", 2, grading))
    known = outcomes(subject, "AC AC", dict(zip(("secret/1", "secret/2"), scores, strict=True)))
    assert summed(subject, known)[:3] == ("JE", None, f"data/secret: {why}")


def test_a_rejected_group_may_score_below_its_range() -> None:
    subject = problem(group("secret", 1, Grading("worst_error", score_range=(1, 9))))
    assert summed(subject, outcomes(subject, "WA"))[:2] == ("WA", 0)


def test_thirds_of_a_hundred_are_a_hundred() -> None:
    grading = Grading("first_error", "sum", max_score=100, score_range=(0, 100))
    subject = problem(group("secret", 49, grading, accept=100 / 49))
    assert summed(subject, outcomes(subject, "AC " * 49)).score == 100
    tenths = group("secret", 3, grading._replace(max_score=0.3, score_range=(0, 0.3)), accept=0.1)
    assert summed(problem(tenths), outcomes(problem(tenths), "AC AC AC")).score == 0.3


def test_a_test_that_must_have_a_score_and_has_none_is_a_judge_error() -> None:
    test = Case("secret/1", None, None, must_score=True)
    subject = problem(group("secret", [test]), form="2025-09")
    why = "secret/1: score.txt: is missing; secret/1 has no score of its own"
    assert summed(subject, outcomes(subject, "AC"))[:3] == ("JE", None, why)
    assert summed(subject, outcomes(subject, "WA"))[:2] == ("WA", 0)
    assert summed(subject, outcomes(subject, "AC", {"secret/1": 7}))[:2] == ("AC", 7)


def scored_groups(sample: tuple[str, ...] = ()) -> Problem:
    """As 2025-09 has them: secret sums up three groups, the third needs the first."""
    needs_first = Grading("first_error", "sum", require_pass=("secret/1",), max_score=40)
    secret = Grading("first_error", "sum", max_score=100, require_pass=sample)
    members = [
        group("secret/1", 2, ALL_OR_NOTHING, accept=0),
        group("secret/2", 2, Grading("first_error", "min", max_score=30), accept=30),
        group("secret/3", 2, needs_first, accept=20, breaks=False),
    ]
    return problem(
        group("sample", 1, accept=0), group("secret", members, secret, breaks=False),
        grading=Grading("first_error", ignores_sample=True), breaks=False, form="2025-09",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "verdict", "score"),
    [
        ("AC AC AC AC AC AC AC", "AC", 100),
        ("WA AC AC AC AC AC AC", "AC", 100),
        ("AC AC AC AC WA AC AC", "WA", 70),
        ("AC AC AC AC AC AC TLE", "TLE", 80),
        ("AC AC WA AC AC - -", "WA", 30),
        ("AC RTE - WA - - -", "RTE", 0),
    ],
)
def test_groups_have_points_of_their_own(verdicts: str, verdict: str, score: float) -> None:
    subject = scored_groups()
    known = outcomes(subject, verdicts)
    assert next_tests(subject, known) == ()
    assert summed(subject, known)[:2] == (verdict, score)


def test_a_group_is_not_run_where_the_one_it_needs_failed() -> None:
    subject = scored_groups()
    assert names(next_tests(subject, {}))[-1] == "secret/3/2", "it may pass"
    known = outcomes(subject, "AC - WA AC AC - -")
    assert names(next_tests(subject, known)) == ["secret/1/1"], "it has failed already"
    known = outcomes(subject, "AC AC WA AC AC RTE -")
    third = next(one for one in summed(subject, known).groups if one.group == "secret/3")
    why = "secret/3: not run: secret/1 was not accepted"
    assert third == GroupOutcome("secret/3", "WA", 0, why)
    assert [one.verdict for one in settled(subject, known)][-2:] == ["", ""]


def test_a_group_may_need_the_sample_to_pass() -> None:
    subject = scored_groups(sample=("sample",))
    known = outcomes(subject, "TLE - - - - - -")
    assert next_tests(subject, known) == ()
    assert summed(subject, known)[:3] == ("TLE", 0, "secret: not run: sample was not accepted")
    before = outcomes(subject, "- AC AC AC AC AC AC")
    assert names(next_tests(subject, before)) == ["sample/1"]
    with pytest.raises(ValueError, match="no outcome yet"):
        summed(subject, before)
    before = outcomes(subject, "- JE - - AC AC -")
    assert "secret/3/2" not in names(next_tests(subject, before)), "it is JE, or not run at all"


def test_a_group_that_needs_one_that_is_not_before_it_is_an_error_of_the_package() -> None:
    late = Grading("first_error", require_pass=("secret/2",))
    subject = problem(group("secret/1", 1, late), group("secret/2", 1))
    with pytest.raises(SpecError) as late_error:
        next_tests(subject, {})
    problem_found = "data/secret/1: require_pass: there is no group secret/2 before it"
    assert str(late_error.value) == problem_found
    unknown = problem(group("secret", 1), grading=Grading("best"))
    with pytest.raises(SpecError) as mode_error:
        summed(unknown, outcomes(unknown, "WA"))
    assert str(mode_error.value) == "data: best is no way to sum up verdicts"


def test_a_custom_grader_is_asked_when_its_members_are_known() -> None:
    custom = Grading("worst_error", flags=("-x",), is_custom=True, score_range=(0, 9))
    subject = problem(
        group("one", 3, custom, breaks=False), group("two", 1), breaks=True,
        grading=custom._replace(flags=()),
    )  # fmt: skip
    known = outcomes(subject, "AC MLE - -", {"one/1": 0.5})
    assert next_graders(subject, known) == ()
    assert names(next_tests(subject, known)) == ["one/3", "two/1"]
    known = outcomes(subject, "AC MLE WA -", {"one/1": 0.5})
    (run,) = next_graders(subject, known)
    assert run == GraderRun("one", ("-x",), b"AC 0.5\nRTE 0\nWA 0\n")
    assert names(next_tests(subject, known)) == ["two/1"], "the grader may accept"
    refused = {"one": read_grade("one", 0, b"WA 3\n")}
    assert next_tests(subject, known, refused) == ()
    assert next_graders(subject, known, refused) == (GraderRun("", (), b"WA 3\n"),)
    with pytest.raises(ValueError, match="no outcome yet"):
        summed(subject, known, refused)
    graded = refused | {"": read_grade("", 0, b"AC 4")}
    assert summed(subject, known, graded)[:2] == ("AC", 4)
    too_much = refused | {"": read_grade("", 0, b"AC 10")}
    assert summed(subject, known, too_much)[:3] == ("JE", None, "data: score 10 is not in 0 to 9")
    broken = {"one": read_grade("one", 1, b"")}
    assert next_tests(subject, known, broken) == next_graders(subject, known, broken) == ()
    assert summed(subject, known, broken)[:3] == ("JE", None, "the grader exited with 1")


MODES = ["first_error", "worst_error", "always_accept", "accept_if_any_accepted"]
GRADINGS = st.tuples(
    st.sampled_from(MODES), st.sampled_from(MODES[:2]), st.sampled_from(["sum", "avg", "min"])
).map(lambda drawn: Grading(drawn[0], otherwise=drawn[1], score=drawn[2]))
VERDICTS = st.sampled_from(["AC", "AC", "AC", "AC", "WA", "TLE", "RTE", "OLE", "MLE", "JE"])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    def members(name: str, depth: int) -> list[Group | Case]:
        made: list[Group | Case] = []
        for number in range(draw(st.integers(0, 3))):
            own = f"{name}/{number}".lstrip("/")
            if depth and draw(st.booleans()):
                earlier = [one.name for one in made if isinstance(one, Group)]
                needs = draw(st.lists(st.sampled_from(earlier), max_size=1)) if earlier else []
                grading = draw(GRADINGS)._replace(require_pass=tuple(needs))
                inner = members(own, depth - 1)
                made.append(group(own, inner, grading, breaks=draw(st.booleans())))
            else:
                made.append(Case(own, None, None, accept_score=number + 1, reject_score=-1))
        return made

    return problem(
        *members("", 3), grading=draw(GRADINGS), breaks=draw(st.booleans()),
        is_scoring=draw(st.booleans()),
    )  # fmt: skip


@given(problems(), st.data(), st.integers())
def test_the_order_of_judging_changes_nothing(
    subject: Problem, data: st.DataObject, seed: int
) -> None:
    tests = names(subject.data.tests())
    truth = {name: Outcome(name, data.draw(VERDICTS, name), "") for name in tests}
    one_by_one: dict[str, Outcome] = {}
    while wanted := next_tests(subject, one_by_one):
        one_by_one[wanted[0].name] = truth[wanted[0].name]
    chooser, at_once = random.Random(seed), dict[str, Outcome]()
    while wanted := next_tests(subject, at_once):
        name = chooser.choice(wanted).name
        at_once[name] = truth[name]
    assert one_by_one.keys() <= at_once.keys(), "what one after the other ran has to be run"
    found = summed(subject, one_by_one)
    assert found == summed(subject, at_once) == summed(subject, truth)
    counted = settled(subject, one_by_one)
    assert counted == settled(subject, at_once) == settled(subject, truth)
    assert {one.test for one in counted if one.verdict} == one_by_one.keys()
    assert [one.test for one in counted] == tests


@pytest.mark.parametrize(
    ("verdicts", "scores", "score"),
    [
        ("AC AC AC", {}, 30),
        ("AC WA AC", {}, 0),
        ("AC AC AC", {"g/1": 5, "g/2": 8}, 13),  # and nothing of the third
        ("AC WA AC", {"g/2": 8}, 8),
        ("AC AC AC", {"g/1": 50}, 50),  # accept_score is no bound of theirs
        ("AC AC AC", {"g/1": 0}, 0),
    ],
)
def test_scores_of_validators_go_before_that_of_the_group(
    verdicts: str, scores: dict[str, float], score: float
) -> None:
    grading = Grading("first_error", "all", max_score=30, of_scores="sum")
    subject = problem(group("g", 3, grading, breaks=False, accept=0))
    found = summed(subject, outcomes(subject, verdicts, scores))
    assert found.score == score
    assert found.verdict == ("WA" if "WA" in verdicts else "AC")
