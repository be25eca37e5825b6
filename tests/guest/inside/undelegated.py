"""A user on cgroup v2 to whom nothing is delegated."""

import subprocess
import sys
from collections.abc import Callable


def test_a_job_is_not_run_without_kernel_limits(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--", "/bin/echo", "ran")
    assert (outcome.returncode, outcome.stdout, outcome.result) == (125, b"", None)
    assert "fix: sandbox setup --user" in outcome.stderr


def test_the_doctor_finds_that_default_jobs_cannot_run() -> None:
    ended = subprocess.run([sys.executable, "-m", "sandbox", "doctor"], capture_output=True)
    assert ended.returncode == 1, ended
    assert b"sandbox setup --user" in ended.stdout
