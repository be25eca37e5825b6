"""What a package's author can write is his own judge error, or an error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge.packages import ECHO, one_test
from judge.real import judge_here

from sandbox.judge import report
from sandbox.judge.package import read_problem
from sandbox.spec.errors import SpecError

pytestmark = pytest.mark.usefixtures("cache")

PASSES = "validation: custom multi-pass\n"
SCORED = "type: scoring\nvalidation: custom score\n"
SAYS = "import os, sys\nplace = sys.argv[3]\n{}\nsys.exit(42)\n"


FILES = [
    pytest.param(PASSES, "pass", "AC", id="control: no next pass"),
    pytest.param(PASSES, "os.symlink('/etc/passwd', place + 'nextpass.in')", "JE", id="link"),
    pytest.param(PASSES, "os.mkdir(place + 'nextpass.in')", "JE", id="directory"),
    pytest.param(PASSES, "os.mkfifo(place + 'nextpass.in')", "JE", id="FIFO"),
    pytest.param(PASSES, "open(place + 'nextpass.in', 'w')", "JE", id="for ever"),
    pytest.param(PASSES, "open(place + 'nextpass.in', 'w').write('x' * (1 << 30))", "JE", id="GiB"),
    pytest.param(SCORED, "open(place + 'score.txt', 'w').write('7')", "AC", id="control: a score"),
    pytest.param(SCORED, "os.symlink('/etc/passwd', place + 'score.txt')", "JE", id="score link"),
    pytest.param(SCORED, "sys.stderr.write('x' * (65 << 20))", "JE", id="flood"),
]  # fmt: skip


@pytest.mark.parametrize(("yaml", "does", "verdict"), FILES)
def test_what_a_validator_leaves_is_read_or_is_a_judge_error(
    yaml: str, does: str, verdict: str, tmp_path: Path, leftovers: None
) -> None:
    problem = one_test(tmp_path / "p", {"output_validators/v.py": SAYS.format(does)}, yaml=yaml)
    (judgement,) = judge_here(problem, ECHO)
    assert judgement.verdict == verdict, judgement.why
    assert "root:" not in str(judgement)


def test_the_state_between_passes_is_unpacked_in_the_validators_own_sandbox(
    tmp_path: Path, leftovers: None
) -> None:
    validator = """import os, sys
os.chdir(sys.argv[3])
if not os.path.lexists('way out'):
    os.symlink('/etc', 'way out')
    os.mkdir('-rf')
    open('a\\nb', 'w').write('left')
    open('nextpass.in', 'w').write('again')
    sys.exit(42)
assert os.readlink('way out') == '/etc' and os.path.isdir('-rf')
assert open('a\\nb').read() == 'left' and not os.path.exists('nextpass.in')
sys.exit(42)
"""
    problem = one_test(tmp_path / "p", {"output_validators/v.py": validator}, yaml=PASSES)
    (judgement,) = judge_here(problem, ECHO)
    assert judgement.verdict == "AC", judgement.tests


def test_what_is_said_to_people_gives_their_terminal_no_order(tmp_path: Path) -> None:
    does = "open(place + 'judgemessage.txt', 'w').write('\\x1b[2J\\x07'); sys.exit(43)"
    problem = one_test(
        tmp_path / "p", {"output_validators/v.py": SAYS.format(does)}, yaml="validation: custom\n"
    )
    (judgement,) = judge_here(problem, ECHO)
    assert "x1b[2J" in judgement.tests[0].judge_message, "control: it was said"
    told = "\n".join(report.table(judgement, is_scoring=False))
    assert "\\x1b[2J" in told and "\x1b" not in told
    assert "\x1b" not in report.json_document([judgement])


def test_flags_that_the_default_validator_does_not_know_are_told_before_anything_is_run(
    tmp_path: Path,
) -> None:
    settings = {"data/secret/testdata.yaml": "output_validator_flags: case_sensitiv\n"}
    with pytest.raises(SpecError, match=r"data/secret/1: .*case_sensitive"):
        judge_here(one_test(tmp_path / "p", settings), ECHO)


@pytest.mark.parametrize("text", ['"a\\0b"', '"\\ud800"', '"\\uDFFF"'])
def test_text_that_no_command_line_can_hold_is_refused(text: str, tmp_path: Path) -> None:
    settings = {"data/secret/testdata.yaml": f"output_validator_flags: {text}\n"}
    with pytest.raises(SpecError, match=r"data/secret/testdata\.yaml: line 1: a NUL, or half"):
        read_problem(one_test(tmp_path / "p", settings))


def test_many_patterns_for_many_submissions_are_refused(tmp_path: Path) -> None:
    yaml = "problem_format_version: 2025-09\n"
    rules = "".join(f'"{n}{{1,2,3,4,5,6,7,8,9,10}}": {{}}\n' for n in range(51))
    with pytest.raises(SpecError, match=r"submissions\.yaml: has over 500 patterns"):
        read_problem(one_test(tmp_path / "p", {"submissions/submissions.yaml": rules}, yaml=yaml))
    many = {f"submissions/accepted/{n}.py": "" for n in range(1001)}
    with pytest.raises(SpecError, match="submissions: 1001 of them"):
        read_problem(one_test(tmp_path / "q", many, yaml=yaml))


def test_a_grader_is_asked_about_what_other_graders_said(tmp_path: Path) -> None:
    grader = "import sys\nscores = sys.stdin.read().split()[1::2]\nprint('AC', len(scores) + 1)\n"
    files = {
        "graders/g.py": grader,
        "data/testdata.yaml": "grading: custom\n",
        "data/secret/a/1.in": "1\n",
        "data/secret/a/1.ans": "1\n",
    }
    problem = one_test(tmp_path / "p", files, yaml="type: scoring\n")
    (judgement,) = judge_here(problem, ECHO)
    assert [one.score for one in judgement.groups] == [2.0, 3.0, 2.0], judgement.why
