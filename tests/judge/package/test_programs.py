"""Validators, graders and included files: what one program is."""

import pytest

from sandbox.judge.package import read_problem


def _files(program) -> list[str]:
    return [name for name, _ in program.files]


def _custom(files: dict[str, str]) -> dict[str, str]:
    return {"problem.yaml": "validation: custom\n", **files}


def test_a_header_comes_along_with_the_program_beside_it(legacy) -> None:
    files = {
        "output_validators/v.cc": "",
        "output_validators/v.h": "",
        "output_validators/README.md": "",
    }
    program = legacy(_custom(files)).output_validator
    assert program.name == "output_validators/v.cc"
    assert _files(program) == ["v.cc", "v.h"]


def test_a_directory_is_a_program_with_its_scripts(legacy) -> None:
    names = ("build", "src/v.cc", "v.h")
    program = legacy(_custom({f"output_validators/v/{n}": "" for n in names})).output_validator
    assert (program.name, program.build, program.run) == ("output_validators/v", "build", "run")
    assert sorted(_files(program)) == sorted(names)


@pytest.mark.parametrize("inner", ["", "guess/"])
def test_a_new_validator_is_the_directory_or_the_one_in_it(new, inner) -> None:
    files = {f"output_validator/{inner}v.cc": "", f"output_validator/{inner}v.h": ""}
    program = new(files).output_validator
    assert program.name == f"output_validator/{inner}".rstrip("/")
    assert _files(program) == ["v.cc", "v.h"]
    assert program.build is None and program.run is None


def test_a_legacy_package_may_have_the_directory_of_the_new_format(legacy) -> None:
    program = legacy(_custom({"output_validator/v.py": ""})).output_validator
    assert program.name == "output_validator"


def test_a_new_package_may_have_the_directory_of_the_legacy_format(new) -> None:
    problem = new({"output_validators/v.py": ""})
    assert problem.output_validator.name == "output_validators/v.py"
    assert "output_validators: the format calls it output_validator" in problem.notes


def test_a_validator_that_is_not_asked_for_is_noted(legacy) -> None:
    problem = legacy({"output_validators/v.py": ""})
    assert problem.output_validator is None
    assert any("output_validators/v.py: is not used" in note for note in problem.notes)


def test_every_input_validator_is_found(legacy) -> None:
    files = {
        "input_validators/a.ctd": "", "input_validators/b/v.cc": "", "input_validators/b/v.h": "",
        "input_format_validators/c.py": "", "input_validators/README": "",
    }  # fmt: skip
    names = [program.name for program in legacy(files).input_validators]
    assert names == ["input_validators/a.ctd", "input_validators/b", "input_format_validators/c.py"]


def test_an_input_validator_that_cannot_be_read_keeps_nobody_from_being_judged(legacy) -> None:
    package = legacy({"input_validators/v/v.cc": ""}).directory
    (package / "input_validators/v/v.h").symlink_to("../../../common/v.h")
    problem = read_problem(package)
    assert problem.input_validators == ()
    (note,) = problem.notes
    assert note.startswith("input_validators/v/v.h: No such file") and note.endswith("is not run")


def test_included_files_are_told_by_language(legacy) -> None:
    files = {"include/cpp/lib/a.h": "", "include/default/b.txt": "", "include/stray": ""}
    problem = legacy(files)
    found = {language: [name for name, _ in files] for language, files in problem.includes.items()}
    assert found == {"cpp": ["lib/a.h"], "default": ["b.txt"]}
    assert any("include/stray" in note for note in problem.notes)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"output_validators/a.py": "", "output_validators/b.py": ""}, "one can run: output_vali"),
        ({"output_validators/README.md": ""}, "output_validators: has no program"),
        ({"output_validators/build": "", "output_validators/v.cc": ""}, "a directory of its own"),
        ({"output_validators/v.py": "", "output_validator/v.py": ""}, "stands beside output_val"),
        (
            {"output_validators": ""},
            "output_validators: is a file where the format has a directory",
        ),
        ({"output_validators/v.py": "", "graders/a.py": "", "graders/b.py": ""}, "allows one"),
    ],
)
def test_programs_are_refused_by_file_and_rule(legacy, refusal, files, told) -> None:
    assert told in refusal(legacy, _custom(files))


def test_a_directory_whose_name_is_almost_one_that_is_missing_is_noted(legacy) -> None:
    problem = legacy({"input_validator/v.py": "", "output_visualizer/v.py": "", "datas/1.in": ""})
    assert problem.notes == ("input_validator: is not looked at; did you mean input_validators?",)
