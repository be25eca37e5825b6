"""Whether a package's validators take its data for what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from judge.building import needed
from judge.packages import one_test

from sandbox.judge import data_check
from sandbox.judge.command import Request, judge
from sandbox.judge.cores import Cores
from sandbox.judge.data_check import DataCheck, Fault, check_data
from sandbox.judge.here import opened
from sandbox.judge.package import read_problem
from sandbox.spec.errors import HostError, SpecError

pytestmark = pytest.mark.usefixtures("cache")

NEW = "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\n"
NUMBER = """import re, sys
text = sys.stdin.read()
if not re.fullmatch(r"(0|[1-9][0-9]*)\\n", text):
    sys.exit(f"no number: {text!r}")
most = int(sys.argv[1]) if sys.argv[1:] else 100
sys.exit(42 if int(text) <= most else 43)
"""
CHECKS = {"input_validators/number.py": NUMBER}


def checked(directory: Path) -> DataCheck:
    async def main() -> DataCheck:
        async with opened(Cores()) as here:
            return await check_data(here, read_problem(directory))

    return trio.run(main)


def refused(directory: Path) -> dict[str, str]:
    """Test -> why, and the last words."""
    return {
        fault.test: f"{fault.why}: {fault.message.splitlines()[-1] if fault.message else ''}"
        for fault in checked(directory).faults
    }


def test_every_input_is_shown_to_every_validator_and_each_refusal_is_told(tmp_path: Path) -> None:
    directory = one_test(tmp_path / "p", {
        **CHECKS,
        "input_validators/even.py": "import sys\nsys.exit(42 + int(input()) % 2)\n",
        "data/secret/2.in": "18\n", "data/secret/2.ans": "",
        "data/secret/3.in": "020\n", "data/secret/3.ans": "",
        "data/secret/4.in": "101\n", "data/secret/4.ans": "",
    })  # fmt: skip
    found = checked(directory)
    even, number = "input_validators/even.py", "input_validators/number.py"
    assert found == DataCheck(4, 0, (even, number), (), (
        Fault("secret/1", even, "refuses it: it exited with 43"),
        Fault("secret/3", number, "refuses it: it exited with 1", "no number: '020\\n'"),
        Fault("secret/4", even, "refuses it: it exited with 43"),
        Fault("secret/4", number, "refuses it: it exited with 43"),
    ))  # fmt: skip


@pytest.mark.parametrize("code", [0, 1, 41, 43, 99])
def test_only_one_exit_code_accepts(tmp_path: Path, code: int) -> None:
    directory = one_test(tmp_path / "p", {"input_validators/v.py": f"raise SystemExit({code})\n"})
    assert refused(directory) == {"secret/1": f"refuses it: it exited with {code}: "}


@pytest.mark.parametrize(
    ("yaml", "is_accepted"),
    [
        ("input_validator_flags: 16\n", False),
        ("input_validator_flags: 17\n", True),
        ("input_validator_flags: {name: number.py, flags: 16}\n", False),
        ("input_validator_flags: {name: number, flags: 16}\n", False),
        ("input_validator_flags: {name: other, flags: 16}\n", True),
    ],
)
def test_flags_of_the_group_are_given(tmp_path: Path, yaml: str, is_accepted: bool) -> None:
    directory = one_test(tmp_path / "p", {**CHECKS, "data/secret/testdata.yaml": yaml})
    assert (not checked(directory).faults) == is_accepted


def test_arguments_come_behind_the_flags_and_files_lie_beside_the_validators_own(
    tmp_path: Path,
) -> None:
    source = """import sys
assert sys.argv[1:] == ["flag", "argument"], sys.argv
assert open("book.txt").read() + open("words.dat").read() == "a book words"
open("book.txt", "w").write("it is a copy")
sys.exit(42)
"""
    files = {
        "input_validators/v/v.py": source, "input_validators/v/words.dat": " words",
        "data/secret/1.yaml": "input_validator_args: [flag]\nargs: [argument]\n",
        "data/secret/1.files/book.txt": "a book",
    }  # fmt: skip
    directory = one_test(tmp_path / "p", files, yaml=NEW)
    assert checked(directory).faults == ()
    assert (directory / "data/secret/1.files/book.txt").read_text() == "a book"
    (directory / "data/secret/1.files/words.dat").touch()
    with pytest.raises(SpecError, match=r"data/secret/1\.files/words\.dat: has the name of a file"):
        checked(directory)


def test_constants_of_the_package_are_filled_in(tmp_path: Path) -> None:
    files = {"input_validators/v.py": "raise SystemExit(42 if int(input()) <= {{most}} else 43)\n"}
    for most, faults in ((17, 0), (16, 1)):
        yaml = f"{NEW}constants: {{most: {most}}}\n"
        assert len(checked(one_test(tmp_path / str(most), files, yaml=yaml)).faults) == faults


INVALID = {"data/invalid_input/1.in": "17 \n", "data/invalid_input/2.in": "17\n"}


def test_an_invalid_input_is_to_be_refused_by_one_at_least(tmp_path: Path) -> None:
    files = {**CHECKS, **INVALID, "input_validators/a.py": "raise SystemExit(42)\n"}
    found = checked(one_test(tmp_path / "p", files, yaml=NEW))
    assert found.faults == (
        Fault(
            "invalid_input/2", "all input validators",
            "accept this invalid input, and one should refuse it",
        ),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["v.ctd", "v.viva", "v/v.ctd"])
def test_a_description_is_said_not_to_be_run_and_never_taken_for_one_that_accepts(
    tmp_path: Path, name: str
) -> None:
    files = {**CHECKS, **INVALID, f"input_validators/{name}": "INT(1, 2) NEWLINE EOF\n"}
    found = checked(one_test(tmp_path / "p", files, yaml=NEW))
    assert found.validators == ("input_validators/number.py",)
    (told,) = found.not_run
    assert told.startswith(f"input_validators/{name.split('/')[0]}: there is nothing here that")
    assert found.faults == (), "it might have refused the invalid one"


def test_a_package_without_input_validators_is_told_so(tmp_path: Path) -> None:
    found = checked(one_test(tmp_path / "p"))
    assert found.not_run and list(found.lines()) == []


def test_outputs_are_shown_to_the_output_validator(tmp_path: Path) -> None:
    def case(name: str, output: str) -> dict[str, str]:
        return {f"data/{name}.in": "1\n", f"data/{name}.ans": "1\n", f"data/{name}.out": output}

    files = {
        **CHECKS,
        **case("valid_output/right", "1\n"), **case("valid_output/wrong", "2\n"),
        **case("invalid_output/right", "2\n"), **case("invalid_output/wrong", "1\n"),
        **case("sample/1", "2\n"),
    }  # fmt: skip
    directory = one_test(tmp_path / "p", files, yaml=NEW)
    default = "the default output validator"
    words = 'line 1, token 1: expected "1", found "2"'
    wrong = [
        Fault("invalid_output/wrong", default, "accepts this invalid output"),
        Fault("sample/1", default, "refuses this valid output", words),
        Fault("valid_output/wrong", default, "refuses this valid output", words),
    ]
    found = checked(directory)
    assert (found.inputs, found.outputs) == (6, 5)
    assert found.faults == tuple(wrong)
    own = directory / "output_validator/own.py"
    own.parent.mkdir()
    own.write_text("raise SystemExit(43)\n")
    assert [fault.test for fault in checked(directory).faults] == [
        "sample/1", "valid_output/right", "valid_output/wrong",
    ]  # fmt: skip
    own.write_text("raise SystemExit(1)\n")
    found = checked(directory)
    assert len(found.faults) == 5, "who crashes refuses nothing"
    assert all("is no judge of it" in fault.why for fault in found.faults)


@pytest.mark.parametrize(
    ("name", "source"), [("v.c", "int main(void) { return x; }\n"), ("v.odd", "?")]
)
def test_a_validator_that_does_not_compile_is_a_fault_and_the_others_are_run(
    tmp_path: Path, name: str, source: str
) -> None:
    if name == "v.c":
        needed("c")
    directory = one_test(tmp_path / "p", {**CHECKS, f"input_validators/{name}": source})
    found = checked(directory)
    assert found.validators == ("input_validators/number.py",)
    (fault,) = found.faults
    assert (fault.test, fault.validator) == ("", f"input_validators/{name}")
    assert any(f"input_validators/{name} does not compile: " in line for line in found.lines())


def test_a_validator_in_a_language_that_is_not_here_is_told_as_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise HostError("C needs gcc, which is not here")

    monkeypatch.setattr(data_check, "build_package_program", missing)
    found = checked(one_test(tmp_path / "p", CHECKS))
    assert (found.validators, found.faults) == ((), ())
    assert found.not_run == ("input_validators/number.py: C needs gcc, which is not here",)


HOSTILE = [
    pytest.param("raise SystemExit(42)", None, id="control"),
    pytest.param("import os\nwhile True: os.fork()", "", id="forks"),
    pytest.param(
        "with open('f', 'wb') as f:\n    for _ in range(1024): f.write(bytes(1 << 20))",
        "", id="GiB on disk",
    ),
    pytest.param(
        "import os\nwhile True: os.write(1, bytes(1 << 20))", "it was ended: output", id="GiB said"
    ),
    pytest.param("open('/etc/shadow')", "it exited with 1: FileNotFoundError", id="shadow"),
    pytest.param("open('/data')", "it exited with 1: FileNotFoundError", id="other data"),
    pytest.param("import time\ntime.sleep(10000)", "it was ended: idle", id="sleeps"),
    pytest.param("import os\nos.kill(os.getpid(), 9)", "it was ended by signal 9", id="killed"),
    pytest.param("raise SystemExit('\\x1b[2J')", r"it exited with 1: \x1b[2J", id="escapes"),
    pytest.param("import sys\nsys.exit('x\\n' * 99999)", "it exited with 1: x", id="much said"),
    pytest.param("open('/dev/stdin', 'w').write('changed')", "", id="writes its input"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "why"), HOSTILE)
def test_what_a_validator_does_wrong_is_a_refusal(
    source: str, why: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(data_check, "_IDLE_SECONDS", 0.5)
    directory = one_test(tmp_path / "p", {"input_validators/v.py": source + "\n"})
    found = checked(directory)
    assert (directory / "data/secret/1.in").read_text() == "17\n"
    if why is None:
        assert found.faults == ()
        return
    (fault,) = found.faults
    assert fault.why.startswith("refuses it: ")
    told = "\n".join(found.lines())
    assert f"data/secret/1: input_validators/v.py refuses it: {why}" in told
    assert "\x1b" not in told + fault.message and len(fault.message) <= 4096


def test_of_many_faults_the_first_have_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_check, "_MOST_MESSAGES", 2)
    files = {f"data/secret/{number}.{end}": "x" for number in range(1, 5) for end in ("in", "ans")}
    faults = checked(one_test(tmp_path / "p", {**CHECKS, **files})).faults
    assert len(faults) == 4 and sum(bool(fault.message) for fault in faults) == 2


def test_verifying_tells_of_the_data_and_fails_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solution = {"submissions/accepted/a.py": "print(input())\n"}
    directory = one_test(tmp_path / "p", {**CHECKS, **solution})
    document = tmp_path / "document"

    def verify() -> int:
        return judge(Request(directory, (), json=document))

    assert verify() == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first == "data (inputs: 1, by input_validators/number.py): as they should be"
    assert json.loads(document.read_text())["data"]["faults"] == []
    (directory / "data/secret/1.in").write_text("17 \n")
    assert verify() == 125
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("): 1 NOT as they should be")
    assert told[1] == (
        "  data/secret/1: input_validators/number.py refuses it: it exited with 1:"
        " no number: '17 \\n'"
    )
    assert told[2].endswith(" - as expected"), "the submissions are judged all the same"
    (fault,) = json.loads(document.read_text())["data"]["faults"]
    assert (fault["test"], fault["validator"]) == ("secret/1", "input_validators/number.py")
