"""data/ beside its tests: what only validators are shown."""

import pytest

from sandbox.judge.package import PackageError

ONE = {"data/valid_output/a.in": "1 2\n", "data/valid_output/a.ans": "3\n"}
YAML = "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\ntype: {}\n"
VALIDATOR = {"output_validator/v.py": ""}


def test_each_directory_says_what_validators_must_come_to(new) -> None:
    problem = new({
        "data/invalid_input/big.in": "-1\n",
        "data/invalid_output/b.in": "1 2\n",
        "data/invalid_output/b.ans": "3\n",
        "data/invalid_output/b.out": "4\n",
        **ONE,
        "data/valid_output/a.out": "3\n",
        "data/sample/1.out": "3.0\n",
    })  # fmt: skip
    found = {
        case.test.name: (case.accepts_input, case.output and case.output.name, case.accepts_output)
        for case in problem.validation_cases
    }
    assert found == {
        "invalid_input/big": (False, None, True),
        "invalid_output/b": (True, "b.out", False),
        "valid_output/a": (True, "a.out", True),
        "sample/1": (True, "1.out", True),
    }
    assert {test.name for test in problem.data.tests()} == {"sample/1", "secret/1"}


def test_they_have_flags_and_files_as_tests_have(new) -> None:
    problem = new({
        "data/test_group.yaml": "input_validator_args: [all]\n",
        "data/invalid_input/a.in": "", "data/invalid_input/a.files/book.txt": "",
        "data/invalid_input/deep/b.in": "",
        "data/invalid_input/deep/test_group.yaml": "input_validator_args: [deep]\n",
        "data/invalid_input/deep/c.in": "",
        "data/invalid_input/deep/c.yaml": "input_validator_args: {v: [own]}\nargs: [x]\n",
    })  # fmt: skip
    one, two, three = (case.test for case in problem.validation_cases)
    assert one.input_validator_flags == ("all",) and one.files[0][0] == "book.txt"
    assert two.input_validator_flags == ("deep",)
    assert three.input_validator_flags_by_name == {"v": ("own",)} and three.arguments == ("x",)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (ONE, r"data/valid_output/a\.out: is missing"),
        ({**ONE, "data/valid_output/a.in": None}, r"data/valid_output/a\.ans: belongs to no test"),
        (
            {**ONE, "data/valid_output/a.out": "", "data/valid_output/a.ans": None},
            r"data/valid_output/a\.ans: is missing",
        ),
        ({"data/invalid_input/a.in": "", "data/invalid_input/a.yaml": "ags: [x]\n"}, "ags"),
    ],
)
def test_what_is_not_whole_is_refused(new, files, told: str) -> None:
    with pytest.raises(PackageError, match=told):
        new(files)


@pytest.mark.parametrize("type", ["interactive", "multi-pass"])
def test_outputs_have_no_meaning_where_there_is_no_one_output(new, type: str) -> None:
    outputs = {**ONE, "data/valid_output/a.out": "3\n", "data/sample/1.out": "3\n"}
    inputs = {"data/invalid_input/a.in": ""}
    problem = new({"problem.yaml": YAML.format(type), **VALIDATOR, **outputs, **inputs})
    assert [case.test.name for case in problem.validation_cases] == ["invalid_input/a"]
    assert "data/valid_output: is for other types of problems; it is left out" in problem.notes
