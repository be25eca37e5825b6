"""Whole jobs on cgroup v2, as an unprivileged user with a delegated subtree."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.kernel.confinement import landlock_abi

pytestmark = pytest.mark.usefixtures("leftovers")

PYTHON = ("--", "/usr/bin/python3", "-S", "-c")
FORK = """
import os, signal
for _ in range(20):
    if os.fork() == 0:
        signal.pause()
"""
BURN = """
import time
start = time.process_time()  # what the stub used before was not in the payload's cgroup
while time.process_time() - start < 0.5:
    pass
"""
# A tree, half of it in sessions of its own, that outlives its root and its output's reader.
TREE = 'for _ in 1 2 3 4; do (setsid sh -c "sleep 600 & sleep 600" & sleep 600) & done; wait'


def test_a_job_runs_with_its_limits_enforced_by_the_kernel(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--", "/bin/cat", stdin=b"in and out")
    assert (outcome.returncode, outcome.stdout) == (0, b"in and out"), outcome.stderr
    grades = outcome.result["grades"]
    assert {grades[limit] for limit in ("memory", "processes", "cpus", "disk")} == {"kernel"}
    assert outcome.result["identity"]["is_own"], "a host uid of the job's own"


def _lacking() -> set[str]:
    """The optional walls that this kernel has not. User-mode Linux has neither."""
    there = {"landlock": landlock_abi, "time": lambda: Path("/proc/self/ns/time").stat()}
    lacking = set()
    for wall, look in there.items():
        try:
            look()
        except OSError:
            lacking.add(wall)
    return lacking


def test_walls_that_this_kernel_lacks_are_told(run_sandbox: Callable) -> None:
    walls = run_sandbox("--", "/bin/true").result["walls"]
    absent = {wall for wall, state in walls.items() if state.startswith("absent")}
    assert absent == _lacking()
    assert {walls[wall] for wall in walls.keys() - absent} == {"up"}


def test_memory_over_the_limit_is_told_by_its_oom_kill(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--memory", "48MiB", *PYTHON, "bytearray(100 << 20)")
    assert (outcome.returncode, outcome.result["verdict"]) == (137, "memory"), outcome
    assert any("oom_kill=" in line for line in outcome.result["evidence"])
    assert 40 << 20 < outcome.result["memory_peak_bytes"] <= 48 << 20


def test_processes_over_the_limit_are_refused_and_counted(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--processes", "5", *PYTHON, FORK)
    assert outcome.result["verdict"] == "processes", outcome
    assert outcome.stdout == b"" and "BlockingIOError" in outcome.stderr
    assert any("pids.events max=" in line for line in outcome.result["evidence"])
    assert outcome.result["processes_peak"] == 5


def test_a_share_of_a_cpu_throttles(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--cpus", "0.2", *PYTHON, BURN)
    assert outcome.result["verdict"] == "exited", outcome
    assert outcome.result["throttled_seconds"] > 0
    assert outcome.result["cpu_seconds"] >= 0.45  # accounting is by ticks


def test_cpu_time_over_the_limit_is_the_verdict(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--cpu-time", "500ms", *PYTHON, "while True: pass")
    assert (outcome.returncode, outcome.result["verdict"]) == (124, "cpu_time"), outcome


def test_a_tree_of_processes_ends_with_its_job(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--wall", "5s", "--", "/bin/sh", "-c", TREE)
    assert (outcome.returncode, outcome.result["verdict"]) == (124, "wall_time"), outcome
    assert outcome.result["processes_peak"] > 10, "the tree was never there"


def test_the_doctor_finds_that_default_jobs_can_run() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "sandbox", "doctor", "--json"], capture_output=True
    )
    assert ended.returncode == 0, ended
    found = json.loads(ended.stdout)
    assert (found["ok"], found["host"]["cgroups"]) == (True, "v2")
    assert found["limits"]["memory"]["state"] == found["limits"]["cpus"]["state"] == "kernel"
    assert {wall for wall, row in found["walls"].items() if row["state"] == "weak"} == _lacking()
