"""Outcomes in DOMjudge's words."""

import base64

import pytest
from judge.domjudge.contest import Judging
from judge.domjudge.fields import RESULTS
from judge.domjudge.host import outcome

from sandbox.judge.domjudge.api import Settings
from sandbox.judge.domjudge.report import (
    bounded,
    compile_metadata,
    run_fields,
    run_metadata,
    system_text,
)
from sandbox.judge.domjudge.work import read_work
from sandbox.judge.verdict import VERDICTS, Outcome
from sandbox.judge.verdict import TestRun as Run  # by its own name, pytest takes it for tests

[TASK] = read_work(Judging(7, [(b"1", b"2")]).rows).judging
SETTINGS = Settings(50000, "1s", frozenset(RESULTS))
FEWER = SETTINGS._replace(results=SETTINGS.results - {"no-output", "memory-limit"})


def reported(result: Outcome, settings: Settings = SETTINGS) -> str:
    return run_fields(result, TASK, settings, 1.0, 2.0)["runresult"]


@pytest.mark.parametrize(("verdict", "word"), [
    ("AC", "correct"), ("WA", "wrong-answer"), ("OLE", "output-limit"),
    ("MLE", "memory-limit"), ("RTE", "run-error"), ("TLE", "timelimit"),
])  # fmt: skip
def test_each_verdict_has_its_word(verdict: str, word: str) -> None:
    assert reported(outcome(verdict)) == word


def test_every_verdict_of_a_run_is_in_that_table() -> None:
    words = {verdict: reported(outcome(verdict)) for verdict in VERDICTS[:-2]}
    assert VERDICTS[-2:] == ("CE", "JE") and set(words.values()) <= RESULTS


def test_a_wrong_answer_without_output_has_a_word_of_its_own() -> None:
    assert reported(outcome("WA", stdout=b"")) == "no-output"
    assert reported(outcome("TLE", stdout=b"")) == "timelimit"


@pytest.mark.parametrize(("verdict", "word"), [("WA", "wrong-answer"), ("MLE", "run-error")])
def test_a_contest_that_does_without_a_word_gets_its_neighbour(verdict: str, word: str) -> None:
    assert reported(outcome(verdict, stdout=b""), FEWER) == word


def test_metadata_tells_how_it_ended() -> None:
    runs = (Run(9.0, 9.5, 1, 0), Run(1.25, 1.5, 4096, 0))  # the last one counts
    assert run_metadata(outcome("RTE", signal=11, runs=runs)).decode().splitlines() == [
        "memory-bytes: 4096", "exitcode: 139", "signal: 11", "cpu-time: 1.250",
        "wall-time: 1.500", "time-used: cpu-time", "time-result: ",
    ]  # fmt: skip
    assert b"exitcode: 3\n" in run_metadata(outcome("RTE", exit_code=3))
    assert b"time-result: timelimit\n" in run_metadata(outcome("TLE"))
    assert b"output-truncated: stdout\n" in run_metadata(outcome("OLE"))


def test_the_jury_reads_the_evidence_and_each_run() -> None:
    runs = (Run(1, 2, None, 0, ("steal 3 %",)), Run(1, 1, 5, 0))
    text = system_text(outcome("TLE", evidence=("cpu.stat 2.1 s",), runs=runs)).decode()
    assert text.splitlines() == [
        "it is TLE", "cpu.stat 2.1 s",
        "run 1: 1.000s cpu, 2.000s wall, memory unknown, disturbed by steal 3 %",
        "run 2: 1.000s cpu, 1.000s wall, memory 5 bytes",
    ]  # fmt: skip


def test_text_that_is_no_unicode_is_reported_all_the_same() -> None:
    fields = run_fields(outcome("WA", judge_message="\udcff"), TASK, SETTINGS, 1.0, 2.0)
    assert base64.b64decode(fields["output_diff"]) == b"\\udcff"


def test_what_is_bounded_says_so_at_its_end() -> None:
    assert bounded(b"12345", 5) == bounded(b"12345", None) == b"12345"
    assert bounded(b"123456", 5) == b"12345\n[output storage truncated after 5 B]\n"


def test_of_compiling_its_wall_time_is_told() -> None:
    assert compile_metadata(1.5, is_success=False).splitlines() == [
        b"wall-time: 1.500", b"exitcode: 1",
    ]  # fmt: skip
