"""What root does on cgroup v2: its runner claims a subtree and drops; setup gives a user one."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if not Path("/run/exchange/settings").exists():
    pytest.skip("changes /etc: for the guest's throw-away layer only", allow_module_level=True)

pytestmark = pytest.mark.root

SANDBOX = (sys.executable, "-m", "sandbox")
USER_ID = 4321
# What setup tells root to do for each session of the user, where no systemd does it.
SESSION = f"""
echo 0 >/sys/fs/cgroup/sandbox/{USER_ID}/entry/cgroup.procs
exec /usr/bin/setpriv --reuid={USER_ID} --regid={USER_ID} --init-groups "$@"
"""

CGROUPS = Path("/sys/fs/cgroup/sandbox")


def test_a_job_of_root_runs_as_nobody_that_exists(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--", "/usr/bin/id", "-u")
    assert (outcome.returncode, outcome.stdout) == (0, b"1000\n"), outcome.stderr
    assert outcome.result["identity"]["is_own"]
    assert outcome.result["identity"]["host_uid"] >= 0x70000000, "below are uids that may own files"
    assert outcome.result["grades"]["memory"] == outcome.result["grades"]["processes"] == "kernel"
    assert not [*CGROUPS.rglob("sandbox-run-*")]


def test_its_memory_is_limited_all_the_same(run_sandbox: Callable) -> None:
    outcome = run_sandbox(
        *("--memory", "48MiB", "--", "/usr/bin/python3", "-S", "-c", "bytearray(100 << 20)")
    )
    assert (outcome.returncode, outcome.result["verdict"]) == (137, "memory"), outcome


@pytest.fixture
def user() -> str:
    """A new user of the guest."""
    for database, entry in ("passwd", f"{USER_ID}::/:/bin/sh"), ("group", ""):
        with Path("/etc", database).open("a") as lines:
            lines.write(f"ward:x:{USER_ID}:{entry}\n")
    return "ward"


def test_a_user_whom_setup_prepared_runs_jobs_without_systemd(user: str) -> None:
    subprocess.run([*SANDBOX, "setup", "--user", user], check=True)
    job = [*SANDBOX, "run", "--require-grade", "memory=kernel", "--", "/usr/bin/id", "-u"]
    ended = subprocess.run(["sh", "-c", SESSION, "sh", *job], capture_output=True)
    assert (ended.returncode, ended.stdout) == (0, b"1000\n"), ended
    subprocess.run([*SANDBOX, "setup", "--user", user, "--undo"], check=True)
    assert not (CGROUPS / str(USER_ID)).exists()
    assert f"{user}:" not in Path("/etc/subuid").read_text()
