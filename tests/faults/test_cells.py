"""Each step of each process with one of its system calls made to fail; `python -m faults` has all.

Whatever fails: a true result or an error that names the step, no payload without its walls, nothing
left, and the next job runs. The sample is the same in every run.
"""

import contextlib
import os
import platform
import pwd
from collections.abc import Sequence

import pytest
from faults.cells import Cell, Finding, Stand, cells_of, kills_of, stand
from faults.test_kills import TESTS
from faults.tracer import Call

from sandbox.supervisor.identity import find_ranges

pytestmark = [
    pytest.mark.usefixtures("leftovers"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the tracer knows x86-64 only"),
]

_ROLES = {"supervisor", "zygote", "lookout", "init", "stub"}
_STARTING = {"supervisor", "launch", "keeper", "zygote", "lookout"}
_MOST_DEATHS = 6
_MOST_STARTS = 4  # of seconds each


Kind = tuple[str, str, int]  # the role, the step and which system call


def sample(scenario: str, calls: Sequence[Call], known: frozenset[Kind]) -> list[Cell]:
    """One cell of each step of each process that makes a call there which is not known already."""
    by_step: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells_of(scenario, [call for call in calls if call[:3] not in known]):
        by_step.setdefault((cell.call.role, cell.call.step), []).append(cell)
    # Not always the first, nor one errno.
    return [cells[number * 7 % len(cells)] for number, cells in enumerate(by_step.values())]


def steady_calls(here: Stand, scenario: str) -> list[Call]:
    """Those that a second run makes too: which of two events is seen first is nobody's choice."""
    first = here.calls(scenario)
    second = frozenset(here.calls(scenario))
    return [call for call in first if call in second]


def run(here: Stand, cells: Sequence[Cell]) -> list[Finding]:
    """What came of each; all of them must be good, and most must have been met."""
    findings = [here.run(cell) for cell in cells]
    bad = [f"{f.cell.name}: {f.problem}: {f.message}" for f in findings if f.problem]
    assert not bad, "\n".join(["", *bad, "again: python -m faults --only CELL"])
    met = [finding for finding in findings if finding.outcome != "not met"]
    # Not of the one that there may be: what three tries have not met is no fault of anybody's.
    assert len(met) >= 0.8 * len(cells) - 1, "which calls a run makes is as good as fixed"
    return met


@pytest.fixture(scope="module")
def calls_of_a_job() -> frozenset[Kind]:
    with stand("job") as here:
        return frozenset(call[:3] for call in here.calls("job"))


def test_each_step_of_a_job() -> None:
    with stand("job") as here:
        calls = steady_calls(here, "job")
        assert {call.role for call in calls} >= {*_ROLES, "collector"}
        met = run(here, sample("job", calls, frozenset()))
    outcomes = {finding.outcome for finding in met}
    assert {"SetupError", "HostError", "result", "told"} <= outcomes, "control: they do fail"


@pytest.mark.parametrize("scenario", ["terminal", "parked", "pipeline"])
def test_each_step_that_other_jobs_have(scenario: str, calls_of_a_job: frozenset[Kind]) -> None:
    with stand(scenario) as here:
        calls = steady_calls(here, scenario)
        run(here, sample(scenario, calls, calls_of_a_job))
    assert {call.role for call in calls} >= _ROLES


@pytest.mark.parametrize("scenario", ["job", "pipeline"])
def test_deaths_at_some_of_the_steps(scenario: str) -> None:
    """`python -m faults --kills` has all."""
    with stand(scenario) as here:
        here.calls(scenario)
        cells = list(kills_of(scenario, here.alive()))
        if scenario == "pipeline":
            cells = [cell for cell in cells if "lookout" in (cell.victim, cell.call.role)]
        run(here, cells[:: -(-len(cells) // _MOST_DEATHS)])
    with stand("job") as here:
        here.calls("job")  # the next start sweeps what a killed supervisor has left


def test_steps_of_a_start() -> None:
    with stand("start") as here:
        run_some(here)


@pytest.mark.root
def test_steps_of_a_start_with_all_its_ids() -> None:
    """Root traces it, for else newuidmap(1) would have no rights: execve(2)."""
    with stand("start", user=user_with_ids()) as here:
        run_some(here)


def run_some(here: Stand) -> None:
    cells = sample("start", steady_calls(here, "start"), frozenset())
    cells = [cell for cell in cells if cell.call.role in _STARTING]
    run(here, cells[:: -(-len(cells) // _MOST_STARTS)])


def user_with_ids() -> str:
    """One that the host is prepared for, and that may read the checkout."""
    owner = pwd.getpwuid(TESTS.stat().st_uid).pw_name
    for name in (owner, "sandbox-test", os.environ.get("SUDO_USER", "root")):
        with contextlib.suppress(KeyError):
            found = pwd.getpwnam(name)
            if found.pw_uid and find_ranges(found.pw_uid):
                return name
    pytest.skip("no user with ranges in /etc/subuid owns the checkout")
