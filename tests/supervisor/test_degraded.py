"""A host without cgroups: refused with the fix, or run on the caller's own word, and told."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from containment.walls import attack

from sandbox.spec.errors import HostError, RefusedError
from sandbox.supervisor import startup


@pytest.fixture(autouse=True)
def no_cgroups(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def find_backend(uid: int) -> None:
        raise HostError(f"nothing is delegated to uid {uid}; fix: sandbox setup --user NAME")

    monkeypatch.setattr(startup.cgroup, "find_backend", find_backend)
    yield


def test_a_job_is_refused_and_the_fix_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="sandbox setup --user"):
        attack("print('ran')", tmp_path)
    assert (tmp_path / "output").read_bytes() == b""


def test_a_job_that_accepts_less_is_told_what_it_gets(tmp_path: Path) -> None:
    result, output = attack("print('ran')", tmp_path, allow_degraded=True)
    assert (result.verdict, output) == ("exited", "ran\n")
    grades = {name: result.grades[name] for name in ("memory", "processes", "cpu_time", "cpus")}
    assert grades == {"memory": "none", "processes": "rlimit", "cpu_time": "rlimit", "cpus": "none"}
    assert result.memory_peak_bytes is None
    assert result.walls["quotas"].startswith("absent")


def test_a_demanded_grade_is_still_demanded(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="sandbox setup --user"):
        attack("print('ran')", tmp_path, allow_degraded=True, required_grades={"memory": "kernel"})


def test_rlimits_are_what_is_left_of_the_process_limit(tmp_path: Path) -> None:
    program = (
        "import os\n"
        "for n in range(64):\n"
        "    try:\n"
        "        if os.fork() == 0: import time; time.sleep(60)\n"
        "    except BlockingIOError:\n"
        "        break\n"
        "print(n)"
    )
    _, output = attack(program, tmp_path, allow_degraded=True, limits={"processes": 8})
    assert output == "7\n", "with the first process that is eight"


def test_the_cpu_time_of_a_process_is_still_bounded(tmp_path: Path) -> None:
    result, _ = attack(
        "while True: pass", tmp_path, allow_degraded=True, limits={"cpu_seconds": 1.0}
    )
    assert result.verdict == "cpu_time"


def test_a_job_of_any_name_is_looked_at(tmp_path: Path) -> None:
    program = (
        "import ctypes, time\n"
        "ctypes.CDLL(None).prctl(15, b'\\xff) \\xfe')\n"  # PR_SET_NAME
        "time.sleep(0.5)\n"  # looks are 0.1 s apart
        "print('ran')"
    )
    result, output = attack(program, tmp_path, allow_degraded=True, limits={"cpu_seconds": 5.0})
    assert (result.verdict, output) == ("exited", "ran\n")
