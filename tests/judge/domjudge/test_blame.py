"""Failures that are not the submission's: told to the jury, blamed on the right one, no verdict."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from judge.domjudge.contest import VALIDATOR, Judging, files_json
from judge.domjudge.fake import FakeServer, Reply
from judge.domjudge.host import HOSTNAME, Engine, outcome, results, run_worker

from sandbox.judge.verdict import Outcome
from sandbox.spec.errors import SetupError

TESTS = [(b"1 2\n", b"3\n"), (b"2 2\n", b"4\n")]
OURS = {"kind": "judgehost", "hostname": HOSTNAME}
COMPARE_SCRIPT = {"kind": "compare_script", "compare_script_id": "72"}
TESTCASE = {"kind": "testcase", "testcaseid": "701"}


def only_error(server: FakeServer, disabled: Mapping[str, str], task: str | None = "701") -> str:
    """What the jury reads."""
    [error] = server.errors
    assert json.loads(error["disabled"]) == disabled
    assert error.get("judgetaskid") == task
    return error["description"]


@pytest.mark.parametrize("engine", [
    Engine(SetupError("step 7 failed")),
    Engine(build=SetupError("step 7 failed")),
    Engine(outcome("JE", why="step 7 failed")),
], ids=["run", "compile", "own comparing"])  # fmt: skip
def test_a_failure_of_ours_disables_us_and_gives_back_the_work(
    tmp_path: Path, engine: Engine
) -> None:
    judging = Judging(7, TESTS)
    with FakeServer(judging) as server:
        events = run_worker(server, engine, tmp_path, until=["disabled"])
        assert "step 7 failed" in only_error(server, OURS)
    assert judging.results == {}
    assert {"event": "given_back", "judging": "7"} in events


@pytest.mark.parametrize("result", [
    outcome("JE", why="exit code 1"), outcome("", why="exit code 1"),
], ids=["JE", "none"])  # fmt: skip
def test_a_validator_without_a_verdict_disables_its_script(tmp_path: Path, result: Outcome) -> None:
    judging = Judging(7, TESTS, compare=VALIDATOR)
    with FakeServer(judging, Judging(8, TESTS)) as server:
        run_worker(server, Engine(result), tmp_path)
        assert "exit code 1" in only_error(server, COMPARE_SCRIPT)
        assert results(server.judgings[8]) == ["correct"] * 2, "the next one is judged"
    assert judging.results == {}


def test_an_interactor_without_a_verdict_disables_its_script(tmp_path: Path) -> None:
    judging = Judging(7, TESTS, run=VALIDATOR, compare_config={"combined_run_compare": True})
    with FakeServer(judging) as server:
        run_worker(server, Engine(outcome("JE")), tmp_path)
        only_error(server, {"kind": "run_script", "run_script_id": "71"})


@pytest.mark.parametrize("score", [-1.0, float("nan"), float("inf")])
def test_a_score_that_is_none_disables_the_script(tmp_path: Path, score: float) -> None:
    judging = Judging(7, TESTS, version="10", compare=VALIDATOR,
                      compare_config={"is_scoring_problem": True})  # fmt: skip
    with FakeServer(judging) as server:
        run_worker(server, Engine(outcome(score=score)), tmp_path)
        only_error(server, COMPARE_SCRIPT)


def test_a_run_script_that_we_cannot_run_leaves_the_problem_to_others(tmp_path: Path) -> None:
    judging = Judging(7, TESTS, run={"build": b"", "run": b'#!/bin/sh\nexec "$@" --fast\n'})
    with FakeServer(judging) as server:
        run_worker(server, Engine(), tmp_path)
        assert "run_script 71" in only_error(server, OURS)


def test_a_bug_of_ours_is_told_to_the_jury_and_ends_the_worker(tmp_path: Path) -> None:
    with FakeServer(Judging(7, TESTS)) as server:
        with pytest.raises(ZeroDivisionError):
            run_worker(server, Engine(ZeroDivisionError()), tmp_path)
        assert "ZeroDivisionError" in only_error(server, OURS)


BOMB = files_json({"input": b"0" * (1 << 20), "output": b""})


@pytest.mark.parametrize(("answer", "problem"), [
    (files_json({"input": b"1 3\n", "output": b"3\n"}), "hash"),
    (files_json({"input": b"1 2\n", "output": b"3\n", "more": b""}), "input and output"),
    (files_json({"../input": b"1 2\n", "output": b"3\n"}), "no name of a file"),
    ([{"filename": "input", "content": "!"}], "no base64"),
    ([{"filename": "input"}], "nothing is no text"),
    ([], "0 files"), ({}, "no array"), (None, "no array"), ([7], "no table"),
    (BOMB, "over 1048576 bytes"),
    (Reply(404, {"message": "not found"}), "404"),
    (Reply(body=[], headers=(("Content-Encoding", "gzip"),)), "compressed"),
])  # fmt: skip
def test_test_data_that_is_not_what_was_promised_disables_the_test(
    tmp_path: Path, answer: Any, problem: str
) -> None:
    judging, engine = Judging(7, TESTS), Engine()
    with FakeServer(judging) as server:
        server.files["testcase/701"] = answer
        run_worker(server, engine, tmp_path)
        assert problem in only_error(server, TESTCASE)
    assert engine.ran == []
    assert not [*(tmp_path / "cache").glob("test-*")]


@pytest.mark.parametrize(("files", "problem"), [
    ({**VALIDATOR, "check.c": b"int main() { return 43; }\n"}, "hash"),
    ({**VALIDATOR, "../check.c": b""}, "no name of a file"),
    ({**VALIDATOR, "/etc/passwd": b""}, "no name of a file"),
    ({**VALIDATOR, "..": b""}, "no name of a file"),
    ({**VALIDATOR, "x" * 256: b""}, "no name of a file"),
    ({**VALIDATOR, "a\0b": b""}, "no name of a file"),
    ({**VALIDATOR, "zeros": b"\0" * (1 << 20)}, "over 1048576 bytes"),
    ({f"{n}": b"" for n in range(1001)}, "1001 files"),
])  # fmt: skip
def test_a_script_that_is_not_what_was_promised_is_not_written(
    tmp_path: Path, files: Mapping[str, bytes], problem: str
) -> None:
    judging, engine = Judging(7, TESTS, compare=VALIDATOR), Engine()
    directory = tmp_path / "worker"
    with FakeServer(judging) as server:
        server.files["compare/72"] = files_json(files, is_executable=True)
        run_worker(server, engine, directory)
        assert problem in only_error(server, COMPARE_SCRIPT)
    assert engine.built == []
    assert [path.name for path in tmp_path.iterdir()] == ["worker"]
    assert not [*(directory / "cache").glob("compare-*")]


def test_work_that_is_none_is_left_to_others(tmp_path: Path) -> None:
    row = {"type": "judging_run", "judgetaskid": 1}
    with FakeServer(Judging(7, TESTS), rows=(row,)) as server:
        run_worker(server, Engine(), tmp_path, until=["disabled"])
        assert "fetch-work: [0]" in only_error(server, OURS, None)
