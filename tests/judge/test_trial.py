"""Trials: which runs are done again, which one counts, and what passes and validators come to."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from judge.fakes import LIMITS, FakeRunner, built, completed, here, noisy, problem
from trio.testing import wait_all_tasks_blocked

from sandbox.judge.cores import Cores
from sandbox.judge.execution import TimeLimit
from sandbox.judge.runner import Order
from sandbox.judge.trial import Settings, Trials
from sandbox.judge.verdict import Outcome
from sandbox.spec.errors import HostError
from sandbox.spec.result import Completed

LIMIT = TimeLimit.of(1.0)
RIGHT = b"yes\n"


def trial(
    tmp_path: Path, *runs: Completed | HostError, settings: Settings | None = None, **fields
) -> tuple[Outcome, list[Order]]:
    """One test, whose runs come to that, one after the other; all of them must be made."""
    runner = FakeRunner(runs)
    package = problem(tmp_path, **fields)
    validator = built(tmp_path, "validator") if package.output_validator else None

    async def main() -> Outcome:
        trials = Trials(package, validator, {}, here(runner, tmp_path), settings or Settings())
        (test,) = package.data.tests()
        return await trials.run(built(tmp_path), test, LIMIT)

    outcome = trio.run(main)
    assert len(runner.orders) == len(runs)
    return outcome, runner.orders


@pytest.mark.parametrize("cpu", [0.9, 0.95, 1.0, 1.09])
def test_a_disturbed_run_near_the_limit_is_done_again_and_the_last_one_counts(
    tmp_path: Path, cpu: float
) -> None:
    first = completed("cpu_time" if cpu > 1 else "exited", RIGHT, cpu_seconds=cpu, host=noisy())
    outcome, orders = trial(tmp_path, first, completed(stdout=RIGHT, cpu_seconds=0.8))
    assert outcome.verdict == "AC"
    assert [run.cpu_seconds for run in outcome.runs] == [cpu, 0.8]
    assert outcome.cpu_seconds == 0.8
    assert outcome.runs[0].noise == ("the hypervisor took 0.5 s",) and not outcome.runs[1].noise
    assert orders[1].job.limits["core"] == max(Cores()._all)
    outcome, _ = trial(tmp_path, first, completed("cpu_time", cpu_seconds=1.05))
    assert outcome.verdict == "TLE"


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(completed("cpu_time", cpu_seconds=1.05), id="near and quiet"),
        pytest.param(completed("exited", RIGHT, cpu_seconds=0.95), id="near, quiet, accepted"),
        pytest.param(completed("exited", RIGHT, cpu_seconds=0.89, host=noisy()), id="far below"),
        pytest.param(completed("cpu_time", cpu_seconds=1.11, host=noisy()), id="far above"),
        pytest.param(completed("wall_time", cpu_seconds=0.01, host=noisy()), id="it slept"),
        pytest.param(completed("wall_time", cpu_seconds=0.9), id="cut off on a quiet machine"),
    ],
)
def test_no_other_run_is_done_again(tmp_path: Path, run: Completed) -> None:
    outcome, _ = trial(tmp_path, run)
    assert len(outcome.runs) == 1
    assert outcome.verdict == ("AC" if run.result.verdict == "exited" else "TLE")


def test_a_run_that_had_to_wait_for_a_core_is_done_again_with_more_patience(tmp_path: Path) -> None:
    first = completed("wall_time", cpu_seconds=0.3, host=noisy())
    outcome, orders = trial(tmp_path, first, completed(stdout=RIGHT, cpu_seconds=0.7))
    assert outcome.verdict == "AC"
    first_limits, second_limits = (order.job.limits for order in orders)
    assert second_limits["wall_seconds"] == 3 * first_limits["wall_seconds"]
    assert second_limits["cpu_seconds"] == first_limits["cpu_seconds"], "that one decides"


def test_nothing_is_done_again_where_that_was_not_wanted(tmp_path: Path) -> None:
    run = completed("exited", RIGHT, cpu_seconds=0.95, host=noisy())
    outcome, _ = trial(tmp_path, run, settings=Settings(repeats_near=False))
    assert len(outcome.runs) == 1


def test_a_neighbour_disturbs_and_the_second_run_has_none(tmp_path: Path) -> None:
    package = problem(tmp_path, 2)
    cores = Cores()
    if cores.count < 2:
        pytest.skip("one core: there is no neighbour")
    running: set[bytes | Path | None] = set()
    both = trio.Event()
    alone: list[bool] = []

    async def answer(order: Order) -> Completed:
        if both.is_set():  # the second run of either
            alone.append(not running)
        running.add(token := object())
        if len(running) == 2:
            both.set()
        await both.wait()
        await wait_all_tasks_blocked()
        running.remove(token)
        return completed(stdout=RIGHT, cpu_seconds=0.99)

    async def main() -> list[Outcome]:
        trials = Trials(package, None, {}, here(FakeRunner(answer), tmp_path, cores), Settings())
        outcomes = []

        async def one(test) -> None:
            outcomes.append(await trials.run(built(tmp_path), test, LIMIT))

        async with trio.open_nursery() as nursery:
            for test in package.data.tests():
                nursery.start_soon(one, test)
        return outcomes

    for outcome in trio.run(main):
        assert [run.noise for run in outcome.runs] == [("1 other run at the same time",), ()]
    assert alone == [True, True]


def test_limits_are_of_each_pass_and_the_slowest_one_is_told(tmp_path: Path) -> None:
    seen = []

    async def answer(order: Order) -> Completed:
        seen.append(order.job.limits["cpu_seconds"])
        if order.job.command[0] == b"submission":
            number = sum(1 for seconds in seen if seconds == 1.0)
            assert order.stdin.read_bytes() == (b"?\n" if number == 1 else b"more\n")
            return completed(stdout=RIGHT, cpu_seconds=[0.2, 0.7, 0.3][number - 1])
        wanted = {a.path.rpartition(b"/")[2]: a.destination for a in order.job.artifacts}
        if len(seen) < 6:
            wanted[b"nextpass.in"].write_bytes(b"more\n")
        return completed(exit_code=42)

    outcome, _ = passes(tmp_path, FakeRunner(answer), 3)
    assert (outcome.verdict, len(outcome.runs), outcome.cpu_seconds) == ("AC", 1, 0.7)
    assert seen == [1.0, 60.0] * 3


def test_a_validator_that_wants_too_many_passes_is_to_blame(tmp_path: Path) -> None:
    outcome, orders = passes(tmp_path, FakeRunner(asking_for_more(42)), 2)
    assert outcome.verdict == "JE" and "more than 2 passes" in outcome.why
    assert len(orders) == 4


def test_a_validator_that_rejects_and_wants_another_pass_is_to_blame(tmp_path: Path) -> None:
    outcome, orders = passes(tmp_path, FakeRunner(asking_for_more(43)), 2)
    assert outcome.verdict == "JE" and "has rejected" in outcome.why
    assert len(orders) == 2


def test_what_was_said_of_a_pass_before_a_failure_is_kept(tmp_path: Path) -> None:
    runs = iter([completed(stdout=RIGHT), completed(exit_code=1)])
    validate = asking_for_more(42)

    async def answer(order: Order) -> Completed:
        return next(runs) if order.job.command[0] == b"submission" else await validate(order)

    outcome, _ = passes(tmp_path, FakeRunner(answer), 2)
    assert (outcome.verdict, outcome.score) == ("RTE", None)
    assert (outcome.judge_message, outcome.team_message) == ("well", "try")


def asking_for_more(code: int):
    async def answer(order: Order) -> Completed:
        if order.job.command[0] == b"submission":
            return completed(stdout=RIGHT)
        said = {b"nextpass.in": "more", b"judgemessage.txt": "well", b"teammessage.txt": "try"}
        for artifact in order.job.artifacts:
            if text := said.get(artifact.path.rpartition(b"/")[2]):
                artifact.destination.write_text(f"{text}\n")
        return completed(exit_code=code)

    return answer


def passes(tmp_path: Path, runner: FakeRunner, most: int) -> tuple[Outcome, list[Order]]:
    package = problem(tmp_path, limits=LIMITS._replace(passes=most))

    async def main() -> Outcome:
        validator = built(tmp_path, "validator")
        trials = Trials(package, validator, {}, here(runner, tmp_path), Settings())
        (test,) = package.data.tests()
        return await trials.run(built(tmp_path), test, LIMIT)

    before = set(tmp_path.iterdir())
    outcome = trio.run(main)
    assert not [path for path in set(tmp_path.iterdir()) - before if path.is_dir()]
    return outcome, runner.orders


def test_a_validator_runs_on_its_test_s_core(tmp_path: Path) -> None:
    """Elsewhere it would disturb somebody's time."""
    outcome, orders = passes(
        tmp_path, FakeRunner([completed(stdout=RIGHT), completed(exit_code=42)]), 1
    )
    assert outcome.verdict == "AC"
    submission, validator = (order.job.limits["core"] for order in orders)
    assert submission is not None and validator == submission


def test_a_failure_of_ours_is_no_fault_of_the_submission(tmp_path: Path) -> None:
    outcome, _ = trial(tmp_path, HostError("no room"))
    assert (outcome.verdict, outcome.runs) == ("JE", ())
    assert "no room" in outcome.why


def test_what_is_told_of_a_run_is_what_the_runner_said(tmp_path: Path) -> None:
    run = completed(
        "signaled",
        b"so far",
        signal=11,
        evidence=("signal 11",),
        memory_peak_bytes=5,
        cpu_seconds=0.2,
    )
    outcome, _ = trial(tmp_path, run, settings=Settings(kept_bytes=2))
    assert (outcome.verdict, outcome.why, outcome.signal) == ("RTE", "signal 11", 11)
    assert (outcome.evidence, outcome.stdout) == (("signal 11",), b"so")
    (told,) = outcome.runs
    assert (told.cpu_seconds, told.wall_seconds, told.memory_bytes) == (0.2, 0.1, 5)
    outcome, _ = trial(tmp_path, completed(stdout=b"no\n"))
    assert outcome.verdict == "WA" and '"no"' in outcome.judge_message
