"""One verdict from what was counted, by table; and whose limit it was that was met."""

import pytest
from supervisor.cgroup.conftest import LIMITS

from sandbox.spec.errors import HostError
from sandbox.supervisor.cgroup import Usage
from sandbox.supervisor.verdict import Scratch, decide

QUIET = Usage(
    cpu_seconds=0.1,
    cpu_user_seconds=0.1,
    cpu_system_seconds=0.0,
    memory_peak_bytes=10 << 20,
    oom_events=0,
    oom_kills=0,
    processes_peak=3,
    fork_refusals=0,
    throttled_seconds=None,
)


def _decide(usage: Usage, reason: str | None = None, exit_code: int | None = 1) -> str:
    verdict, _ = decide(
        reason,
        [],
        exit_code=exit_code,
        signal_number=None if exit_code is not None else 9,
        wall_seconds=0.2,
        usage=usage,
        scratch=Scratch(),
        is_output_over=False,
        limits=LIMITS,
    )
    return verdict


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "exited"),
        ({"oom_events": 1, "oom_kills": 1}, "memory"),
        ({"oom_events": 1}, "memory"),
        ({"fork_refusals": 2, "processes_peak": LIMITS.processes}, "processes"),
        ({"fork_refusals": 2, "processes_peak": None}, "processes"),
    ],
)
def test_a_limit_of_the_jobs_own_is_its_verdict(changes: dict[str, int], verdict: str) -> None:
    assert _decide(QUIET._replace(**changes)) == verdict


@pytest.mark.parametrize("reason", [None, "memory"])
def test_memory_that_ran_out_around_the_job_is_not_its_verdict(reason: str | None) -> None:
    with pytest.raises(HostError, match=r"around the job, not in it \(oom_kill=1, peak 10\.0 MiB"):
        _decide(QUIET._replace(oom_kills=1), reason, exit_code=None)


def test_what_else_ended_the_job_first_stays_the_verdict() -> None:
    assert _decide(QUIET._replace(oom_kills=1), "wall_time", exit_code=None) == "wall_time"


def test_a_process_refused_around_the_job_is_not_its_verdict() -> None:
    refused = QUIET._replace(fork_refusals=1)
    with pytest.raises(HostError, match=r"3 of 16.*TasksMax"):
        _decide(refused)
    assert _decide(refused, exit_code=0) == "exited", "it got along without"
