"""data/: tests, groups and their grading, in each of the formats."""

import math

import pytest

from sandbox.judge.problem import Group

_T = "problem_format_version: 2023-07-draft\nname: Sums\nuuid: a-b\n"
_SCORING = "name: Sums\ntype: scoring\n"
_GROUP = {f"data/secret/{g}/{n}": "1\n" for g in ("a", "b") for n in ("1.in", "1.ans")}
_LOOK = {"static_validator/look.py": ""}
_NO_TESTS = {"data/secret/1.in": None, "data/secret/1.ans": None}


def _names(group: Group) -> list[str]:
    return [test.name for test in group.tests()]


def _group(problem, name: str) -> Group:
    pending = [problem.data]
    while pending:
        group = pending.pop()
        if group.name == name:
            return group
        pending += [member for member in group.members if isinstance(member, Group)]
    raise AssertionError(f"no group {name}")


def test_tests_come_in_the_order_of_their_names(legacy) -> None:
    more = ("10", "2", "a-b", "a", "g/1")
    files = {f"data/secret/{n}.{s}": "" for n in more for s in ("in", "ans")}
    assert _names(legacy(files).data) == [
        "sample/1", "secret/1", "secret/10", "secret/2", "secret/a", "secret/a-b", "secret/g/1",
    ]  # fmt: skip


def test_a_legacy_group_inherits_what_it_does_not_say(legacy) -> None:
    problem = legacy(
        {
            **_GROUP,
            "problem.yaml": _SCORING,
            "data/testdata.yaml": "on_reject: continue\ngrader_flags: ignore_sample min\n",
            "data/secret/testdata.yaml": (
                "range: 0 100\naccept_score: 50\noutput_validator_flags: x 1e-6\n"
            ),
            "data/secret/b/testdata.yaml": (
                "on_reject: break\nreject_score: -1.5\ngrader_flags: avg first_error\n"
                "input_validator_flags: n=5\n"
            ),
        }
    )
    assert not problem.is_lazy
    root, a, b = (_group(problem, name) for name in ("", "secret/a", "secret/b"))
    assert root.grading.ignores_sample and not root.breaks_on_reject
    assert (a.grading.score, a.grading.verdict) == ("min", "worst_error")
    assert not a.grading.ignores_sample
    assert (b.grading.score, b.grading.verdict) == ("avg", "first_error")
    assert (a.breaks_on_reject, b.breaks_on_reject) == (False, True)
    assert a.grading.score_range == b.grading.score_range == (0, 100)
    test = next(b.tests())
    assert (test.accept_score, test.reject_score) == (50, -1.5)
    assert test.output_validator_flags == ("x", "1e-6")
    assert test.input_validator_flags == ("n=5",)


def test_of_several_modes_the_last_one_counts(legacy) -> None:
    flags = "grader_flags: min worst_error max first_error accept_if_any_accepted\n"
    grading = _group(
        legacy({"problem.yaml": _SCORING, "data/secret/testdata.yaml": flags}), "secret"
    ).grading
    assert (grading.score, grading.verdict) == ("max", "accept_if_any_accepted")
    assert grading.otherwise == "first_error"


def test_a_custom_grader_gets_its_flags(legacy) -> None:
    files = {
        "problem.yaml": _SCORING,
        "graders/g.py": "",
        "data/testdata.yaml": "grading: custom\ngrader_flags: a b\n",
    }
    problem = legacy(files)
    assert problem.grader.name == "graders/g.py"
    assert problem.data.grading.is_custom and problem.data.grading.flags == ("a", "b")


def test_flags_of_one_input_validator_are_its_own(legacy) -> None:
    text = "input_validator_flags: {name: v, flags: n=5 m=6}\n"
    test = next(_group(legacy({"data/secret/testdata.yaml": text}), "secret").tests())
    assert test.input_validator_flags == ()
    assert test.input_validator_flags_by_name == {"v": ("n=5", "m=6")}


def test_of_a_key_that_a_group_says_twice_the_last_counts(legacy) -> None:
    text = "input_validator_flags: a\ninput_validator_flags: n=5\n"
    problem = legacy({"data/secret/testdata.yaml": text})
    assert next(_group(problem, "secret").tests()).input_validator_flags == ("n=5",)
    told = 'data/secret/testdata.yaml: line 2: the key "input_validator_flags" twice; the last one'
    assert f"{told} counts" in problem.notes


def test_hints_and_descriptions_are_read(legacy) -> None:
    files = {"data/secret/1.hint": "Read it\n", "data/secret/1.desc": "Large\n"}
    test = next(_group(legacy(files), "secret").tests())
    assert (test.hint, test.description) == ("Read it", "Large")


def test_what_is_no_part_of_data_is_noted(legacy) -> None:
    files = {"data/extra/1.in": "", "data/extra/1.ans": "", "data/secret/empty/README": ""}
    problem = legacy(files)
    assert _names(problem.data) == ["sample/1", "secret/1"]
    assert "data/extra: is neither sample nor secret; it is left out" in problem.notes
    assert "data/secret/empty: has no test; it is left out" in problem.notes


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("data/secret/2.IN", "is left out; legacy has .in"),
        ("data/secret/testdata.yml", "is left out; did you mean testdata.yaml?"),
        ("data/secret/test_group.yaml", "is left out; legacy has testdata.yaml, and problem.y"),
    ],
)
def test_what_is_called_almost_as_a_file_of_the_data_is_noted(legacy, name, told) -> None:
    (note,) = legacy({name: ""}).notes
    assert note.startswith(f"{name}: {told}")


def test_what_a_new_format_calls_otherwise_is_noted(new) -> None:
    files = {"data/secret/1.yaml": "hint: look\n", "data/secret/testgroup.yaml": ""}
    problem = new({**files, "data/secret/1.files/2.IN": ""})  # a test's own: of any name
    assert problem.notes == (
        "data/secret/testgroup.yaml: is left out; did you mean test_group.yaml?",
    )


def test_an_answer_may_be_made_by_a_model_solution_and_that_is_noted(legacy) -> None:
    problem = legacy({"data/secret/1.ans": None})
    test = next(_group(problem, "secret").tests())
    assert test.answer is None and test.input is not None
    assert problem.notes == ("data/secret/1.ans: is missing; an accepted submission makes it",)


_DOMJUDGES = {
    "problem.yaml": _SCORING,
    "submissions/partial/a.py": "# @EXPECTED_SCORE@: 30\n",
    "data/testdata.yaml": "on_reject: continue\n",
    **_GROUP,
    "data/secret/a/2.in": "", "data/secret/a/2.ans": "",
    "data/secret/testdata.yaml": "reject_score: 7\n",
    "data/secret/a/testdata.yaml": "accept_score: 20\ngrader_flags: max\n",
    **_NO_TESTS,
}  # fmt: skip


def test_accept_score_is_that_of_each_test(legacy) -> None:
    problem = legacy({**_DOMJUDGES, "submissions/partial/a.py": "# @EXPECTED_RESULTS@: CORRECT\n"})
    a, b, root = (_group(problem, name) for name in ("secret/a", "secret/b", ""))
    assert [(test.accept_score, test.reject_score) for test in a.tests()] == [(20, 7)] * 2
    assert next(b.tests()).accept_score == 1
    assert (a.grading.score, a.grading.verdict, a.grading.of_scores) == ("max", "worst_error", "")
    assert not root.grading.ignores_sample
    assert not problem.validator_sees_score and not problem.scores_rejected


def test_accept_score_is_that_of_the_group_where_submissions_are_domjudges(legacy) -> None:
    custom = {"problem.yaml": f"{_SCORING}validation: custom\n", "output_validators/v.py": ""}
    problem = legacy({**_DOMJUDGES, **custom})
    a, b, root = (_group(problem, name) for name in ("secret/a", "secret/b", ""))
    assert {(test.accept_score, test.reject_score) for test in problem.data.tests()} == {(0, 0)}
    assert (a.grading.score, a.grading.max_score, a.grading.of_scores) == ("all", 20, "max")
    assert (b.grading.score, b.grading.max_score, b.grading.of_scores) == ("all", 0, "sum")
    assert (root.grading.score, root.grading.verdict) == ("sum", "first_error")
    assert root.grading.ignores_sample, "a directory that says nothing is no group there"
    assert problem.validator_sees_score and problem.scores_rejected
    assert any("so DOMjudge reads packages" in note for note in problem.notes)


def test_a_sample_that_is_a_group_counts_for_domjudge(legacy) -> None:
    problem = legacy({**_DOMJUDGES, "data/sample/testdata.yaml": "accept_score: 5\n"})
    assert not problem.data.grading.ignores_sample
    assert _group(problem, "sample").grading.max_score == 5


@pytest.mark.parametrize("text", ["name: a\n", f"{_T}type: scoring\n"])
def test_no_other_package_is_read_as_domjudge_does(legacy, text) -> None:
    problem = legacy({"problem.yaml": text, "submissions/partial/a.py": "@EXPECTED_SCORE@: 30"})
    assert not problem.scores_rejected
    assert not any("DOMjudge" in note for note in problem.notes)


def test_a_new_test_says_for_itself(new) -> None:
    files = {
        "data/secret/test_group.yaml": "args: [all]\noutput_validator_args: [x, '1e-6']\n",
        "data/secret/1.yaml": (
            "args: [one, two words]\ninput_validator_args: {v: [a], w: []}\nhint: Read it\n"
        ),
        "data/secret/1.files/in.txt": "5",
        "data/secret/1.files/sub/more.txt": "6",
        "data/secret/deep/2.in": "",
        "data/secret/deep/2.ans": "",
    }
    one, two = _group(new(files), "secret").tests()
    assert (one.arguments, two.arguments) == (("one", "two words"), ("all",))
    assert one.output_validator_flags == two.output_validator_flags == ("x", "1e-6")
    assert one.input_validator_flags_by_name == {"v": ("a",), "w": ()}
    assert [name for name, _ in one.files] == ["in.txt", "sub/more.txt"]
    assert (one.hint, two.name) == ("Read it", "secret/deep/2")


def test_points_are_shared_out_among_tests(scoring) -> None:
    files = {
        **_NO_TESTS, **_GROUP,
        "data/secret/a/2.in": "", "data/secret/a/2.ans": "",
        "data/secret/a/test_group.yaml": "max_score: 30\nscore_aggregation: sum\n",
        "data/secret/b/test_group.yaml": "max_score: 70\nrequire_pass: sample\n",
    }  # fmt: skip
    problem = scoring({**files})
    a, b, secret = (_group(problem, name) for name in ("secret/a", "secret/b", "secret"))
    assert problem.data.grading.ignores_sample
    assert [test.accept_score for test in a.tests()] == [15, 15]
    assert (a.grading.score, a.grading.max_score, a.breaks_on_reject) == ("sum", 30, False)
    assert (b.grading.score, b.grading.max_score, b.breaks_on_reject) == ("all", 70, True)
    assert b.grading.require_pass == ("sample",)
    assert (secret.grading.score, secret.grading.max_score) == ("sum", 100)
    assert not any(test.must_score for test in problem.data.tests())


def test_without_a_most_score_the_validator_must_say_one(scoring) -> None:
    files = {"data/secret/test_group.yaml": "max_score: unbounded\n"}
    secret = _group(scoring(files), "secret")
    assert next(secret.tests()).must_score
    assert secret.grading.max_score is None and secret.grading.score_range == (0, math.inf)


def test_a_static_validation_test_comes_first_and_has_points_of_its_own(scoring) -> None:
    files = {
        **_LOOK, **_NO_TESTS, **_GROUP,
        "data/sample/test_group.yaml": "static_validation_score: pass-fail\n",
        "data/secret/test_group.yaml": "static_validation_score: 10\n",
        "data/secret/a/2.in": "", "data/secret/a/2.ans": "",
        "data/secret/a/test_group.yaml":
            "max_score: 30\nscore_aggregation: sum\nstatic_validation_score: 10\n",
        "data/secret/b/test_group.yaml":
            "max_score: 60\nscore_aggregation: min\nstatic_validation_score: 60\n"
            "static_validator_args: [x]\n",
        "data/secret/c/test_group.yaml":
            "max_score: 0\nstatic_validation_score: pass-fail\n",
    }  # fmt: skip
    problem = scoring(files)
    assert problem.static_validator.name == "static_validator"
    assert problem.validator_sees_score
    look = "static validation"
    assert [(test.name, test.accept_score, test.may_score) for test in problem.data.tests()] == [
        (f"sample/{look}", 0, False), ("sample/1", 0, True), (f"secret/{look}", 10, True),
        (f"secret/a/{look}", 10, True), ("secret/a/1", 10, True), ("secret/a/2", 10, True),
        (f"secret/b/{look}", 60, True), ("secret/b/1", 60, True), (f"secret/c/{look}", 0, False),
    ]  # fmt: skip
    arguments = {test.name: test.static_arguments for test in problem.data.tests()}
    assert arguments[f"secret/b/{look}"] == ("x",) and arguments[f"secret/a/{look}"] == ()
    assert arguments["secret/a/1"] is None


def test_a_static_validator_that_nobody_asks_is_noted(new) -> None:
    problem = new(_LOOK)
    assert problem.static_validator is None
    assert any(note.startswith("static_validator: is not used") for note in problem.notes)


def test_a_static_validator_needs_programs_to_look_at(new, refusal) -> None:
    text = "problem_format_version: 2025-09\nname: a\nuuid: x\ntype: submit-answer\n"
    message = refusal(new, {"problem.yaml": text, **_LOOK})
    assert message.startswith("static_validator: has nothing to look at")


def test_tests_that_are_to_be_generated_are_told_how(new, refusal) -> None:
    files = {**_NO_TESTS, "generators/generators.yaml": "data: {}\n"}
    assert refusal(new, files).endswith("generators/generators.yaml makes it: bt generate")
    files |= {"data/sample/1.in": None, "data/sample/1.ans": None}
    message = refusal(new, files)
    assert message.startswith("data") and message.endswith("bt generate")


def test_constants_stand_in_group_files(scoring) -> None:
    text = "problem_format_version: 2025-09\nname: a\nuuid: x\ntype: scoring\nconstants: {n: 7}\n"
    files = {"problem.yaml": text, "data/secret/test_group.yaml": "args: ['{{n}}', '{{m}}']\n"}
    assert next(_group(scoring(files), "secret").tests()).arguments == ("7", "{{m}}")


def test_constants_do_not_make_a_group_file_grow_without_end(scoring, refusal) -> None:
    text = "problem_format_version: 2025-09\nname: a\nuuid: x\ntype: scoring\nconstants: {n: %s}\n"
    many = "args: ['" + "{{n}}" * 40_000 + "']\n"
    files = {"problem.yaml": text % ("x" * 10_000), "data/secret/test_group.yaml": many}
    assert "test_group.yaml: is over 262144 bytes with its constants" in refusal(scoring, files)


def test_the_draft_is_read_as_its_packages_tell_groups(new) -> None:
    old = new({"problem.yaml": _T, "data/testdata.yaml": "on_reject: continue\n"})
    assert not old.data.breaks_on_reject
    later = {"problem.yaml": f"{_T}type: scoring\n", "data/secret/1.args": "a  b\n"}
    later |= {"data/secret/testdata.yaml": "scoring: {score: 40, aggregation: min}\n"}
    later |= {"data/testdata.yaml": "run_samples: false\noutput_validator_flags: y 2\n"}
    problem = new(later)
    secret = _group(problem, "secret")
    assert _names(problem.data) == ["secret/1"]
    assert (secret.grading.score, secret.grading.max_score) == ("min", 40)
    test = next(secret.tests())
    assert (test.arguments, test.output_validator_flags) == (("a", "b"), ("y", "2"))


def test_an_answer_without_input_is_a_test_of_submit_answer(new) -> None:
    text = "problem_format_version: 2025-09\nname: a\nuuid: x\ntype: submit-answer\n"
    problem = new({"problem.yaml": text, "data/secret/1.in": None})
    assert problem.is_submit_answer
    assert next(_group(problem, "secret").tests()).input is None


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"data/secret/2.ans": ""}, "data/secret/2.ans: belongs to no test: no 2.in"),
        ({"data/1.in": ""}, "data/1.in: tests belong in data/sample or data/secret"),
        (
            {"data/secret/1.ans": None, "submissions/accepted/sum.py": None},
            "data/secret/1.ans: is missing, and no accepted submission could make it",
        ),
        (
            {"data/secret/testdata.yaml": "on_reject: brake"},
            'data/secret/testdata.yaml: on_reject: "brake" is not one of break, continue; did you',
        ),
        ({"data/testdata.yaml": "grading: custom"}, "is custom, and graders/ has no grader"),
        ({"data/testdata.yaml": "grader_flags: summ"}, '"summ" is no flag of the default grader'),
        (
            {"data/secret/testdata.yaml": "grader_flags: ignore_sample"},
            "ignore_sample belongs in data/testdata.yaml",
        ),
        ({"data/testdata.yaml": "range: 1 0"}, "range: is not two numbers, the smaller one first"),
        ({"data/testdata.yaml": "range: 0 nan"}, "range: is not two numbers"),
        ({"data/testdata.yaml": "range: 5"}, "range: is not two numbers"),
        ({"data/testdata.yaml": "accept_score: much"}, 'accept_score: "much" is no number'),
    ],
)  # fmt: skip
def test_legacy_data_is_refused_by_file_and_rule(legacy, refusal, files, told) -> None:
    assert told in refusal(legacy, {"problem.yaml": _SCORING, **files})


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (_NO_TESTS, "data/secret: is missing"),
        ({**_NO_TESTS, "data/secret/README": ""}, "data/secret: has no test"),
        ({**_GROUP, "data/secret/a/test_group.yaml": ""}, "has tests beside groups"),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "max_score: 1"},
            "data/secret/b: has no test_group.yaml, and its neighbours do",
        ),
        (
            {**_NO_TESTS, "data/secret/a/1/1.in": "", "data/secret/a/1/1.ans": "",
             "data/secret/a/test_group.yaml": "", "data/secret/a/1/test_group.yaml": ""},
            "groups are in data/secret only",
        ),
        ({"data/secret/1/2.in": "", "data/secret/1/2.ans": ""}, "a directory and a test at once"),
        ({"data/secret/1.args": "a"}, "1.args: is no file of the format; write args: in data/secr"),
        ({"data/secret/1.yaml": "arg: [a]"}, "1.yaml: arg: no such key; did you mean args?"),
        ({"data/secret/1.yaml": "args: a b"}, 'args: "a b" is no sequence; write [a, b]'),
        ({"data/secret/2.files/x": ""}, "2.files: belongs to no test: no 2.in"),
        (
            {"data/secret/test_group.yaml": "score_agregation: sum"},
            "score_agregation: no such key; did you mean score_aggregation?",
        ),
        ({"data/secret/test_group.yaml": "max_score: -1"}, "max_score: -1 is out of range"),
        ({"data/secret/test_group.yaml": "require_pass: secret/a"}, "can ask for sample only"),
        ({"data/sample/test_group.yaml": "max_score: 5"}, "max_score: is not permitted here"),
        (
            {"data/secret/test_group.yaml": "static_validation_score: 5"},
            "data/secret/test_group.yaml: static_validation_score: there is no static_validator",
        ),
        (
            {"data/secret/test_group.yaml": "static_validator_args: [a]"},
            "static_validator_args: has no meaning without static_validation_score",
        ),
        (
            {**_LOOK, "data/secret/test_group.yaml": "static_validation_score: 500"},
            "static_validation_score: is over max_score, 100",
        ),
        (
            {**_LOOK, "data/secret/test_group.yaml": "static_validation_score: -1"},
            "static_validation_score: -1 is out of range",
        ),
        (
            {**_LOOK, "data/secret/test_group.yaml": "static_validation_score: all"},
            'static_validation_score: "all" is no number',
        ),
        (
            {**_LOOK, "data/secret/test_group.yaml": "static_validation_score: pass-fail"},
            "static_validation_score: must be a number here",
        ),
        (
            {**_LOOK, "data/sample/test_group.yaml": "static_validation_score: 5"},
            "data/sample/test_group.yaml: static_validation_score: must be pass-fail here",
        ),
        (
            {**_LOOK, "data/test_group.yaml": "static_validation_score: 5"},
            "static_validation_score: belongs in sample, secret or a group",
        ),
        ({"data/secret/test_group.yaml": "full_feedback: a"}, "is neither true nor false"),
        ({"data/secret/1.yaml": "output_visualizer_args: a"}, '_args: "a" is no sequence'),
        (
            {"data/secret/test_group.yaml": "score_aggregation: pass-fail\nmax_score: unbounded"},
            "data/secret/test_group.yaml: max_score: pass-fail aggregation needs one",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/test_group.yaml": "score_aggregation: pass-fail",
             "data/secret/a/test_group.yaml": "max_score: 1", "data/secret/b/test_group.yaml": ""},
            "data/secret/b/test_group.yaml: max_score: is missing; secret has one, 100",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "max_score: 60",
             "data/secret/b/test_group.yaml": "max_score: unbounded\nscore_aggregation: sum"},
            "data/secret/b/test_group.yaml: max_score: is unbounded; secret has one, 100",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "max_score: 60",
             "data/secret/b/test_group.yaml": "max_score: 60"},
            "max_score: is 100, and its groups come to 120",
        ),
        (
            {**_LOOK, **_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "max_score: 60",
             "data/secret/test_group.yaml": "static_validation_score: 10",
             "data/secret/b/test_group.yaml": "max_score: 40"},
            "max_score: is 100, and its groups come to 110",
        ),
        (
            {"data/secret/test_group.yaml": "", "data/secret/testdata.yaml": ""},
            "stands beside testdata.yaml, its old name; keep one",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "",
             "data/secret/b/test_group.yaml": "max_score: 5"},
            "data/secret/a/test_group.yaml: max_score: is missing; secret has one, 100",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/testgroup.yaml": "",
             "data/secret/b/test_group.yaml": "max_score: 5"},
            "a: has no test_group.yaml, and its neighbours do; did you mean testgroup.yaml?",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/testgroup.yaml": "",
             "problem.yaml": f"{_T}type: scoring\n"},
            "data/secret/a/test_group.yaml: is missing, and with it max_score; secret has one, 100;"
            " did you mean testgroup.yaml?",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/test_group.yaml": "max_score: unbounded",
             "data/secret/a/test_group.yaml": "",
             "data/secret/b/test_group.yaml": "max_score: 5"},
            "data/secret/a/test_group.yaml: max_score: pass-fail aggregation needs one",
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/a/test_group.yaml": "max_score: 5",
             "data/secret/b/test_group.yaml": "max_score: 5\nrequire_pass: [secret/c]"},
            'require_pass: "secret/c" is no earlier group with pass-fail aggregation',
        ),
        (
            {**_NO_TESTS, **_GROUP, "data/secret/test_group.yaml": "score_aggregation: pass-fail",
             "data/secret/a/test_group.yaml": "score_aggregation: sum",
             "data/secret/b/test_group.yaml": ""},
            "score_aggregation: must be pass-fail, as that of secret is",
        ),
    ],
)  # fmt: skip
def test_new_data_is_refused_by_file_and_rule(scoring, refusal, files, told) -> None:
    assert told in refusal(scoring, files)


def test_points_of_a_pass_fail_problem_are_refused(new, refusal) -> None:
    message = refusal(new, {"data/secret/test_group.yaml": "max_score: 5\n"})
    assert "max_score: is not permitted in a pass-fail problem" in message
