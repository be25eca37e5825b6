"""What a package's validator says, and what it does wrong: a judge error, told with its reason.

The validator does what the first line of each submission's output says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from judge.packages import package
from judge.real import judge_here

from sandbox.judge.verdict import Outcome

pytestmark = pytest.mark.usefixtures("cache")

VALIDATOR = """\
import os, sys, time
from pathlib import Path
question, answer, feedback = map(Path, sys.argv[1:4])
exec(eval(sys.stdin.readline()))
"""
METADATA = """\
problem_format_version: 2023-07-draft
name: Made up
uuid: a-b
limits:
  validation_time: 1
  validation_memory: 64
  validation_output: 1
"""
FILES = {
    "data/secret/1.in": "the question\n", "data/secret/1.ans": "the answer\n",
    "output_validator/validate.py": VALIDATOR,
    "submissions/accepted/yes.py": "",
}  # fmt: skip
SCORING = METADATA + "type: scoring\n"


class Validators:
    """Judges one output after the other, as the validator is told."""

    def __init__(self, directory: Path, metadata: str = METADATA, **files: str) -> None:
        self._package = package(directory, {**FILES, "problem.yaml": metadata, **files})

    def say(self, code: str, rest: str = "") -> Outcome:
        """What the test comes to; `rest`: an expression, written behind the line."""
        source = f"print({repr(code)!r})\nprint({rest})\n"
        return self.run(source)

    def run(self, source: str) -> Outcome:
        (judgement,) = judge_here(self._package, source)
        (outcome,) = judgement.tests
        assert judgement.verdict == outcome.verdict, judgement
        return outcome


@pytest.fixture(scope="module")
def validators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validators]:
    yield Validators(tmp_path_factory.mktemp("validation") / "plain")


@pytest.fixture(scope="module")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validators]:
    yield Validators(tmp_path_factory.mktemp("validation") / "scoring", SCORING)


@pytest.mark.parametrize(("code", "verdict"), [(42, "AC"), (43, "WA")])
def test_42_accepts_and_43_rejects(validators: Validators, code: int, verdict: str) -> None:
    found = validators.say(f"sys.exit({code})")
    assert (found.verdict, found.judge_message, found.score) == (verdict, "", None)


def test_it_is_shown_the_question_the_answer_and_all_of_the_output(validators: Validators) -> None:
    check = (
        "assert question.read_text() == 'the question\\n'\n"
        "assert answer.read_text() == 'the answer\\n'\n"
        "assert sys.stdin.read() == 'x' * 3000000 + '\\n'\n"
        "assert sys.argv[3].endswith('/') and not list(feedback.iterdir())\n"
        "sys.exit(42)"
    )
    found = validators.say(check, "'x' * 3000000")
    assert found.verdict == "AC", found


def test_it_need_not_read_the_output(validators: Validators) -> None:
    assert validators.say("sys.exit(43)", "'x' * 5000000").verdict == "WA"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("sys.exit(0)", "exited with 0, which is neither 42 nor 43"),
        ("sys.exit(44)", "exited with 44, which is neither 42 nor 43"),
        ("raise ValueError('no verdict')", "exited with 1, which is neither 42 nor 43"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
        ("while True: pass", ("was ended: cpu_time:", "was ended: wall_time:")),
        ("time.sleep(600)", "was ended: idle:"),
        ("kept = b'x' * (1 << 30)", "was ended: memory:"),
        ("while True: print('x' * 10000)", "was ended: output:"),
        ("(feedback / 'big').write_bytes(b'x' * (1 << 26) * 40)", "was ended: memory:"),
        ("while True: os.fork()", "exited with 1, which is neither 42 nor 43"),
    ],
    ids=["0", "44", "raises", "killed", "loops", "sleeps", "memory", "floods", "much", "forks"],
)
@pytest.mark.usefixtures("leftovers")
def test_whatever_else_it_does_is_a_judge_error(
    validators: Validators, code: str, reason: str | tuple[str, ...]
) -> None:
    found = validators.say(code)
    assert found.verdict == "JE"
    assert found.why.removeprefix("the output validator ").startswith(reason), found.why


def test_a_full_disk_is_told_in_its_own_words(validators: Validators) -> None:
    found = validators.say(
        "with (feedback / 'big').open('wb') as file:\n while True: file.write(b'x' * (1 << 20))"
    )
    assert found.verdict == "JE"
    assert "No space left on device" in found.judge_message
    assert found.why.startswith("the output validator was ended: disk:"), found.why


def test_what_it_wrote_to_stderr_explains_a_judge_error(validators: Validators) -> None:
    found = validators.say("raise ValueError('no verdict of mine')")
    assert found.judge_message.endswith("ValueError: no verdict of mine")
    flood = validators.say("sys.exit('y' * 100000 + 'end')")
    assert flood.verdict == "JE" and flood.judge_message.endswith("end")
    assert len(flood.judge_message) <= 4096


def test_messages_are_told_apart_bounded_and_printable(validators: Validators) -> None:
    found = validators.say(
        "message = b'line 1\\nred \\x1b[31m\\xff\\0' + b'j' * 9999999\n"
        "(feedback / 'judgemessage.txt').write_bytes(message)\n"
        "(feedback / 'teammessage.txt').write_text(' try again \\n')\n"
        "sys.exit(43)"
    )
    assert found.verdict == "WA"
    assert found.team_message == "try again"
    assert found.why == "line 1"
    _, second = found.judge_message.splitlines()
    assert second.startswith("red \\x1b[31m\ufffd\\x00jjj") and second.isprintable()
    assert len(found.judge_message) <= 4096


def test_a_message_that_is_no_file_is_none(validators: Validators) -> None:
    for code in (
        "os.symlink('/data/answer', feedback / 'judgemessage.txt')",
        "(feedback / 'judgemessage.txt').mkdir()",
    ):
        found = validators.say(f"{code}\nsys.exit(42)")
        assert (found.verdict, found.judge_message) == ("AC", ""), code


@pytest.mark.parametrize(
    ("code", "verdict", "score"),
    [
        ("(feedback / 'score.txt').write_text('0.25\\n')", "AC", 0.25),
        ("pass", "AC", None),
        ("(feedback / 'score.txt').write_text('nan')", "JE", None),
        ("(feedback / 'score.txt').write_text('1e999')", "JE", None),
        ("(feedback / 'score.txt').write_text('')", "JE", None),
        ("(feedback / 'score.txt').write_bytes(b'1' * 1000000)", "JE", None),
    ],
    ids=["score", "none", "nan", "infinite", "empty", "huge"],
)
def test_a_score_is_a_number_or_a_judge_error(
    scoring: Validators, code: str, verdict: str, score: float | None
) -> None:
    found = scoring.say(f"{code}\nsys.exit(42)")
    assert (found.verdict, found.score) == (verdict, score)
    assert verdict == "AC" or found.why.startswith("the output validator's score.txt: ")


def test_a_score_that_the_package_does_not_speak_of_is_no_matter(validators: Validators) -> None:
    found = validators.say("(feedback / 'score.txt').write_text('x')\nsys.exit(42)")
    assert (found.verdict, found.score) == ("AC", None)


MULTI = METADATA + "  validation_passes: 3\ntype: multi-pass\n"
# A submission that answers with the first of these lines whose number is that of its pass.
BY_PASS = "number = input()[:1]\nprint({passes!r}.get(number, {first!r}))\n"


def by_pass(first: str, **passes: str) -> str:
    """`first`, then `pass_2` and so on: each the validator's code in that pass."""
    later = {name.removeprefix("pass_"): repr(code) for name, code in passes.items()}
    return BY_PASS.format(passes=later, first=repr(first))


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Validators]:
    yield Validators(tmp_path_factory.mktemp("validation") / "multi", MULTI)


NEXT = "(feedback / 'nextpass.in').write_text('{} pass\\n')\n"


def test_what_it_leaves_is_there_in_the_next_pass_and_no_input(multi: Validators) -> None:
    first = (
        "(feedback / 'deep').mkdir(); (feedback / 'deep' / 'state').write_text('kept')\n"
        "(feedback / 'judgemessage.txt').write_text('one')\n" + NEXT.format(2) + "sys.exit(42)"
    )
    second = (
        "assert (feedback / 'deep' / 'state').read_text() == 'kept'\n"
        "assert not (feedback / 'nextpass.in').exists()\n"
        "assert question.read_text() == '2 pass\\n'\n" + NEXT.format(3) + "sys.exit(42)"
    )
    third = "assert (feedback / 'deep' / 'state').exists()\nsys.exit(42)"
    found = multi.run(by_pass(first, pass_2=second, pass_3=third))
    assert found.verdict == "AC", found
    assert found.judge_message == "one"


def test_a_new_test_finds_nothing_of_another(multi: Validators) -> None:
    for _ in range(2):
        found = multi.say(
            "assert not list(feedback.iterdir())\n(feedback / 'state').touch()\nsys.exit(42)"
        )
        assert found.verdict == "AC", found


def test_a_validator_that_fails_in_a_later_pass_is_a_judge_error(multi: Validators) -> None:
    first = "(feedback / 'judgemessage.txt').write_text('one')\n" + NEXT.format(2) + "sys.exit(42)"
    found = multi.run(by_pass(first, pass_2="os.abort()"))
    assert found.verdict == "JE" and "signal 6" in found.why
    assert found.judge_message.splitlines()[0] == "one"


def test_a_pass_too_many_is_a_judge_error(multi: Validators) -> None:
    again = NEXT.format(2) + "sys.exit(42)"
    found = multi.run(by_pass(again, pass_2=again))
    assert found.verdict == "JE"
    assert found.why == "the output validator wants more than 3 passes"


def test_another_pass_of_a_problem_of_one_is_a_judge_error(validators: Validators) -> None:
    assert validators.say(NEXT.format(2) + "sys.exit(42)").verdict == "JE"
    found = validators.say(NEXT.format(2) + "sys.exit(43)")
    assert (found.verdict, "not multi-pass" in found.why) == ("JE", True)
