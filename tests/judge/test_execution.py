"""A run: its limits, what its end means to a judge, what disturbed it."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge.fakes import LIMITS, built, completed, noisy, result

from sandbox.judge.execution import TimeLimit, failure_of, measured, submission_job, working_files
from sandbox.judge.problem import Test as Case
from sandbox.spec.result import VERDICTS, Completed

LIMIT = TimeLimit.of(2.0)
MEANINGS = {
    "exited": "", "signaled": "RTE", "cpu_time": "TLE", "wall_time": "TLE", "idle": "TLE",
    "memory": "MLE", "output": "OLE", "disk": "RTE", "processes": "RTE", "violation": "RTE",
    "cancelled": "JE",
}  # fmt: skip


def test_every_verdict_of_the_runner_has_a_meaning() -> None:
    assert MEANINGS.keys() == set(VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_runner_s_verdict_is_the_judge_s(verdict: str) -> None:
    done = completed(verdict, signal=11, evidence=("because",))
    failure = failure_of(done, built(Path("/nowhere")), LIMIT)
    assert ("" if failure is None else failure.verdict) == MEANINGS[verdict]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (result(exit_code=3), "exit code 3"),
        (result("signaled", signal=11), "signal 11"),
        (result("cpu_time"), "CPU time over 2 s"),
        (result("wall_time", cpu_seconds=0.25), "not over after 5.4 s of wall time (0.25 s of CPU"),
        (result("disk", evidence=("full at /tmp",)), "disk: full at /tmp"),
        (result("violation", evidence=("seccomp: ptrace",)), "violation: seccomp: ptrace"),
    ],
)
def test_a_failure_says_why(found, why: str) -> None:
    failure = failure_of(Completed(found, b"", b"", {}), built(Path("/nowhere")), LIMIT)
    assert failure is not None and why in failure.why


@pytest.mark.parametrize(
    ("seconds", "of_interest", "extra", "wall"),
    [(2.0, 0.0, 0.2, 5.4), (0.1, 0.0, 0.05, 1.3), (2.0, 3.0, 1.0, 7.0), (2.0, 1.0, 0.2, 5.4)],
)
def test_a_run_just_over_its_limit_is_seen_to_end(
    seconds: float, of_interest: float, extra: float, wall: float
) -> None:
    limit = TimeLimit.of(seconds, most_of_interest=of_interest)
    assert limit == (seconds, pytest.approx(extra), pytest.approx(wall))


def test_a_job_has_the_problem_s_limits_and_one_core(tmp_path: Path) -> None:
    program = built(tmp_path)._replace(memory_overhead_bytes=5, limits={"processes": 7})
    test = Case("secret/1", None, None, arguments=("-n", "3"), files=(("data", tmp_path / "d"),))
    job = submission_job(program, test, LIMITS, LIMIT, 1)
    assert job.command == (b"submission", b"-n", b"3")
    limits = job.limits
    assert (limits["core"], limits["processes"]) == (1, 7)
    assert limits["memory_bytes"] == LIMITS.memory_bytes + 5
    assert (limits["cpu_seconds"], limits["output_bytes"]) == (2.0, LIMITS.output_bytes)
    assert [(i.destination, i.copied) for i in job.inputs] == [
        (b"/program", False),
        (b"/work/data", True),
    ]
    assert job.cwd == b"/work"
    job = submission_job(program, test, LIMITS, LIMIT, 1, tmp_path)
    assert (job.inputs[1].source, job.inputs[1].copied) == (tmp_path, False)
    assert job.cwd == job.inputs[1].destination


def test_a_test_s_files_cover_those_of_the_program(tmp_path: Path) -> None:
    names = ("data", "data/x", "a", "b/c", "b/cc")
    program = built(tmp_path)._replace(beside=tuple((name, tmp_path / name) for name in names))
    own = (("data", tmp_path / "d"), ("a/file", tmp_path / "f"), ("b/c", tmp_path / "c"))
    found = working_files(program, Case("secret/1", None, None, files=own))
    assert found == (("b/cc", tmp_path / "b/cc"), *own)


@pytest.mark.parametrize(
    ("fields", "neighbours", "noise"),
    [
        ({}, 0, ()),
        ({"host": noisy()}, 0, ("the hypervisor took 0.5 s",)),
        ({"throttled_seconds": 0.002}, 0, ("throttled for 0.002 s",)),
        ({"throttled_seconds": 0.0005}, 0, ()),
        (
            {"host": noisy(steal_seconds=None, governor="powersave")},
            0,
            ("frequency governor powersave",),
        ),
        ({"host": noisy(steal_seconds=0.0, governor="performance")}, 0, ()),
        ({}, 1, ("1 other run at the same time",)),
        ({}, 3, ("3 other runs at the same time",)),
        (
            {"host": noisy(steal_seconds=0.0, load_1min=5.25)},
            1,
            ("1 other run at the same time", "load 5.2 on 2 cores"),
        ),
    ],
)
def test_what_disturbed_a_run_is_told(fields, neighbours: int, noise: tuple[str, ...]) -> None:
    assert measured(result(**fields), 1, neighbours=neighbours).noise == noise


def test_a_runner_that_leases_cores_says_which_it_was() -> None:
    assert measured(result(), 1, neighbours=0).core == 1
    assert measured(result(host=noisy(core=5)), 1, neighbours=0).core == 5
