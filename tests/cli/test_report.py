"""What is said of a Result: exit code, one line, a JSON document."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cli.exit_code import exit_code, exit_code_of_exec
from sandbox.cli.report import json_document, one_line, opened
from sandbox.spec.errors import ExecError, SpecError
from sandbox.spec.result import VERDICTS, Result

EXITED = Result(
    verdict="exited",
    exit_code=0,
    signal=None,
    evidence=(),
    cpu_seconds=0.1,
    cpu_user_seconds=0.05,
    cpu_system_seconds=0.05,
    wall_seconds=0.2,
    memory_peak_bytes=1 << 20,
    memory_split_bytes={"anonymous": 4096},
    processes_peak=None,
    throttled_seconds=None,
    disk_peak_bytes=0,
    disk_peak_inodes=1,
    stdout_bytes=1,
    stderr_bytes=2,
    stdin_bytes=3,
    overshoot={},
    walls={"seccomp": "up"},
    grades={"memory": "kernel"},
    artifacts={},
    identity={"host_uid": 100001, "own": True},
    host={"kernel": "6.18"},
)


def ended(verdict: str, code: int | None = None, signal: int | None = None) -> Result:
    return EXITED._replace(verdict=verdict, exit_code=code, signal=signal)


CODES = {
    "exited": 0, "signaled": 128 + 11, "cpu_time": 124, "wall_time": 124, "idle": 124,
    "memory": 137, "output": 153, "disk": 153, "processes": 1, "violation": 159, "cancelled": 130,
}  # fmt: skip


@pytest.mark.parametrize("verdict", VERDICTS)
def test_each_verdict_has_its_exit_code(verdict: str) -> None:
    signal = 11 if verdict == "signaled" else None
    assert exit_code(ended(verdict, None if signal else 0, signal)) == CODES[verdict]


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize(("code", "signal"), [(0, None), (7, None), (None, 9), (None, None)])
def test_only_a_job_that_exited_has_code_0(
    verdict: str, code: int | None, signal: int | None
) -> None:
    assert (exit_code(ended(verdict, code, signal)) == 0) <= (verdict == "exited")


def test_a_payloads_own_code_is_passed_on() -> None:
    assert exit_code(ended("exited", 7)) == 7
    assert exit_code(ended("processes", 7)) == 7
    assert exit_code(ended("disk", 7)) == 153


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOENT, 127), (errno.EACCES, 126), (errno.ENOEXEC, 126)]
)
def test_a_command_that_cannot_be_executed_has_a_shells_code(number: int, code: int) -> None:
    assert exit_code_of_exec(ExecError(number, b"x")) == code


def test_the_line_has_the_verdict_and_all_evidence() -> None:
    result = EXITED._replace(verdict="memory", evidence=("oom_kill=1", "peak 1 MiB of 1 MiB"))
    assert one_line(result) == "sandbox: memory: oom_kill=1; peak 1 MiB of 1 MiB"
    assert one_line(result._replace(evidence=())) == "sandbox: memory"


def test_no_terminal_obeys_the_line() -> None:
    result = EXITED._replace(verdict="disk", evidence=("/work/\x1b[2J\n\r\x9b\udcff\u202e",))
    assert one_line(result) == r"sandbox: disk: /work/\x1b[2J\n\r\x9b\udcff\u202e"


def test_the_document_has_every_field_of_the_result() -> None:
    document = json.loads(json_document(EXITED))
    assert document.keys() == set(Result._fields)
    assert document["grades"] == {"memory": "kernel"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.just("\udcff")
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
)  # fmt: skip


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(st.dictionaries(st.text() | st.just("\udcff"), VALUES))
def test_any_result_makes_a_document_that_any_reader_takes(facts: dict[str, Any]) -> None:
    text = json_document(EXITED._replace(host=facts, artifacts={"\udcfe": "x"}))
    assert text.isascii()
    document = json.loads(text, parse_constant=_refuse)
    json.dumps(document, ensure_ascii=False).encode("utf-8")  # no lone surrogates either
    assert document["artifacts"] == {"\\udcfe": "x"}


def test_a_new_document_is_gone_again_where_no_result_came(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(SpecError), opened(path):
        raise SpecError("x", "y")
    assert not path.exists()
    with opened(path) as file:
        file.write("{}")
    assert path.read_text() == "{}"


def test_a_place_that_takes_no_document_is_refused_at_once(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere" / "x", Path("/proc/self/x")):
        with pytest.raises(SpecError, match=r"^--json: "), opened(place):
            raise AssertionError("opened")
