"""The load in short: every kind of job right, with kills, and nothing left behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.load_jobs import KINDS, PROGRAMS

CHECKOUT = Path(__file__).resolve().parents[2]


def test_every_hostile_program_of_the_load_is_there() -> None:
    assert all((CHECKOUT / "examples" / "hostile" / f"{name}.c").exists() for name in PROGRAMS)
    assert len({kind.name for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize("daemon_every", [0, 4], ids=["", "and the daemon is killed"])
def test_a_short_load_comes_right_and_leaves_nothing(
    daemon_every: int, tmp_path: Path, leftovers: None
) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this host")
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "load", "--minutes", "0.25", "--samples", "2",
         "--clients", "3", "--init-every", "2", "--zygote-every", "4",
         "--daemon-every", str(daemon_every), "--json", found],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(found.read_text())
    assert told["faults"] == []
    assert len(told["samples"]) == 2
    assert told["visits"] > 0
