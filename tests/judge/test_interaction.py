"""Dialogues of a submission and a validator: who ended first decides, and a deadlock is told.

Each test's question is the validator's program.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from judge.packages import package
from judge.real import judge_here

from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Outcome

pytestmark = pytest.mark.usefixtures("cache", "leftovers")

VALIDATOR = """\
import os, signal, sys, time
from pathlib import Path
feedback = Path(sys.argv[3])
exec(Path(sys.argv[1]).read_text())
"""
METADATA = """\
problem_format_version: 2023-07-draft
name: Made up
uuid: a-b
type: {type}
limits:
  time_limit: {seconds}
  memory: 64
  output: 1
"""
# One question, one answer: what most dialogues here are variations of.
ASKS = """
print("ping", flush=True)
said = sys.stdin.readline()
sys.exit(42 if said == "pong\\n" else 43)
"""
# Once the submission has gone it has something to say.
SAYS_MORE = "sys.stdin.read()\nwhile True: print('x' * 1000)\n"
DIES = "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"  # of that, as a program in C does


class Dialogues:
    """Lets two programs talk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def between(
        self,
        validator: str,
        submission: str,
        *,
        seconds: float = 600,
        kind: str = "interactive",
        transcribes: bool = False,
    ) -> Outcome:
        """What comes of it. The time limit is none that any of these should meet."""
        files = {
            "problem.yaml": METADATA.format(type=kind, seconds=seconds),
            "domjudge-problem.ini": None,
            "data/secret/1.in": textwrap.dedent(validator),
            "data/secret/1.ans": "",
            "output_validator/validate.py": VALIDATOR,
            "submissions/accepted/yes.py": "",
        }
        (judgement,) = judge_here(
            package(self._directory, files),
            textwrap.dedent(submission),
            settings=Settings(transcribes=transcribes),
        )
        (outcome,) = judgement.tests
        return outcome


@pytest.fixture
def dialogues(tmp_path: Path) -> Dialogues:
    return Dialogues(tmp_path)


@pytest.mark.parametrize(("answer", "verdict"), [("pong", "AC"), ("pang", "WA")])
def test_the_validator_says_what_an_answer_is_worth(
    dialogues: Dialogues, answer: str, verdict: str
) -> None:
    found = dialogues.between(ASKS, f"assert input() == 'ping'\nprint({answer!r})")
    assert found.verdict == verdict
    assert found.transcript is None, "nobody asked for it"


# The time limit is ten minutes: who waited for it would be seen.
@pytest.mark.parametrize(
    ("validator", "submission"),
    [
        (ASKS, "input()\ninput()"),
        (ASKS, "import sys\ninput()\nprint('pong')\nsys.stdin.readline()"),
        ("input()", "input()"),
        ("while True: print('x' * 1000)", "while True: print('x' * 1000)"),
    ],
    ids=["it asks again", "it does not flush", "both ask first", "both only talk"],
)
def test_a_deadlock_is_told_as_one_and_nobody_waits_for_it(
    dialogues: Dialogues, validator: str, submission: str
) -> None:
    found = dialogues.between(validator, submission)
    assert found.verdict == "TLE"
    assert found.why.startswith("deadlock: ")


def test_one_that_waits_while_the_other_computes_is_no_deadlock(dialogues: Dialogues) -> None:
    slow = "for _ in range(3000000): pass\n"
    found = dialogues.between(slow + ASKS, f"input()\n{slow}print('pong')")
    assert found.verdict == "AC", found


def test_one_that_sleeps_is_no_deadlock(dialogues: Dialogues) -> None:
    sleeps = "import time\ntime.sleep(0.4)\n"
    found = dialogues.between(sleeps + ASKS, f"input()\n{sleeps}print('pong')")
    assert found.verdict == "AC", found


@pytest.mark.parametrize(
    ("validator", "submission", "verdict", "why"),
    [
        # The submission ends first.
        ("sys.stdin.readline()\nsys.exit(43)", "pass", "WA", ""),
        (SAYS_MORE, "pass", "WA", "it ended before the dialogue was over"),
        (ASKS, "raise SystemExit(3)", "RTE", "exit code 3"),
        (ASKS, "import os; os.abort()", "RTE", "signal 6"),
        (DIES + SAYS_MORE, "pass", "WA", "it ended before the dialogue was over"),
        (DIES + SAYS_MORE, "raise SystemExit(3)", "RTE", "exit code 3"),
        # The validator does, with a verdict.
        ("sys.exit(43)", "while True: print('x' * 1000)", "WA", ""),
        ("sys.exit(43)", "input()", "WA", ""),
        (
            "sys.exit(42)",
            f"import signal\n{DIES}while True: print('x' * 1000)",
            "AC", "",
        ),
        (ASKS, "input(); print('pong', flush=True); input()", "RTE", "exit code 1"),
        (ASKS, "input(); print('pong', flush=True); raise SystemExit(3)", "RTE", "exit code 3"),
        # And without.
        ("sys.exit(1)", "input()", "JE", "the output validator exited with 1, which is"),
        ("os.kill(os.getpid(), 11)", "print('pong')", "JE", "the output validator was ended by s"),
        ("sys.exit(0)", "print('pong')", "JE", "the output validator exited with 0, which is"),
    ],
    ids=[
        "it leaves", "it leaves, and an error", "it fails", "it crashes",
        "it leaves, and SIGPIPE", "it fails, and SIGPIPE",
        "rejected while it talks", "rejected while it waits", "accepted while it talks",
        "right, then it fails", "right, then another exit code", "validator fails",
        "validator crashes", "validator has no verdict",
    ],
)  # fmt: skip
def test_who_ends_first_decides(
    dialogues: Dialogues, validator: str, submission: str, verdict: str, why: str
) -> None:
    found = dialogues.between(validator, submission)
    assert (found.verdict, found.why[: len(why)]) == (verdict, why), found


def test_in_several_passes_too_who_left_is_to_blame(dialogues: Dialogues) -> None:
    found = dialogues.between(
        DIES + SAYS_MORE,
        "pass",
        kind="[interactive, multi-pass]",
    )
    assert (found.verdict, found.why) == ("WA", "it ended before the dialogue was over")


def test_a_flood_that_is_read_ends_at_the_output_limit(dialogues: Dialogues) -> None:
    found = dialogues.between(
        "while sys.stdin.read(1 << 16): pass\nsys.exit(43)", "while True: print('x' * 1000)"
    )
    assert found.verdict == "OLE"


def test_a_flood_from_the_validator_is_a_judge_error(dialogues: Dialogues) -> None:
    found = dialogues.between(
        "while True: print('x' * 1000)", "import sys\nwhile sys.stdin.read(1 << 16): pass"
    )
    assert found.verdict == "JE"
    assert "the output validator was ended: output" in found.why


def test_the_time_limit_is_of_the_submission_alone(dialogues: Dialogues) -> None:
    found = dialogues.between(ASKS, "input()\nwhile True: pass", seconds=0.3)
    assert (found.verdict, found.why) == ("TLE", "CPU time over 0.3 s")
    long = "end = time.process_time() + 0.6\nwhile time.process_time() < end: pass\n"
    assert dialogues.between(long + ASKS, "input(); print('pong')", seconds=0.3).verdict == "AC"


def test_a_transcript_has_the_words_of_both_in_order(dialogues: Dialogues) -> None:
    found = dialogues.between(ASKS, "print(input()[0] + 'ong')", transcribes=True)
    assert found.verdict == "AC" and found.transcript is not None
    assert [line[1:] for line in found.transcript] == [("<", b"ping\n"), (">", b"pong\n")]
    times = [line[0] for line in found.transcript]
    assert times == sorted(times) and times[0] >= 0


def test_a_transcript_has_all_passes(dialogues: Dialogues) -> None:
    last = "print('two', flush=True); input(); sys.exit(42)"
    found = dialogues.between(
        f"print('one', flush=True); input(); (feedback / 'nextpass.in').write_text({last!r})\n"
        "sys.exit(42)",
        "print(input().upper())",
        kind="[interactive, multi-pass]",
        transcribes=True,
    )
    assert found.verdict == "AC" and found.transcript is not None, found
    said = [(by, data) for _, by, data in found.transcript]
    assert said == [("<", b"one\n"), (">", b"ONE\n"), ("<", b"two\n"), (">", b"TWO\n")]
    times = [line[0] for line in found.transcript]
    assert times == sorted(times), "since the first pass began"


def test_a_transcript_ends_where_it_would_grow_over_its_bound(dialogues: Dialogues) -> None:
    found = dialogues.between(
        "for _ in range(900): print('x' * 999, flush=True); sys.stdin.read(1000)\nsys.exit(42)",
        "for _ in range(900): print(input(), flush=True)",
        transcribes=True,
    )
    assert found.verdict == "AC" and found.transcript is not None, found
    kept = sum(len(data) for _, _, data in found.transcript)
    assert 1 << 17 < kept < 1 << 18, "with what the pieces cost beside"
