"""Root's range, and the drop: without rights it raises, with them nothing is left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.spec.errors import HostError
from sandbox.supervisor.privileges import ROOT_RANGE, choose_root_map
from sandbox.supervisor.subids import Range

WHOLE_MAP = "         0          0 4294967295\n"
ATTEMPT = """
import sandbox.supervisor.privileges as privileges
try:
    privileges.drop_for_good(1879048192, 1879048192)
except privileges.SetupError as error:
    print(error)
"""
DROP = """
from sandbox.supervisor.privileges import drop_for_good
drop_for_good(1879048192, 1879048192)
print(open("/proc/self/status").read())
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    for name in ("subuid", "subgid"):
        (tmp_path / name).write_text("")
    for name in ("uid_map", "gid_map"):
        (tmp_path / name).write_text(WHOLE_MAP)
    return tmp_path


def test_root_becomes_the_first_id_of_a_range_that_nobody_has(host: Path) -> None:
    base = choose_root_map(host, host)
    assert (base.uid, base.gid) == (ROOT_RANGE.start, ROOT_RANGE.start)
    assert base.ranges is not None
    assert base.ranges.uids == base.ranges.gids == Range(ROOT_RANGE.start + 1, 65535)


def test_root_s_own_line_is_preferred(host: Path) -> None:
    for name in ("subuid", "subgid"):
        (host / name).write_text("root:500000:1000\n")
    base = choose_root_map(host, host)
    assert base.uid == 500000
    assert base.ranges is not None
    assert base.ranges.uids == Range(500001, 999)


def test_a_line_in_one_of_the_files_only_is_not_used(host: Path) -> None:
    (host / "subuid").write_text("root:500000:1000\n")
    assert choose_root_map(host, host).uid == ROOT_RANGE.start


def test_a_range_of_somebody_else_is_refused(host: Path) -> None:
    (host / "subgid").write_text(f"alice:{ROOT_RANGE.end - 1}:1\n")
    with pytest.raises(HostError, match=r"alice.*fix: give root a range"):
        choose_root_map(host, host)


@pytest.mark.parametrize("name", ["uid_map", "gid_map"])
def test_ids_that_the_container_lacks_are_refused(host: Path, name: str) -> None:
    (host / name).write_text("0 100000 65536\n")
    with pytest.raises(HostError, match=rf"no ids 1879048192.*{name}.*fix: "):
        choose_root_map(host, host)


def test_a_drop_without_root_raises() -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    assert run(ATTEMPT) == "root could not be dropped: [Errno 1] Operation not permitted\n"


@pytest.mark.root
def test_after_the_drop_no_right_is_left() -> None:
    status = dict(line.split(":\t", 1) for line in run(DROP).splitlines() if ":\t" in line)
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1879048192"}
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0


@pytest.mark.root
@pytest.mark.parametrize("kept", ["setresuid", "setresgid", "setgroups"])
def test_a_drop_that_one_call_did_not_do_is_noticed(kept: str) -> None:
    code = f"import os; os.{kept} = lambda *ids: None\n"
    assert "rights are left" in run(code + ATTEMPT)


@pytest.mark.root
def test_a_process_of_several_threads_is_refused() -> None:
    code = (
        "import threading\nstop = threading.Event()\nthreading.Thread(target=stop.wait).start()\n"
    )
    assert "several threads" in run(f"{code}{ATTEMPT}stop.set()\n")


def run(code: str) -> str:
    """What the code prints, run by a process of its own: a drop is for good."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
        extra_groups=[4] if os.geteuid() == 0 else None,
    )
    return done.stdout
