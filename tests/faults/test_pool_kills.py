"""kill -9 beside a pool: of the zygote, of a warm job's init, of the supervisor with all parked."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from containment.walls import mutated_zygote
from faults.test_kills import PATIENCE_SECONDS, TESTS, assert_all_end, descendants
from supervisor.resident import HELD, TRUE, Held, Outcome, Resident, python, resident, until
from trio.testing import trio_test, wait_all_tasks_blocked

from sandbox.boundary.plan import BindsPlan
from sandbox.kernel.processes import pidfd_send_signal
from sandbox.spec.errors import ZygoteError
from sandbox.spec.job import Artifact, Input, Job
from sandbox.supervisor import sandbox, zygote
from sandbox.supervisor.cgroup import find_backend
from sandbox.supervisor.lifecycle import Run
from sandbox.supervisor.link import Link
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.template import Template
from sandbox.supervisor.zygote import Zygote


def kill_zygote(here: Resident) -> int:
    process = here.zygote()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    return process.pid


@trio_test
async def test_what_is_parked_goes_with_its_zygote(leftovers: None) -> None:
    async with resident() as here:
        parked = await here.parked(3)
        killed = kill_zygote(here)
        outcome = await here.run(TRUE)  # submitted at once
        assert outcome.must_end().exit_code == 0
        await until(lambda: not set(parked) & set(here.idle))
        await until(lambda: all(sandbox._pidfd == -1 for sandbox in parked))
        await until(lambda: here.zygote() is not None)  # it comes up by itself
        assert here.zygote().pid != killed
        await here.pool.filled()
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert here.spy.taken[-1] not in parked


@pytest.mark.parametrize("is_stopped", [True, False], ids=["waiting", "working"])
@trio_test
async def test_jobs_that_are_built_are_built_elsewhere(
    is_stopped: bool, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    """The zygote dies while eight ask it for their sandboxes."""
    monkeypatch.setattr(zygote, "_ANSWER_SECONDS", 5)
    outcomes: list[Outcome] = []

    async def submit() -> None:
        outcomes.append(await here.run(TRUE))

    async with resident(None) as here:
        for _ in range(5):
            (await here.run(TRUE)).must_end()
            if is_stopped:
                os.kill(here.zygote().pid, signal.SIGSTOP)
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(submit)
                await until(lambda: here.supervisor._templates[0]._zygote._turns)
                kill_zygote(here)
        assert [outcome.error for outcome in outcomes] == [None] * 40
        assert {outcome.must_end().exit_code for outcome in outcomes} == {0}


def withholding_scripts(send_raw: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    async def send(link: Link, data: bytes, *fds: tuple[int, ...]) -> None:
        is_script = int.from_bytes(data[:8], "little") == len(data) - 8
        if not is_script and data != b"\0":  # nor the fds behind it
            await send_raw(link, data, *fds)

    return send


@trio_test
async def test_an_init_without_a_script_keeps_nobody_waiting_for_a_dead_zygote(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(zygote, "_ANSWER_SECONDS", 2 * PATIENCE_SECONDS)
    errors: list[ZygoteError] = []

    async def ask(asked: Zygote) -> None:
        try:
            await asked.open_binds(BindsPlan(()))
        except ZygoteError as error:
            errors.append(error)

    async with resident(None) as here, trio.open_nursery() as nursery:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Link, "send_raw", withholding_scripts(Link.send_raw))
            nursery.start_soon(here.run, TRUE)
            await until(lambda: here.supervisor._templates and here.zygote())
            await until(lambda: descendants(here.zygote().pid))
            os.kill(here.zygote().pid, signal.SIGSTOP)
            nursery.start_soon(ask, here.supervisor._templates[0]._zygote)
            await wait_all_tasks_blocked()
            kill_zygote(here)
            await until(lambda: errors)
        nursery.cancel_scope.cancel()


@trio_test
async def test_an_init_that_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(sandbox, "_BUILD_SECONDS", 0.5)
    async with resident(None) as here:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Link, "send_raw", withholding_scripts(Link.send_raw))
            outcome = await here.run(TRUE)
        assert isinstance(outcome.error, ZygoteError), outcome
        assert "did not answer" in str(outcome.error)
        await until(lambda: not here.cgroups())
        assert (await here.run(TRUE)).must_end().exit_code == 0


@trio_test
async def test_a_refill_whose_zygote_dies_is_made_elsewhere(leftovers: None) -> None:
    async with resident() as here:
        with pytest.MonkeyPatch.context() as patch:
            spawn, killed = Zygote.spawn, []

            async def spawn_and_kill(asked: Zygote, *args: Any) -> int:
                pidfd = await spawn(asked, *args)
                if here.spy.refills and not killed:
                    killed.append(kill_zygote(here))
                return pidfd

            patch.setattr(Zygote, "spawn", spawn_and_kill)
            await here.parked(2)
            assert killed
        await until(lambda: here.zygote() is not None)  # it comes up by itself
        assert here.zygote().pid not in killed
        # What was parked before it was seen to be dead is dropped then, and made anew.
        await until(lambda: len(here.idle) == 2)
        await here.at_once(2)
        assert len(here.spy.taken) == 2


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@trio_test
async def test_a_job_that_runs_outlives_its_zygote(
    is_warm: bool, tmp_path: Path, leftovers: None
) -> None:
    program = "import sys; print('up', flush=True); open('kept', 'w').write(sys.stdin.read())"
    job = python(program)._replace(
        artifacts=(Artifact(b"/work/kept", tmp_path / "kept"),), limits={"fds": 33}
    )
    held, outcomes = Held(), []

    async def submit() -> None:
        outcomes.append(await here.run(job, stdin=held.stdin(), sink=held.sink))

    async with resident() as here:
        if is_warm:
            await here.parked(1, job)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await held.runs.wait()
            assert len(here.spy.taken) == is_warm
            killed = kill_zygote(here)
            await until(lambda: here.zygote() and here.zygote().pid != killed)
            held.end.set()
        result = outcomes[0].must_end()
        assert (result.verdict, result.exit_code) == ("exited", 0)
        assert result.artifacts == {"/work/kept": "collected 3 bytes"}
        assert (tmp_path / "kept").read_bytes() == b"up\n"


def _before(name: str, owner: type, here: Resident, patch: pytest.MonkeyPatch) -> list[int]:
    """The zygote is killed just before this is called, once; its pid, then."""
    killed: list[int] = []
    real = getattr(owner, name)

    async def kill_first(*args: Any, **keys: Any) -> Any:
        if not killed:
            killed.append(kill_zygote(here))
            # It is dead, and the supervisor's tasks have not had the turn to notice.
            os.waitid(os.P_PID, killed[0], os.WEXITED | os.WNOWAIT)
        return await real(*args, **keys)

    patch.setattr(owner, name, kill_first)
    return killed


STEPS = [
    pytest.param(Template, "build", id="build"),
    pytest.param(Zygote, "spawn", id="spawn"),
    pytest.param(Template, "open_binds", id="binds"),
    pytest.param(Sandbox, "execute", id="execute"),
    pytest.param(Run, "collect", id="collect"),
]


@pytest.mark.parametrize(("owner", "name"), STEPS)
@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@trio_test
async def test_no_step_of_a_job_is_lost_with_the_zygote(
    is_warm: bool, owner: type, name: str, tmp_path: Path, leftovers: None
) -> None:
    if is_warm and name in ("build", "spawn"):
        pytest.skip("a warm job has no such step")
    source = tmp_path / "in"
    source.mkdir()
    job = Job(
        (b"/usr/bin/touch", b"/work/left"),
        "native",
        inputs=(Input(source, b"/work/in", copied=False),),
        artifacts=(Artifact(b"/work/left", tmp_path / "left"),),
    )
    async with resident() as here:
        await here.parked(1, job if is_warm else TRUE)
        if not is_warm:
            here.pool.drop()
        counts = len(here.spy.taken)
        with pytest.MonkeyPatch.context() as patch:
            killed = _before(name, owner, here, patch)
            outcome = await here.run(job)
            assert killed
        assert outcome.must_end().exit_code == 0
        assert outcome.must_end().artifacts == {"/work/left": "collected 0 bytes"}
        assert len(here.spy.taken) - counts == is_warm


@pytest.mark.parametrize("moment", ["fit", "run"])
@trio_test
async def test_a_warm_job_whose_init_is_killed_ends_with_an_error(
    moment: str, tmp_path: Path, leftovers: None
) -> None:
    """And the next job finds another sandbox."""
    job = HELD._replace(limits={"disk_bytes": 3 << 20})  # so there is something to fit
    outcomes, held = [], Held()

    async def submit() -> None:
        outcomes.append(await here.run(job, stdin=held.stdin(), sink=held.sink))

    async with resident() as here:
        await here.parked(2)
        with pytest.MonkeyPatch.context() as patch:
            if moment == "fit":
                fit = Sandbox.fit

                async def kill_first(sandbox: Sandbox, *args: Any) -> None:
                    pidfd_send_signal(sandbox._pidfd, signal.SIGKILL)
                    await trio.lowlevel.wait_readable(sandbox._pidfd)  # it is dead
                    await fit(sandbox, *args)

                patch.setattr(Sandbox, "fit", kill_first)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit)
                if moment == "run":
                    await held.runs.wait()
                    pidfd_send_signal(here.spy.taken[0]._pidfd, signal.SIGKILL)
        assert isinstance(outcomes[0].error, ZygoteError), outcomes
        assert "init" in str(outcomes[0].error)
        assert (await here.run(TRUE)).must_end().exit_code == 0
        assert len(here.spy.taken) == 2


RUNNER = """
import signal, sys
sys.path[:0] = {paths!r}
import trio
from supervisor.resident import Held, HELD, resident

# Whoever runs the tests in the background has it ignored, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    async with resident(patience={patience}) as here:
        await here.parked(3)
        held = Held()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: here.run(HELD, stdin=held.stdin(), sink=held.sink))
            await held.runs.wait()
            print("parked", flush=True)
            await trio.sleep_forever()

trio.run(main)
"""


def _directories() -> set[str]:
    backend = find_backend(os.getuid())
    try:
        return {str(p) for base in backend.path.split() for p in Path(base).glob("sandbox-run-*")}
    finally:
        backend.close()


def _killed_supervisor(kill: Callable[[subprocess.Popen], None]) -> list[int]:
    """Start a supervisor that has sandboxes parked and one job running, and end it so."""
    code = RUNNER.format(paths=[str(TESTS), str(TESTS.parent)], patience=PATIENCE_SECONDS)
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        readable, _, _ = select.select([runner.stdout], [], [], PATIENCE_SECONDS)
        assert readable and runner.stdout.readline() == b"parked\n"
        pids = list(descendants(runner.pid))
        # Keeper, zygote, lookout; init and stub of the one that runs and of two that are parked.
        assert len(pids) >= 3 + 2 * 3
        kill(runner)
        runner.wait(PATIENCE_SECONDS)
    finally:
        runner.kill()
        runner.wait()
        runner.stdout.close()
    return pids


@trio_test
async def test_nothing_outlives_a_killed_supervisor_with_sandboxes_parked(leftovers: None) -> None:
    before = _directories()
    pids = _killed_supervisor(subprocess.Popen.kill)
    assert_all_end(pids)
    left = _directories() - before
    assert left, "control: nobody was there to remove its cgroups"
    async with resident(None) as here:  # the next start sweeps
        assert not left & _directories()
        assert (await here.run(TRUE)).must_end().exit_code == 0


def test_nothing_outlives_a_supervisor_that_is_interrupted(leftovers: None) -> None:
    pids = _killed_supervisor(lambda runner: runner.send_signal(signal.SIGINT))
    assert_all_end(pids)


@pytest.mark.parametrize("is_dead", [True, False], ids=["dead", "dying"])
@trio_test
async def test_a_sandbox_that_dies_while_it_is_verified_leaves_no_fd(
    is_dead: bool, leftovers: None
) -> None:
    async with resident(None) as here:
        job = TRUE._replace(inputs=(Input(Path("/usr/share"), b"/shared", copied=False),))
        (await here.run(job)).must_end()
        await until(lambda: not here.cgroups())
        fds = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for step in ("check_init", "check_stub", "check_namespaces", "check_mounts"):
            look = getattr(sandbox, step)

            def kill_first(*args: Any, look: Any = look, **options: Any) -> Any:
                inside = list(descendants(here.zygote().pid))
                os.kill(min(inside), signal.SIGKILL)  # init, and with it the stub
                if is_dead:
                    assert_all_end(inside)
                return look(*args, **options)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sandbox, step, kill_first)
                outcome = await here.run(job)
            assert isinstance(outcome.error, ZygoteError), outcome
            await until(lambda: not here.cgroups())
            assert len(os.listdir("/proc/self/fd")) == fds, step  # noqa: PTH208


@trio_test
async def test_an_init_that_is_killed_before_its_id_is_mapped_is_told_as_killed(
    leftovers: None,
) -> None:
    code = (
        "import os, select; import sandbox.zygote.main as m; map_id = m._map_id\n"
        "def kill_first(pid, pidfd, plan):\n"
        "    os.kill(pid, 9); end = select.poll(); end.register(pidfd, select.POLLIN); end.poll()\n"
        "    map_id(pid, pidfd, plan)\n"
        "m._map_id = kill_first"
    )
    with mutated_zygote(code):
        async with resident(None) as here:
            outcome = await here.run(TRUE)
    assert isinstance(outcome.error, ZygoteError), outcome
    assert "killed before its id was mapped" in str(outcome.error)
