"""Where Yama lets nobody take a filter's listener: violations still end the job, with less told."""

import os
from pathlib import Path

import pytest

from sandbox.cli.inprocess import run_job
from sandbox.spec.job import Job
from sandbox.spec.policy import load_policy
from sandbox.spec.result import Result
from sandbox.supervisor import planner
from sandbox.supervisor.sysctls import NO_ATTACH


def forbidden_call(tmp_path: Path) -> Result:
    with (tmp_path / "output").open("wb") as output:
        return run_job(
            Job((b"unshare", b"--user", b"true")), load_policy("default"),
            stdin_fd=None, stdout_fd=output.fileno(), stderr_fd=output.fileno(),
            owns_process=False,
        )  # fmt: skip


def test_a_violation_is_told_by_its_call_or_by_its_signal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    told = forbidden_call(tmp_path)
    assert told.verdict == "violation"
    assert "unshare(CLONE_NEWUSER)" in told.evidence[0], "control: a listener hears the call"
    monkeypatch.setattr(planner, "read_sysctl", lambda name: NO_ATTACH)
    killed = forbidden_call(tmp_path)
    assert killed.verdict == "violation"
    assert killed.evidence == ("signal: SIGSYS, as the filter sends it; syscall not known",)
