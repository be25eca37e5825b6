"""What the caller keeps from others does not keep a job from its own root."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("leftovers")


@pytest.mark.parametrize("policy", ["default", "compile"])  # which is shown its own cgroups, too
@pytest.mark.parametrize("mask", [0o077, 0o777, 0o000])
def test_a_job_runs_whatever_the_umask_is(mask: int, policy: str) -> None:
    script = "umask; cat /etc/passwd >copy; stat -c %a copy"
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "run", "--policy", policy, "--", "sh", "-c", script],
        capture_output=True, timeout=60, umask=mask,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"0022\n644\n", b"")
