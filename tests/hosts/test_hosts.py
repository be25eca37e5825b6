"""Each kind of host is made, and what jobs get there is what the table, and the document, say.

The long form: SANDBOX_LONG=1 for all hosts of a kind and for the gaps that the doctor's script
closes one by one, and document.py for the guests with systemd and in QEMU.
"""

import functools
import os
import subprocess
import sys

import pytest
from hosts import by_root, by_user, fixable, in_guests
from hosts.cell import Cell
from hosts.document import DOCUMENT, last_found, render
from hosts.found import Found, summary
from hosts.visit import CHECKOUT, missing, visit

VIOLATION = 159  # as the shell has it for SIGSYS
LONG = "SANDBOX_LONG" in os.environ
# Guests whose kernel boots in seconds; the others are visited by `python -m hosts.document`.
_SMOKE = [c for c in in_guests.CELLS if c.guest == in_guests.UML and (LONG or not c.long)]


def _named(cells: "tuple[Cell, ...]") -> "pytest.MarkDecorator":
    return pytest.mark.parametrize("cell", cells, ids=lambda cell: cell.name)


@functools.cache
def _bare() -> Found:
    return summary(visit(by_user.CELLS[0]))


@pytest.fixture(autouse=True)
def prepared() -> None:
    if (bare := _bare()).default != "runs":
        pytest.skip(f"default jobs do not run on this host itself: {bare.default}")


@_named(by_user.CELLS)
def test_a_host_that_an_ordinary_user_makes(cell: Cell) -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    _compare(cell, _found(cell))


@pytest.mark.root
@_named(by_root.CELLS)
def test_a_host_that_root_makes(cell: Cell) -> None:
    _compare(cell, _found(cell))


def test_a_host_with_another_kernel() -> None:
    if why := missing(_SMOKE[0]):
        pytest.skip(why)
    by_name = {cell.name: cell for cell in _SMOKE}
    for name, examined in in_guests.visits(_SMOKE):
        _compare(by_name[name], summary(examined))


@pytest.mark.parametrize("cells", [(fixable.SMOKE,), fixable.CELLS], ids=["at once", "each"])
def test_the_script_of_the_doctor_closes_the_gaps(cells: tuple[Cell, ...]) -> None:
    if why := missing(fixable.SMOKE):
        pytest.skip(why)
    if cells is fixable.CELLS and not LONG:
        pytest.skip("takes a minute; SANDBOX_LONG=1 is not set")
    for name, examined in in_guests.visits(cells):
        found = summary(examined)
        assert found.default == "runs", f"{name}: {found}"
        assert found.walls == in_guests.UML_LACKS, f"{name}: {found}"
        assert found.grades["memory"] == found.grades["processes"] == "kernel"


@pytest.mark.root
def test_the_script_of_the_doctor_lets_memory_files_be_executed() -> None:
    found = _found(fixable.MEMFD)
    assert (found.default, found.walls, found.fixes) == ("runs", {}, [])


def test_a_job_makes_no_sandbox_of_its_own() -> None:
    if os.geteuid() == 0:
        pytest.skip("for an ordinary user")
    sandbox = [sys.executable, "-B", "-m", "sandbox", "run"]
    shown = [word for path in (sys.prefix, CHECKOUT) for word in ("--ro", f"{path}:{path}")]
    inner = ["env", f"PYTHONPATH={CHECKOUT}", *sandbox, "--", "true"]
    ended = subprocess.run([*sandbox, *shown, "--", *inner], cwd=CHECKOUT, capture_output=True)
    assert ended.returncode == VIOLATION, ended
    assert b"violation: seccomp: unshare(CLONE_NEWUSER)" in ended.stderr


def test_the_document_is_written_from_what_was_found() -> None:
    rows = last_found()
    made_here = (*by_user.CELLS, *by_root.CELLS, *_SMOKE)
    assert set(rows) >= {cell.name for cell in made_here}
    assert set(rows) <= {cell.name for cell in (*made_here, *in_guests.CELLS)}
    assert DOCUMENT.read_text() == render(rows)


def _found(cell: Cell) -> Found:
    if cell.long and not LONG:
        pytest.skip("SANDBOX_LONG=1 is not set")
    if why := missing(cell):
        pytest.skip(why)
    return summary(visit(cell))


def _compare(cell: Cell, found: Found) -> None:
    """With what the table expects of every such host, then with the document's row."""
    assert (found.default == "runs") == cell.runs, found
    if cell.runs:
        # What is over a limit ends by it: the grades are no mere words.
        assert found.verdicts == {"memory": "memory", "processes": "processes"}
        assert found.grades["memory"] == found.grades["processes"] == "kernel"
    else:
        assert (found.degraded == "runs") == cell.runs_degraded, found
        assert "Traceback" not in found.default
        assert "; fix: " in found.default or cell.says == "exit code 255"
    assert found.walls == dict(cell.walls)
    assert cell.says in found.default
    assert bool(found.fixes) == bool(cell.walls or not cell.runs), found.fixes
    assert any(cell.fix in fix for fix in found.fixes) or not cell.fix, found.fixes
    documented = last_found()
    if _bare()._replace(kernel="") == documented["bare"]._replace(kernel=""):
        assert found._replace(kernel="") == documented[cell.name]._replace(kernel="")
