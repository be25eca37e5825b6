"""The example packages hold what they should: each is whole, and its model solutions are right."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from judge.plain import ACCEPT, PACKAGES, PROBLEMS, build, cases, input_validators, is_accepted

NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,254}")  # of the format's general requirements
IGNORED = {".timelimit"}
TOTAL_BYTES = 300 << 10
PLAIN_SUFFIXES = {".c", ".cpp", ".py"}

each_package = pytest.mark.parametrize(
    "package", PACKAGES, ids=lambda package: str(package.relative_to(PROBLEMS))
)
needs_compilers = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("g++")), reason="no gcc and g++ on this host"
)


def validator_of(package: Path) -> Path | None:
    """The output validator's program, where there is one of the package's own."""
    if (package / "output_validator").exists():
        program = package / "output_validator"
        files = list(program.iterdir())
        # One file of Python is the program itself.
        return files[0] if len(files) == 1 else program
    return next(iter(sorted(package.glob("output_validators/*"))), None)


def plain_submissions() -> Iterator[pytest.ParameterSet]:
    """Those that are accepted, and in a language that every developer's machine has."""
    for package in PACKAGES:
        for source in sorted((package / "submissions" / "accepted").iterdir()):
            files = list(source.iterdir()) if source.is_dir() else [source]
            # What attacks runs in a sandbox or not at all.
            is_ours = package.parent.name != "hostile" or source.stem == "honest"
            if is_ours and {path.suffix for path in files} <= PLAIN_SUFFIXES | {".h"}:
                yield pytest.param(package, source, id=str(source.relative_to(PROBLEMS)))


def test_packages_of_each_format_are_there() -> None:
    assert len(PACKAGES) >= 15
    assert {package.parent.name for package in PACKAGES} == {"draft", "hostile", "legacy", "stable"}


def test_the_examples_stay_small_and_their_names_are_what_the_format_allows() -> None:
    files = [path for path in PROBLEMS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < TOTAL_BYTES
    for path in files:
        if path.name not in IGNORED:
            assert NAME.fullmatch(path.name), path


@each_package
def test_every_input_has_an_answer_and_no_answer_is_without_its_input(package: Path) -> None:
    data = package / "data"
    inputs = {path.with_suffix("") for path in data.rglob("*.in")}
    assert inputs == {path.with_suffix("") for path in data.rglob("*.ans")}
    assert any((data / "secret") in path.parents for path in inputs)


@needs_compilers
@each_package
def test_input_validators_accept_each_input_and_nothing_behind_it(
    package: Path, tmp_path: Path
) -> None:
    for number, validator in enumerate(input_validators(package)):
        command = build(validator, tmp_path / str(number))
        for case in cases(package):
            flags = case.arguments("input_validator_flags", "input_validator_args")
            text = case.input.read_bytes()
            for given, accepted in ((text, True), (text + b"~\n", False)):
                done = subprocess.run([*command, *flags], input=given, timeout=60)
                assert (done.returncode == ACCEPT) == accepted, (case.name, given)


@needs_compilers
@pytest.mark.parametrize(("package", "source"), list(plain_submissions()))
def test_an_accepted_submission_answers_every_test(
    package: Path, source: Path, tmp_path: Path
) -> None:
    program = validator_of(package)
    validator = build(program, tmp_path / "validator") if program else None
    command = build(source, tmp_path / "program", package / "include")
    for number, case in enumerate(cases(package)):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        assert is_accepted(package, case, command, validator, scratch), case.name
