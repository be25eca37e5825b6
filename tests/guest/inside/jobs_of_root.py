"""Jobs of a runner that was started as root on cgroup v2: it claims a subtree, then drops."""

from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

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
