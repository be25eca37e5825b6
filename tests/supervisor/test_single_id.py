"""A host that grants no subordinate ids: every job runs as its caller, and the Result says so."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from containment.walls import attack, without

from sandbox.spec.errors import SetupError
from sandbox.spec.job import Artifact
from sandbox.supervisor import startup
from sandbox.supervisor.identity import BaseMap


@pytest.fixture(autouse=True)
def no_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    base = BaseMap(os.getuid(), os.getgid(), None, "/etc/subuid grants nothing")
    monkeypatch.setattr(startup, "plan_base_map", lambda uid, gid: base)
    yield


def test_a_job_runs_as_its_caller_and_is_told_why(tmp_path: Path, leftovers: None) -> None:
    result, output = attack("import os; print(os.getuid())", tmp_path)
    assert (result.verdict, output) == ("exited", "1000\n")
    assert result.identity == {
        "host_uid": os.getuid(),
        "is_own": False,
        "why": "/etc/subuid grants nothing",
    }
    assert result.grades["memory"] == "kernel"


def test_a_job_of_the_callers_uid_reaches_no_process_of_it(tmp_path: Path) -> None:
    program = (
        "import os\n"
        f"for pid in (1, {os.getpid()}, -1):\n"
        "    try: os.kill(pid, 0); print(pid)\n"
        "    except OSError as error: print(error.errno)\n"
        "for name in ('environ', 'mem', 'root'):\n"
        "    path = f'/proc/1/{name}'\n"
        "    try: os.stat(path + '/') if name == 'root' else open(path).read(1)\n"
        "    except OSError as error: print(error.errno)"
    )
    _, output = attack(program, tmp_path)
    # Init may be asked for, being of the same uid, but ignores all; nobody else is to be found.
    assert output.split() == ["1", "3", "3", "13", "13", "13"]


def test_artifacts_are_collected_as_well(tmp_path: Path) -> None:
    destination = tmp_path / "out"
    result, _ = attack(
        "open('out', 'w').write('x')", tmp_path, artifacts=(Artifact(b"/work/out", destination),)
    )
    assert destination.read_text() == "x", result.artifacts


def test_init_is_made_unreadable_by_its_own_step(tmp_path: Path) -> None:
    # Here no change of uid has done it before: the step that is a second lock elsewhere.
    with without("dumpable", look=True), pytest.raises(SetupError, match=r"\(dumpable\)"):
        attack("print('ran')", tmp_path)
