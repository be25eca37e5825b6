"""What people read: progress, the table, the document."""

from __future__ import annotations

import io
import json
import os
import pty
import termios

from sandbox.judge import report
from sandbox.judge.problem import Submission
from sandbox.judge.verdict import GroupOutcome, Judgement, Outcome
from sandbox.judge.verdict import TestRun as Run  # pytest takes a Test for one of its own

RUN = Run(0.5, 0.75, 3 << 20, 1)
SUBMISSION = Submission("mine.c", ())


def judgement(*tests: Outcome, **fields) -> Judgement:
    values = {"verdict": "AC", "score": None, "why": "", "groups": ()}
    return Judgement("mine.c", "c", **{**values, **fields}, tests=tests)


def lines(*tests: Outcome, is_scoring: bool = False, **fields) -> list[str]:
    return list(report.table(judgement(*tests, **fields), is_scoring=is_scoring))


def test_the_sum_comes_first_and_a_row_a_test_after_it() -> None:
    rows = lines(
        Outcome("sample/1", "AC", "", runs=(RUN,)),
        Outcome("secret/1", "TLE", "CPU time over 1 s", evidence=("used 1.2 s",), runs=(RUN,)),
        Outcome("secret/2", "", "not run: secret/1 was not accepted"),
        verdict="TLE",
        why="secret/1: CPU time over 1 s",
    )
    assert rows[0] == "mine.c (c): TLE: secret/1: CPU time over 1 s"
    assert rows[1].split() == ["test", "verdict", "CPU", "wall", "memory", "why"]
    assert rows[2].split() == ["sample/1", "AC", "0.500", "s", "0.750", "s", "3.0", "MiB"]
    assert rows[3].endswith("3.0 MiB  CPU time over 1 s; used 1.2 s")
    assert rows[4].endswith("not run: secret/1 was not accepted") and " - " in rows[4]


def test_a_run_that_was_done_again_is_told_with_its_spread_and_why() -> None:
    first = RUN._replace(cpu_seconds=0.975, noise=("1 other run at the same time",))
    again = RUN._replace(cpu_seconds=0.95)
    (row,) = lines(Outcome("secret/1", "AC", "", runs=(first, again)))[2:]
    assert "AC       0.950 s" in row
    told = "(run again: first 0.975 s, 1 other run at the same time; spread 0.025 s)"
    assert row.endswith(told)
    again = again._replace(noise=("load 5.0 on 2 cores",))
    (row,) = lines(Outcome("secret/1", "AC", "", runs=(first, again)))[2:]
    assert row.endswith("spread 0.025 s; disturbed again: load 5.0 on 2 cores)")


def test_scores_are_told_where_they_count_only() -> None:
    test = Outcome("secret/1", "AC", "", score=2.5, runs=(RUN,))
    groups = (GroupOutcome("secret", "AC", 2.5), GroupOutcome("", "AC", None))
    rows = lines(test, is_scoring=True, score=2.5, groups=groups)
    assert rows[0] == "mine.c (c): AC, score 2.5"
    assert "AC 2.5" in rows[2] and rows[3:] == ["  secret: AC 2.5", "  all: AC"]
    assert "2.5" not in " ".join(lines(test, score=2.5, groups=groups))


def test_a_compiler_s_words_are_shown_and_cannot_steer_a_terminal() -> None:
    rows = lines(verdict="CE", why="exit code 1", compiler_output="error: \x1b[31mno\nsecond")
    assert rows[1].startswith("  | error: ") and rows[2] == "  | second"
    assert not any("\x1b" in row for row in rows)


def test_what_a_submission_wrote_cannot_steer_a_terminal() -> None:
    row = lines(Outcome("secret/1", "WA", 'found "\x1b[2J"\nmore', runs=(RUN,)))[2]
    assert "\x1b" not in row and "more" not in row


def test_a_validator_that_fails_is_told_with_its_last_words() -> None:
    said = "Traceback:\n  line 3\nNameError: no \x1b"
    failed = Outcome("secret/1", "JE", "exited with 1", judge_message=said, runs=(RUN,))
    assert lines(failed)[2].endswith("  exited with 1: NameError: no \\x1b")
    assert lines(failed._replace(verdict="WA"))[2].endswith("  exited with 1")


def test_a_submission_that_fails_is_told_with_the_line_that_says_why() -> None:
    python = b"debug\nTraceback (most recent call last):\n  1 // 0\nZeroDivisionError: by \x1b\n"
    java = b'Exception in thread "main" Oops: no\n\tat Main.main(Main.java:3)\n'
    for said, words in (
        (python, "ZeroDivisionError: by \\x1b"),
        (java, java.decode().split("\n")[0]),
    ):
        failed = Outcome("secret/1", "RTE", "exit code 1", runs=(RUN,), stderr=said)
        assert lines(failed)[2].endswith(f"  exit code 1: {words}")
        assert lines(failed._replace(verdict="WA"))[2].endswith("  exit code 1")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_a_line_a_test_and_a_terminal_a_bar() -> None:
    outcome = Outcome("secret/1", "WA", "found 3")
    for stream in (pipe := io.StringIO(), terminal := Terminal()):
        progress = report.Progress(stream, 2)
        progress.begin()
        progress(SUBMISSION, outcome)
        progress(SUBMISSION, Outcome("secret/2", "AC", "well"))
        progress.end()
    assert pipe.getvalue() == "mine.c secret/1 WA: found 3\nmine.c secret/2 AC\n"
    shown = terminal.getvalue().split("\r\x1b[K")
    assert shown[1].startswith("[############............] 1/2 mine.c secret/1 WA")
    assert shown[2].startswith("[########################] 2/2") and shown[3] == ""


def test_the_bar_takes_one_row_of_the_terminal() -> None:
    progress = report.Progress(terminal := Terminal(), 1)
    progress(Submission("long/" + 100 * "a", ()), Outcome("secret/1", "AC", ""))
    assert len(terminal.getvalue().removeprefix("\r\x1b[K")) == 79
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 40))
    with os.fdopen(leader, "rb", buffering=0) as screen, os.fdopen(follower, "w") as stream:
        report.Progress(stream, 1)(SUBMISSION, Outcome(60 * "t", "AC", ""))
        assert len(screen.read(1000).removeprefix(b"\r\x1b[K")) == 39


def test_the_document_is_ascii_and_holds_every_run() -> None:
    test = Outcome("secret/1", "WA", "é", runs=(RUN, RUN), stdout=b"\xff", transcript=None)
    text = report.json_document([judgement(test)], problem="p", time_limit_seconds=1.0)
    document = json.loads(text)
    assert text.isascii() and (document["problem"], document["time_limit_seconds"]) == ("p", 1.0)
    (told,) = document["judgements"][0]["tests"]
    assert (told["why"], told["stdout"], len(told["runs"])) == ("é", "\\xff", 2)
    assert told["runs"][0]["cpu_seconds"] == 0.5


def test_a_dialogue_is_told_with_its_times_and_directions() -> None:
    said = ((0.5, "<", b"10\n\x1b"), (1.25, ">", b"5"))
    assert list(report.transcript(Outcome("secret/1", "AC", "", transcript=said))) == [
        "   0.500000 < 10", "   0.500000 < \\x1b", "   1.250000 > 5",
    ]  # fmt: skip
