"""Claims and sweeps, on plain directories: a lock is a lock on any file system."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.spec.errors import SetupError
from sandbox.supervisor.cgroup import runs
from sandbox.supervisor.cgroup.files import set_limit

CLAIM_AND_DIE = """
import os, signal, sys
from sandbox.supervisor.cgroup import runs
run = runs.claim(sys.argv[1:])
print(run.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def bases(tmp_path: Path) -> list[str]:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
    return [str(tmp_path / "memory"), str(tmp_path / "pids")]


def _names(bases: list[str]) -> list[list[str]]:
    return [sorted(entry.name for entry in Path(base).iterdir()) for base in bases]


def test_a_released_run_leaves_nothing(bases: list[str]) -> None:
    run = runs.claim(bases)
    assert _names(bases) == [[run.name], [run.name]]
    run.release()
    assert _names(bases) == [[], []]


def test_a_run_that_is_still_populated_is_left_for_a_sweep(bases: list[str]) -> None:
    run = runs.claim(bases)
    (Path(bases[1]) / run.name / "job").mkdir()
    run.release()
    assert _names(bases) == [[run.name], [run.name]]
    assert runs.sweep(bases) == [run.name]
    assert _names(bases) == [[], []]


def test_a_claim_that_fails_half_way_leaves_nothing(bases: list[str]) -> None:
    with pytest.raises(FileNotFoundError):
        runs.claim([*bases, f"{bases[0]}/absent"])
    assert _names(bases) == [[], []]


def test_two_runs_of_one_process_differ(bases: list[str]) -> None:
    first, second = runs.claim(bases), runs.claim(bases)
    assert first.name != second.name
    first.release()
    second.release()


def test_a_live_run_is_not_swept(bases: list[str]) -> None:
    run = runs.claim(bases)
    assert runs.sweep(bases) == []
    assert _names(bases) == [[run.name], [run.name]]
    run.release()


@pytest.mark.parametrize("seen", [[0], [1]])
def test_a_live_run_is_not_swept_by_a_runner_that_sees_other_hierarchies(
    bases: list[str], seen: list[int]
) -> None:
    run = runs.claim(bases)
    assert runs.sweep([bases[number] for number in seen]) == []
    assert _names(bases) == [[run.name], [run.name]]
    run.release()
    fewer = runs.claim([bases[number] for number in seen])
    assert runs.sweep(bases) == []
    fewer.release()
    assert _names(bases) == [[], []]


def test_no_two_runs_share_a_directory(bases: list[str]) -> None:
    one = runs.claim(bases[1:])
    other = runs.claim(bases)
    assert one.name != other.name
    one.release()
    other.release()
    assert _names(bases) == [[], []]


def test_a_dead_runners_directories_are_swept_in_all_hierarchies(bases: list[str]) -> None:
    dead = subprocess.run([sys.executable, "-c", CLAIM_AND_DIE, *bases], stdout=subprocess.PIPE)
    name = dead.stdout.decode().strip()
    (Path(bases[1]) / name / "job" / "payload").mkdir(parents=True)
    assert _names(bases) == [[name], [name]]
    assert runs.sweep(bases) == [name]
    assert _names(bases) == [[], []]


@pytest.mark.parametrize("name", ["entry", "run-u0.service", "run-r1f.scope", "sandbox-1-2.scope"])
def test_a_sweep_touches_nothing_but_runs(bases: list[str], name: str) -> None:
    # Below a user's slice systemd's transient units are beside us, and nobody holds their lock.
    (Path(bases[0]) / name).mkdir()
    assert runs.sweep(bases) == []
    assert _names(bases) == [[name], []]


def test_a_limit_that_the_kernel_does_not_hold_is_named(tmp_path: Path) -> None:
    # A plain file keeps what it is given; a memory limit would have been rounded to pages.
    (tmp_path / "memory.max").touch()
    with pytest.raises(SetupError, match=r"memory\.max: wrote 5000, the kernel holds 5000"):
        set_limit(str(tmp_path / "memory.max"), b"5000", -1, in_pages=True)
