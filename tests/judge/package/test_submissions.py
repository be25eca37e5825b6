"""submissions/: what each is expected to come to, and who says so."""

import math

import pytest

from sandbox.judge.problem import Expectation, Submission

_RTE = frozenset({"RTE", "MLE", "OLE"})
_WA = frozenset({"WA"})
_SCORING = "name: Sums\ntype: scoring\n"


def _find(problem, name: str) -> Submission:
    return next(one for one in problem.submissions if one.name == name)


@pytest.mark.parametrize(
    ("directory", "permitted", "required"),
    [
        ("accepted", {"AC"}, set()),
        ("wrong_answer", {"AC"} | _WA, _WA),
        ("time_limit_exceeded", {"AC", "TLE"} | _WA, {"TLE"}),
        ("run_time_error", None, _RTE),
        ("runtime_exception", None, _RTE),
        ("rejected", None, _RTE | _WA | {"TLE"}),
        ("brute_force", {"AC", "TLE"} | _RTE, {"TLE"} | _RTE),
    ],
)
def test_a_directory_says_what_its_tests_may_be(legacy, directory, permitted, required) -> None:
    (expectation,) = _find(legacy({f"submissions/{directory}/a.c": ""}), f"{directory}/a.c")[4]
    assert expectation.permitted == permitted and expectation.required == required
    assert expectation.tests == "*" and expectation.verdicts is None


@pytest.mark.parametrize(
    ("directory", "permitted"),
    [("time_limit_exceeded", {"AC", "TLE"}), ("run_time_error", {"AC"} | _RTE)],
)
def test_new_directories_permit_less(new, directory, permitted) -> None:
    (expectation,) = _find(new({f"submissions/{directory}/a.c": ""}), f"{directory}/a.c")[4]
    assert expectation.permitted == permitted


@pytest.mark.parametrize(
    ("directory", "verdicts"),
    [
        ("compiler_error", {"CE"}), ("output_limit", {"OLE"}), ("no_output", _WA),
        ("memory_limit_exceeded", {"MLE", "RTE"}), ("compile-error", {"CE"}),
    ],
)  # fmt: skip
def test_domjudges_directories_say_what_all_comes_to(legacy, directory, verdicts) -> None:
    (expectation,) = _find(legacy({f"submissions/{directory}/a.c": ""}), f"{directory}/a.c")[4]
    assert expectation == Expectation(verdicts=frozenset(verdicts))


def test_a_partial_solution_has_less_than_all_points(legacy) -> None:
    files = {"problem.yaml": _SCORING, "data/testdata.yaml": "range: 0 100\n"}
    problem = legacy({**files, "submissions/partially_accepted/a.c": ""})
    (expectation,) = _find(problem, "partially_accepted/a.c").expectations
    assert expectation.verdicts == {"AC"}
    assert expectation.score == (0, math.nextafter(100, 0))


def test_a_partial_solution_of_a_new_format_has_some_points_and_is_not_accepted(scoring) -> None:
    files = {"data/secret/test_group.yaml": "max_score: 100\n"}
    problem = scoring({**files, "submissions/partially_accepted/a.c": ""})
    (expectation,) = _find(problem, "partially_accepted/a.c").expectations
    assert expectation.verdicts is None
    assert expectation.score == (math.nextafter(0, 1), math.nextafter(100, 0))


@pytest.mark.parametrize(
    ("source", "verdicts"),
    [
        ("// @EXPECTED_RESULTS@: CORRECT, WRONG-ANSWER\n", {"AC"} | _WA),
        ("/* @EXPECTED_RESULTS@: TIMELIMIT */", {"TLE"}),
        ("# @expected_results@: run_time_error\n", {"RTE", "MLE"}),
        ("# @EXPECTED_SCORE@: CORRECT\n", {"AC"}),
        ("# \xff @EXPECTED_RESULTS@: COMPILER-ERROR", {"CE"}),
    ],
)
def test_a_comment_says_it_where_the_directory_does_not(legacy, source, verdicts) -> None:
    problem = legacy({"submissions/mixed/a/main.c": source.encode("latin-1")})
    (expectation,) = _find(problem, "mixed/a").expectations
    assert expectation == Expectation(verdicts=frozenset(verdicts))


def test_a_comment_counts_less_than_a_directory_that_says_it(legacy) -> None:
    source = "# @EXPECTED_RESULTS@: TIMELIMIT\n# @EXPECTED_SCORE@: 60.5\n"
    files = {"submissions/wrong_answer/a.py": source}
    (expectation,) = _find(legacy(files), "wrong_answer/a.py").expectations
    assert (expectation.verdicts, expectation.required) == (None, _WA)
    assert expectation.score == (60.5, 60.5)


def test_domjudges_directories_speak_of_the_sum(legacy) -> None:
    source = "# @EXPECTED_SCORE@: 60.5\n"
    names = ("wrong_answer/a.py", "accepted/b.py", "run-error/c.py")
    files = {f"submissions/{name}": source for name in names}
    problem = legacy({"problem.yaml": _SCORING, **files})
    score = (60.5, 60.5)
    assert [_find(problem, name).expectations for name in names] == [
        (Expectation(verdicts=frozenset(_WA), score=score),),
        (Expectation(verdicts=frozenset({"AC"}), score=score, time_bound="lower"),),
        (Expectation(verdicts=frozenset({"RTE", "MLE"}), score=score),),
    ]
    assert _find(problem, "accepted/b.py").is_model


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("@EXPECTED_RESULTS@: CORECT\n", 'expects "CORECT", no result; did you mean CORRECT?'),
        ("@EXPECTED_RESULTS@: CORRECT\n@EXPECTED_RESULTS@: CORRECT\n", "expects twice"),
        ("nothing", "nothing says what it should come to"),
    ],
)
def test_a_comment_that_means_nothing_is_noted(legacy, source, told) -> None:
    problem = legacy({"submissions/mixed/a.c": source})
    assert _find(problem, "mixed/a.c").expectations == ()
    assert any(told in note and "submissions/mixed/a.c" in note for note in problem.notes)


@pytest.mark.parametrize(
    ("directory", "near"),
    [("acepted", "; did you mean accepted?"), ("Wrong-Anwser", "; did you mean wrong_answer?"),
     ("mixed", "")],
)  # fmt: skip
def test_a_directory_that_means_nothing_is_noted_with_the_nearest(legacy, directory, near) -> None:
    (note,) = legacy({f"submissions/{directory}/a.c": ""}).notes
    assert note == f"submissions/{directory}/a.c: nothing says what it should come to{near}"


def test_rules_add_to_a_directory_or_replace_what_it_says(new) -> None:
    rules = """
time_limit_exceeded: {permitted: [AC, WA, TLE]}
time_limit_exceeded/{slow,slower}.*:
  language: cpp
  message: too many
  sample: {permitted: [AC]}
  secret/*-hard: {required: [TLE], use_for_time_limit: false}
"*/slow.cc": {entrypoint: slow, use_for_time_limit: false}
"""
    files = {"submissions/submissions.yaml": rules, "submissions/time_limit_exceeded/slow.cc": ""}
    one = _find(new(files), "time_limit_exceeded/slow.cc")
    assert (one.language, one.entry_point) == ("cpp", "slow")
    whole, message, sample, hard = one.expectations
    assert whole == Expectation(
        permitted=frozenset({"AC", "TLE"}) | _WA, required=frozenset({"TLE"}), time_bound=None
    )
    assert message == Expectation(message="too many")
    assert sample == Expectation("sample", frozenset({"AC"}), time_bound="lower")
    assert hard == Expectation("secret/*-hard", required=frozenset({"TLE"}))


def test_only_accepted_ones_that_may_bound_the_limit_are_models(new) -> None:
    files = {
        "submissions/accepted/slow.py": "",
        "submissions/wrong_answer/a.py": "",
        "submissions/submissions.yaml": "accepted/slow.py: {use_for_time_limit: false}\n",
    }
    problem = new(files)
    assert _find(problem, "accepted/sum.py").is_model
    assert not _find(problem, "wrong_answer/a.py").is_model
    assert _find(problem, "wrong_answer/a.py").expectations[0].time_bound == "lower"


def test_points_are_expected_in_a_range(scoring) -> None:
    text = "accepted: {score: 100}\npartial: {score: [30, 50.5]}\n"
    files = {"submissions/submissions.yaml": text, "submissions/partial/a.py": ""}
    problem = scoring(files)
    assert _find(problem, "accepted/sum.py").expectations[0].score == (100, 100)
    assert _find(problem, "partial/a.py").expectations == (Expectation(score=(30, 50.5)),)


def test_domjudge_names_an_entry_point(legacy) -> None:
    details = '{"submissions/accepted/two/": {"entry_point": "main.py", "langid": "python3"}}'
    files = {"submissions/accepted/two/main.py": "", "submissions/accepted/two/lib/a.py": ""}
    one = _find(legacy({**files, "submissions.json": details}), "accepted/two")
    assert (one.entry_point, one.language) == ("main.py", "python3")
    assert [name for name, _ in one.files] == ["main.py", "lib/a.py"]


def test_what_is_no_submission_is_left_out(new) -> None:
    files = {
        "submissions/README": "", "submissions/accepted/.gitkeep": "",
        "submissions/accepted/__pycache__/sum.pyc": "", "submissions/accepted/a b.py": "",
        "submissions/accepted/empty/.gitkeep": "", "submissions/accepted/a.c++": "",
        "submissions/submissions.yaml": "nowhere/*: {language: c}\n",
    }  # fmt: skip
    problem = new(files)
    assert [one.name for one in problem.submissions] == ["accepted/a.c++", "accepted/sum.py"]
    for told in ("submissions/README", "a b.py", "accepted/empty", "nowhere/*: matches no"):
        assert any(told in note for note in problem.notes)


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("accepted: {permited: [AC]}", "accepted.permited: no such key; did you mean permitted?"),
        ("accepted: {permitted: [OK]}", 'accepted.permitted: "OK" is not one of AC, WA, TLE, RTE'),
        ("accepted: [AC]", "accepted: an array is no table"),
        ("accepted: {score: 5}", "score: is for problems of type scoring only"),
        ("accepted: {secret: {permited: [AC]}}", "permited: no such key; did you mean permitted?"),
        ("accepted: {language: [c]}", "language: an array is no text"),
        ("accepted: {use_for_time_limit: upwards}", "is neither true nor false"),
        ("'a/**': {}", "a/**: ** and [ ] have no meaning in patterns"),
        ("'a{b': {}", "a{b: a brace without the other one"),
        ("'" + "{a,b}" * 9 + "': {}", "braces that make over 256 patterns"),
        ("accepted: {'secret/[ab]': {}}", "** and [ ] have no meaning in patterns"),
    ],
)
def test_rules_are_refused_by_file_and_rule(new, refusal, rules, told) -> None:
    message = refusal(new, {"submissions/submissions.yaml": rules + "\n"})
    assert message.startswith("submissions/submissions.yaml: ") and told in message
