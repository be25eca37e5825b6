"""fetch-work's answers: what is understood, and that everything else is one kind of error."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judge.domjudge.contest import Judging

from sandbox.judge.domjudge.overshoot import overshoot_seconds
from sandbox.judge.domjudge.work import read_work
from sandbox.spec.errors import ProtocolError

ROW = Judging(7, [(b"1", b"2")]).rows[0]


def test_numbers_become_bytes_and_seconds() -> None:
    [task] = read_work([ROW]).judging
    assert (task.id, task.job, task.submission, task.contest) == (701, "7-uuid-of-7", "7", None)
    assert (task.test.id, task.running.seconds, task.running.passes) == ("701", 2.0, 1)
    assert task.running.memory_bytes == 64 << 20
    assert task.comparing.flags == () and not task.comparing.is_interactive


def test_an_empty_packet_is_no_work() -> None:
    work = read_work([])
    assert not (work.judging or work.prefetch or work.debug or work.try_again)


def changed(config: str, **values: Any) -> dict[str, Any]:
    return {**ROW, config: json.dumps({**json.loads(ROW[config]), **values})}


@pytest.mark.parametrize(("answer", "problem"), [
    ({}, "work: a table is no array"),
    ([7], "[0]: 7 is no table"),
    ([{**ROW, "type": "unknown"}], "[0].type"),
    ([ROW] * 1001, "1001 tasks"),
    ([ROW, {"type": "try_again"}], "several kinds"),
    ([ROW, {**ROW, "jobid": "8"}], "several judgings"),
    ([{**ROW, "judgetaskid": -1}], "[0].judgetaskid"),
    ([{**ROW, "judgetaskid": True}], "[0].judgetaskid"),
    ([{**ROW, "submitid": "../7"}], "[0].submitid"),
    ([{**ROW, "submitid": ".."}], "[0].submitid"),
    ([{**ROW, "submitid": None}], "[0].submitid"),
    ([{**ROW, "contestid": "a/b"}], "[0].contestid"),
    ([{**ROW, "uuid": "a/../../b"}], "[0].uuid"),
    ([{**ROW, "jobid": "7" * 101}], "[0].jobid"),
    ([{**ROW, "testcase_id": "7 8"}], "[0].testcase_id"),
    ([{**ROW, "testcase_hash": "../x"}], "[0].testcase_hash"),
    ([{**ROW, "testcase_hash": None}], "[0].testcase_hash"),
    ([{**ROW, "run_config": None}], "[0].run_config"),
    ([{**ROW, "run_config": "{"}], "[0].run_config: no JSON"),
    ([{**ROW, "run_config": "[" * 100000}], "[0].run_config: no JSON"),
    ([{**ROW, "run_config": "[]"}], "[0].run_config: an array is no table"),
    ([changed("run_config", time_limit=0)], "run_config.time_limit"),
    ([changed("run_config", time_limit=float("nan"))], "run_config.time_limit"),
    ([changed("run_config", time_limit=1e9)], "run_config.time_limit"),
    ([changed("run_config", memory_limit=0)], "run_config.memory_limit"),
    ([changed("run_config", memory_limit=1 << 60)], "run_config.memory_limit"),
    ([changed("run_config", output_limit="all")], "run_config.output_limit"),
    ([changed("run_config", pass_limit=0)], "run_config.pass_limit"),
    ([changed("run_config", entry_point="a\0b")], "run_config.entry_point"),
    ([changed("run_config", entry_point="\ud800")], "run_config.entry_point"),
    ([changed("run_config", hash="../..")], "run_config.hash"),
    ([changed("compare_config", combined_run_compare=None)], "compare_config.combined_run"),
    ([changed("compare_config", compare_args=["a"])], "compare_config.compare_args"),
    ([changed("compare_config", compare_args="x" * 5000)], "compare_config.compare_args"),
    ([changed("compile_config", language_extensions="cpp")], "compile_config.language_ext"),
    ([{"type": "debug_info", "judgetaskid": 1, "jobid": "1"}], "[0].testcase_id"),
])  # fmt: skip
def test_what_is_no_work_is_refused_by_the_name_of_its_field(answer: Any, problem: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        read_work(answer)
    assert problem in str(refused.value)


# Of all of Unicode, the first text would take seconds.
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text("a1./\0é\ud800")
JSON = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(st.just("a"), SCALAR)
CONFIG_KEYS = [(config, key) for config in ROW if config.endswith("_config")
               for key in json.loads(ROW[config])]  # fmt: skip


@settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)  # others use the machine
@given(st.sampled_from(sorted(ROW)), st.sampled_from(CONFIG_KEYS), JSON)
def test_no_answer_raises_anything_else(key: str, place: tuple[str, str], value: Any) -> None:
    config, config_key = place
    for answer in ([{**ROW, key: value}], [changed(config, **{config_key: value})], value, [value]):
        try:
            read_work(answer)
        except ProtocolError:
            continue
        assert isinstance(answer, list)


@pytest.mark.parametrize(("rule", "seconds"), [
    ("0s", 0), ("2s", 2), ("50%", 2), ("1s+10%", 1.4), ("1s|10%", 1), ("1s|75%", 3),
    ("1s&10%", 0.4),
])  # fmt: skip
def test_overshoot_of_a_limit_of_four_seconds(rule: str, seconds: float) -> None:
    assert overshoot_seconds(rule, 4.0) == pytest.approx(seconds)


@pytest.mark.parametrize("rule", ["", "1", "-1s", "1.5s", "1s|", "1s|1s|1s", "1 s", "10% "])
def test_a_rule_of_overshoot_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(ProtocolError, match="timelimit_overshoot"):
        overshoot_seconds(rule, 4.0)
