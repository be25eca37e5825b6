"""A running payload, looked at from outside: the kernel shows every wall that the Result claims."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.test_kills import descendants

from sandbox.supervisor.identity import find_ranges

PATIENCE_SECONDS = 30


@pytest.fixture
def payload(tmp_path: Path) -> Iterator[int]:
    """The pid of a payload that runs, in the host's numbers."""
    report = tmp_path / "result.json"
    command = [sys.executable, "-m", "sandbox", "run", f"--json={report}", "--", "sleep", "60"]
    runner = subprocess.Popen(command)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        found: list[int] = []
        while not found:
            assert time.monotonic() < end and runner.poll() is None
            time.sleep(0.01)
            found = [pid for pid, name in descendants(runner.pid).items() if name == "sleep"]
        yield found[0]
    finally:
        runner.send_signal(signal.SIGINT)
        assert runner.wait() == 130
    assert json.loads(report.read_text())["verdict"] == "cancelled"


def test_the_kernel_shows_each_wall_of_a_running_payload(payload: int) -> None:
    proc = Path(f"/proc/{payload}")
    lines = proc.joinpath("status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    assert status["Seccomp"] == ["2"] and status["NoNewPrivs"] == ["1"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    ranges = find_ranges(os.getuid())
    if ranges is not None:
        uids = range(ranges.uids.start, ranges.uids.start + ranges.count)
        assert {int(uid) in uids for uid in status["Uid"]} == {True}
        assert status["Groups"] == []
    assert status["NSpid"][-1] == "2", "init is 1, and nobody else was before it"
    for namespace in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"):
        mine = Path(f"/proc/self/ns/{namespace}")
        if mine.exists():
            assert proc.joinpath("ns", namespace).readlink() != mine.readlink(), namespace
    devices = proc.joinpath("net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    points = [line.split()[4:6] for line in proc.joinpath("mountinfo").read_text().splitlines()]
    options = dict((point, flags.split(",")) for point, flags in points)
    assert {"ro", "nosuid", "nodev"} <= set(options["/"]) & set(options["/usr"])
    assert not any(point.startswith("/sys") for point in options)
    assert "/job-" in proc.joinpath("cgroup").read_text()
