"""The floor program is a yardstick only as long as it builds the walls that ours builds."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.spec.policy import load_policy
from sandbox.supervisor import seccomp

SOURCE = Path(__file__).resolve().parents[2] / "bench" / "floor" / "floor.c"


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program and its filters; a command may follow."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this host")
    directory = tmp_path_factory.mktemp("floor")
    program, payload, init = (directory / name for name in ("floor", "payload", "init"))
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-o", program, SOURCE], check=True)
    payload.write_bytes(seccomp.compile_filter(load_policy("native"), listener=True).program)
    init.write_bytes(seccomp.init_filter())
    return [*map(str, (program, payload, init))]


def run(floor: list[str], order: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*floor, *command], input=order, capture_output=True, text=True, timeout=30
    )


def test_its_payload_has_no_right_and_a_filter(floor: list[str]) -> None:
    done = run(floor, "1 1\n", "/usr/bin/cat", "/proc/self/status")
    assert done.returncode == 0, done.stderr
    fields = dict(line.split(":\t") for line in done.stdout.splitlines() if ":\t" in line)
    sets = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    assert {fields[name] for name in sets} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    assert (fields["NSpid"], fields["Uid"].split()[0]) == ("2", "1000")


def test_its_payload_sees_what_ours_sees(floor: list[str]) -> None:
    done = run(floor, "1 1\n", "/usr/bin/cat", "/proc/self/mountinfo")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if " - " in line]
    seen = {line[4]: line[5].split(",") for line in lines}
    assert {"/", "/usr", "/dev", "/dev/pts", "/dev/shm", "/proc", "/tmp", "/work"} <= seen.keys()
    assert all("nosuid" in options for options in seen.values())
    assert all("ro" in seen[point] for point in ("/", "/usr", "/dev"))


def test_it_answers_each_order(floor: list[str]) -> None:
    done = run(floor, "3 1\n4 2\n")
    assert (done.returncode, done.stdout) == (0, "done\ndone\n"), done.stderr


def test_a_job_that_fails_ends_it(floor: list[str]) -> None:
    done = run(floor, "1 1\n1 1\n", "/usr/bin/false")
    assert (done.returncode, done.stdout) == (1, "")
    assert "failed" in done.stderr
