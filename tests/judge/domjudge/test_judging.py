"""What the server is told of submissions, and what the engine is asked for."""

import base64
from pathlib import Path

import pytest
from judge.domjudge.contest import VALIDATOR, Judging
from judge.domjudge.fake import FakeServer
from judge.domjudge.host import Engine, outcome, results, run_worker

from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit
from sandbox.judge.problem import Submission

TESTS = [(b"1 2\n", b"3\n"), (b"2 2\n", b"4\n"), (b"3 2\n", b"5\n")]


@pytest.mark.parametrize("version", ["8.3", "9.0", "10"])
def test_a_submission_is_compiled_once_and_reported_test_by_test(
    tmp_path: Path, version: str
) -> None:
    judging, engine = Judging(7, TESTS, version=version), Engine()
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path, batch=2)
    assert results(judging) == ["correct"] * 3
    assert [(data, answer) for _, data, answer, _ in engine.ran] == TESTS
    [(problem, submission, files)] = engine.built
    assert files == judging.sources
    assert submission == Submission("s7" if version == "10" else "7", submission.files, "cpp", None)
    assert problem.output_validator is None and not problem.is_interactive
    assert problem.limits.compilation_seconds == 30
    [compiled] = judging.compiled
    assert compiled["compile_success"] == "1"
    assert base64.b64decode(compiled["output_compile"]) == b"a warning"


def test_limits_are_those_of_the_task_and_overshoot_is_grace(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS[:1]), Engine()
    with FakeServer(judging) as server:
        server.config["timelimit_overshoot"] = "1s+50%"
        run_worker(server, engine, tmp_path)
    problem, _, _, limit = engine.ran[0]
    assert limit == TimeLimit.of(2.0, most_of_interest=4.0)
    assert (limit.seconds, limit.extra_seconds) == (2.0, 2.0)
    limits = problem.limits
    assert (limits.memory_bytes, limits.output_bytes) == (64 << 20, 8 << 20)


def test_a_rejected_run_ends_the_judging_where_the_server_is_lazy(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine(outcome(), outcome("WA"))
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
        reports = [n for n, path in enumerate(server.requests) if "add-judging-run" in path]
        assert len(reports) == 2
        assert server.requests[reports[1] + 1] == "POST judgehosts", "the third test is given back"
    assert results(judging) == ["correct", "wrong-answer"]
    assert len(engine.ran) == 2


def test_a_rejected_run_does_not_end_a_judging_that_is_to_be_complete(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine(outcome("RTE", exit_code=3), outcome("TLE"))
    judging.is_full = True
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
    assert results(judging) == ["run-error", "timelimit", "correct"]


def test_a_compile_error_is_reported_and_nothing_is_run(tmp_path: Path) -> None:
    judging = Judging(7, TESTS)
    engine = Engine(build=NotBuilt("exit code 1", "main.cpp:1: no such thing"))
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
    [compiled] = judging.compiled
    assert compiled["compile_success"] == "0"
    text = base64.b64decode(compiled["output_compile"])
    assert text == b"exit code 1\nmain.cpp:1: no such thing"
    assert engine.ran == [] and judging.results == {}


def test_a_submission_without_a_file_for_the_compiler_is_a_compile_error(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS, sources={"readme.txt": b"hello"}, filters=True), Engine()
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
    assert judging.compiled[0]["compile_success"] == "0"
    assert b"cpp, cc" in base64.b64decode(judging.compiled[0]["output_compile"])
    assert engine.built == []


def test_the_language_is_what_the_configuration_says_of_the_extension(tmp_path: Path) -> None:
    judging = Judging(7, TESTS[:1], extensions=["py3", "py"], run_config={"entry_point": "main"})
    engine = Engine()
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path, languages={"py": "pypy3"})
    assert engine.built[0][1].language == "pypy3"
    assert engine.built[0][1].entry_point == "main"


def test_a_compare_script_of_the_jury_is_the_validator(tmp_path: Path) -> None:
    judging = Judging(7, TESTS[:1], compare=VALIDATOR, compare_config={"compare_args": "eps  1e-6"})
    engine = Engine(outcome("WA", judge_message="line 1: 4 is not 3", team_message="no"))
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
    problem = engine.built[0][0]
    assert problem.output_validator is not None
    assert {name: path.read_bytes() for name, path in problem.output_validator.files} == VALIDATOR
    assert (problem.output_validator.build, problem.output_validator.run) == ("build", "run")
    assert problem.output_validator_flags == ("eps", "1e-6")
    [run] = judging.results.values()
    assert base64.b64decode(run["output_diff"]) == b"line 1: 4 is not 3"
    assert base64.b64decode(run["team_message"]) == b"no"


def test_a_run_script_of_an_interactive_problem_is_its_interactor(tmp_path: Path) -> None:
    judging = Judging(7, TESTS[:1], run=VALIDATOR, compare_config={"combined_run_compare": True})
    engine = Engine(outcome("WA", stdout=b""))
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
        assert server.count("GET judgehosts/get_files/compare") == 0
    problem = engine.built[0][0]
    assert problem.is_interactive and problem.output_validator is not None
    assert dict(problem.output_validator.files).keys() == VALIDATOR.keys()
    assert results(judging) == ["wrong-answer"], "no-output is not told of a dialogue"


def test_a_score_is_reported_where_the_problem_has_scores(tmp_path: Path) -> None:
    scoring = Judging(7, TESTS[:1], version="10", compare_config={"is_scoring_problem": True})
    other = Judging(8, TESTS[:1], version="10")
    engine = Engine(outcome(score=12.5), outcome(score=12.5))
    with FakeServer(scoring, other) as server:
        run_worker(server, engine, tmp_path)
    assert base64.b64decode(scoring.results[701]["score"]) == b"12.500000000"
    assert "score" not in other.results[801]


def test_files_of_one_hash_are_downloaded_once_and_outlive_the_worker(tmp_path: Path) -> None:
    first, second = Judging(7, TESTS), Judging(8, TESTS)
    with FakeServer(first) as server:
        run_worker(server, Engine(), tmp_path)
        assert server.count("GET judgehosts/get_files/testcase") == 3
        server.judgings = {8: second}
        run_worker(server, Engine(), tmp_path)
        assert server.count("GET judgehosts/get_files/testcase") == 3
        assert server.count("GET judgehosts/get_files/compare") == 1
    assert results(second) == ["correct"] * 3


def test_outputs_are_shortened_as_the_server_is_configured(tmp_path: Path) -> None:
    judging = Judging(7, TESTS[:1])
    engine = Engine(outcome(stdout=b"x" * 100, stderr=b"\xff\x00"))
    with FakeServer(judging) as server:
        server.config["output_storage_limit"] = 10
        run_worker(server, engine, tmp_path)
    run = judging.results[701]
    shortened = b"x" * 10 + b"\n[output storage truncated after 10 B]\n"
    assert base64.b64decode(run["output_run"]) == shortened
    assert base64.b64decode(run["output_error"]) == b"\xff\x00"


def test_what_a_team_sends_does_not_change_the_language(tmp_path: Path) -> None:
    judging = Judging(7, TESTS[:1], extensions=["java"])
    judging.sources = {"a.py": b"print(1)\n"}
    engine = Engine()
    with FakeServer(judging) as server:
        run_worker(server, engine, tmp_path)
    assert engine.built[0][1].language == "java"


def test_a_flood_on_every_test_does_not_outgrow_what_is_kept(tmp_path: Path) -> None:
    tests = [(b"%d 2\n" % number, b"3\n") for number in range(8)]
    judging = Judging(7, tests)
    judging.is_full = True
    flood = outcome(stdout=b"3\n" + bytes(1 << 20), stderr=bytes(1 << 20))
    with FakeServer(judging) as server:
        run_worker(server, Engine(*[flood] * 8), tmp_path, kept_bytes=8 << 20)
    assert results(judging) == ["correct"] * 8
    kept = [path.stat().st_size for path in tmp_path.rglob("stdout")]
    assert len(kept) == 8 and max(kept) > 1 << 20, "control: the first ones are whole"
    assert sum(path.stat().st_size for path in tmp_path.rglob("test-*/*")) < 8 << 20
