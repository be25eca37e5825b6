"""cgroup v2 for real, in a guest kernel: most of these tests are others, run in there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
TIMEOUT_SECONDS = 900

# In the guest a skip is a failure, but for what this kernel is known to lack.
LACKING = (
    "needs two CPUs",
    "cgroup v2 ends the whole group itself and needs no event",
    'cgroup v2 "cpuset" is not delegated, or this kernel lacks it',
)


def _guest(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    if shutil.which("linux.uml") is None or not Path("/bin/busybox").exists():
        pytest.skip("no guest kernel; apt-get install user-mode-linux busybox-static uidmap")
    command = [sys.executable, HERE / "guest", f"--timeout={TIMEOUT_SECONDS}", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True)


def _tests_pass(file: str, *options: str) -> None:
    ended = _guest(*options, "--", sys.executable, "-m", "pytest", "-q", "-rs", file)
    output = ended.stdout.decode(errors="replace") + ended.stderr.decode(errors="replace")
    assert ended.returncode == 0, output
    skipped = re.findall(r"^SKIPPED \[\d+\] \S+: (.*)", output, re.MULTILINE)
    assert not [reason for reason in skipped if not reason.startswith(LACKING)], output


def test_each_limit_holds() -> None:
    _tests_pass("tests/supervisor/cgroup/test_cgroup_limits.py")


def test_whole_jobs_end_at_their_limits() -> None:
    _tests_pass("tests/guest/inside/jobs.py")


def test_root_drops_and_runs_jobs() -> None:
    _tests_pass("tests/guest/inside/jobs_of_root.py", "--user=0")


def test_without_a_delegated_subtree_nothing_runs_and_the_fix_is_told() -> None:
    _tests_pass("tests/guest/inside/undelegated.py", "--no-delegate")


def test_the_guest_passes_both_streams_and_the_status_on() -> None:
    program = (
        "import os, sys; os.write(1, bytes(range(256)) * 999); os.write(2, b'\\r\\n'); exit(7)"
    )
    ended = _guest("--", sys.executable, "-c", program)
    assert (ended.returncode, ended.stderr) == (7, b"\r\n")
    assert ended.stdout == bytes(range(256)) * 999


def test_a_guest_without_end_is_ended() -> None:
    ended = _guest("--timeout=5", "--", "sleep", "infinity")
    assert ended.returncode == 124
    assert b"no end within 5 seconds" in ended.stderr
