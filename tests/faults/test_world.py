"""What the world does to a supervisor: no fd, process, thread or directory, another time, processes
that do not die. What cannot be done is told, and goes on as soon as it can."""

import os
import pwd
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from faults.subject import leased
from faults.test_cells import user_with_ids
from faults.test_kills import PATIENCE_SECONDS, TESTS, descendants
from server.daemon import Daemon, command
from supervisor.resident import HELD, TRUE, Held, Outcome, Resident, python, resident, until
from trio.testing import trio_test

from sandbox.kernel.processes import pidfd_send_signal
from sandbox.spec.errors import HostError, SandboxError, ZygoteError
from sandbox.supervisor import lifecycle, sandbox
from sandbox.supervisor.identity import runtime_directory
from sandbox.supervisor.sandbox import Sandbox

YEARS = 10 * 365 * 86400


@contextmanager
def limited(pid: int, what: int, most: int) -> Iterator[None]:
    """A process (0: this one) may have no more than that of a resource, for as long as it lasts."""
    soft, hard = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, what, (soft, hard))


async def works(here: Resident) -> None:
    assert (await here.run(TRUE)).must_end().exit_code == 0
    await until(lambda: not here.cgroups())


@trio_test
async def test_each_number_of_fds_that_is_too_small_is_told(leftovers: None) -> None:
    """A job takes some forty; whichever of them it is that there is no room for."""
    told: set[str] = set()
    async with resident(None) as here:
        await works(here)
        before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for spare in range(0, 60, 2):
            with limited(0, resource.RLIMIT_NOFILE, int(before[-1]) + spare):
                try:
                    outcome = await here.run(TRUE)
                except SandboxError as error:  # before there was a job
                    outcome = Outcome(None, error, b"", b"")
            told.add("result" if outcome.error is None else type(outcome.error).__name__)
            await until(lambda: not here.cgroups())
            assert len(os.listdir("/proc/self/fd")) == len(before), spare  # noqa: PTH208
        await works(here)
    assert "HostError" in told and "result" in told, "control: too few, and enough"


@trio_test
async def test_without_room_for_a_process_no_sandbox_is_made(leftovers: None) -> None:
    async with resident(None) as here:
        await works(here)
        with limited(here.zygote().pid, resource.RLIMIT_NPROC, 0):
            outcome = await here.run(TRUE)
        assert "step clone" in str(outcome.error)
        assert "Resource temporarily unavailable" in str(outcome.error)
        await works(here)


@trio_test
async def test_without_the_runtime_directory_nobody_gets_an_id(leftovers: None) -> None:
    directory = runtime_directory(os.getuid())
    async with resident(None) as here:
        await works(here)
        away = directory.rename(directory.with_suffix(".away"))
        try:
            outcome = await here.run(TRUE)
        finally:
            away.rename(directory)
        assert isinstance(outcome.error, HostError)
        assert "leases: No such file or directory; fix: " in str(outcome.error)
        await works(here)


@trio_test
async def test_a_cgroup_that_stays_busy_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(sandbox, "_DESTROY_SECONDS", 1)
    async with resident(None) as here:
        held, outcomes = Held(), []

        async def submit() -> None:
            outcomes.append(await here.run(HELD, stdin=held.stdin(), sink=held.sink))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await held.runs.wait()
            (place,) = [path for path in here.cgroups() if "/memory/" in str(path)] or [None]
            if place is None:
                held.end.set()
                pytest.skip("no cgroup v1 memory hierarchy, whose groups anybody of us may enter")
            stranger = subprocess.Popen(["sleep", "1000"])
            try:
                place.joinpath("tasks").write_text(str(stranger.pid))
                held.end.set()
                with trio.fail_after(PATIENCE_SECONDS):
                    await until(lambda: outcomes)
                assert outcomes[0].must_end().exit_code == 0
                assert (await here.run(TRUE)).must_end().exit_code == 0
                endings = here.supervisor._endings
                await until(lambda: not any("_destroy" in t.name for t in endings.child_tasks))
                assert place.exists(), "control: it is still there"
            finally:
                stranger.kill()
                stranger.wait()
    async with resident(None) as here:  # the next start sweeps
        await works(here)
    assert not place.exists()


@trio_test
async def test_a_job_that_does_not_die_is_told_and_keeps_its_id(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    """As if it slept where no signal reaches it: nothing that would kill it does."""
    monkeypatch.setattr(lifecycle, "_DRAIN_SECONDS", 0.5)
    monkeypatch.setattr(sandbox, "_DESTROY_SECONDS", 1)
    job = python("import time; time.sleep(1000)")._replace(limits={"wall_seconds": 0.2})
    async with resident(None) as here:
        await works(here)
        pidfds: list[int] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Sandbox, "kill_payload", lambda _: None)
            patch.setattr(
                Sandbox, "kill_init", lambda sandbox: pidfds.append(os.dup(sandbox._pidfd))
            )
            held_open = []  # nor does it hear of our end
            patch.setattr(sandbox.Link, "close", lambda link: held_open.append(link))
            outcome = await here.run(job)
            assert isinstance(outcome.error, ZygoteError)
            assert "does not end, though it was killed" in str(outcome.error)
            assert "wall_time" in str(outcome.error)
            endings = here.supervisor._endings
            await until(lambda: not any("_destroy" in t.name for t in endings.child_tasks))
        assert here.cgroups(), "it stands as long as somebody is in it"
        assert leased(), "nobody else may have its id"
        assert (await here.run(TRUE)).must_end().exit_code == 0
        pidfd_send_signal(pidfds[0], signal.SIGKILL)
        await until(lambda: not leased())
        for fd in pidfds:
            os.close(fd)
        for link in held_open:
            link.close()
    async with resident(None) as here:  # the next start sweeps
        await works(here)


# Runs a job until it is told to go on, cancels it, and tells what came of that; then once more.
RUNNER = """
import sys
sys.path[:0] = {paths!r}
import trio
from faults.subject import leased
from supervisor.resident import HELD, TRUE, Held, resident, until
from sandbox.supervisor import lifecycle, sandbox
from sandbox.supervisor.lifecycle import Cancellation
lifecycle._DRAIN_SECONDS = sandbox._DESTROY_SECONDS = 1

async def main():
    async with resident(None, patience=200) as here:
        held, cancellation = Held(), Cancellation()
        async def submit():
            job = here.run(HELD, stdin=held.stdin(), sink=held.sink, cancellation=cancellation)
            print((await job).error, flush=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await held.runs.wait()
            print("runs", flush=True)
            sys.stdin.readline()
            cancellation.set()
        endings = here.supervisor._endings
        await until(lambda: not any("_destroy" in task.name for task in endings.child_tasks))
        print("held" if leased() else "free", flush=True)
        print((await here.run(TRUE)).must_end().exit_code, flush=True)
        sys.stdin.readline()
        await until(lambda: not leased())
        print("free", flush=True)

trio.run(main)
"""


@pytest.mark.root
def test_a_frozen_job_is_told_and_keeps_its_id_until_it_is_thawed() -> None:
    """A task in a frozen v1 cgroup is in state D, where no signal reaches it. freezer-subsystem"""
    freezer = Path("/sys/fs/cgroup/freezer")
    if not freezer.joinpath("tasks").exists():
        pytest.skip("no cgroup v1 freezer on this host")
    user = pwd.getpwnam(user_with_ids())
    code = RUNNER.format(paths=[str(TESTS), str(TESTS.parent)])
    runner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], env={"HOME": user.pw_dir},
    )  # fmt: skip
    frozen = freezer / f"faults-{os.getpid()}"
    frozen.mkdir()
    try:
        assert runner.stdout.readline() == "runs\n"
        ours = ("python", "sandbox-")
        found = descendants(runner.pid).items()
        inside = {pid: name for pid, name in found if not name.startswith(ours)}
        assert "init" in inside.values() and len(inside) == 2
        for pid in inside:
            frozen.joinpath("tasks").write_text(str(pid))
        frozen.joinpath("freezer.state").write_text("FROZEN")
        runner.stdin.write("\n")
        runner.stdin.flush()
        told = runner.stdout.readline()
        assert "does not end, though it was killed (its verdict so far: cancelled)" in told
        assert runner.stdout.readline() == "held\n"
        assert runner.stdout.readline() == "0\n", "the supervisor goes on"
        states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][1] for pid in inside]
        assert states == ["D", "D"], "control"
        frozen.joinpath("freezer.state").write_text("THAWED")
        runner.stdin.write("\n")
        runner.stdin.flush()
        assert runner.stdout.readline() == "free\n"
        assert runner.wait(PATIENCE_SECONDS) == 0
    finally:
        frozen.joinpath("freezer.state").write_text("THAWED")
        runner.kill()
        runner.communicate()
        end = time.monotonic() + PATIENCE_SECONDS
        while frozen.joinpath("tasks").read_text() and time.monotonic() < end:
            time.sleep(0.01)  # the kernel takes down what is already dead
        frozen.rmdir()


def test_without_a_thread_an_output_is_told_to_have_failed(leftovers: None) -> None:
    code = (
        "import _thread, threading, sys\n"
        'def start(*_, **__): raise RuntimeError("can\'t start new thread")\n'
        "import trio._core._thread_cache as cache; cache.start_new_thread = start\n"
        "threading._start_new_thread = _thread.start_new_thread = start\n"
        "from sandbox.cli.main import main\n"
        "sys.argv = ['sandbox', 'run', '--', 'echo', 'out']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 125
    assert done.stderr.startswith(b"sandbox: "), done.stderr
    assert b"Traceback" not in done.stderr
    assert b"new thread" in done.stderr or b"temporarily unavailable" in done.stderr


# Its clock is what a file says besides; nothing that is measured may go by it.
SHIFTED = """
import time
real = time.time
def shifted():
    with open({path!r}) as file:
        return real() + float(file.read())
time.time = shifted
"""


@pytest.mark.parametrize("years", [YEARS, -YEARS], ids=["forward", "backward"])
def test_a_clock_that_jumps_changes_no_result(years: int, tmp_path: Path, leftovers: None) -> None:
    clock = tmp_path / "clock"
    change = SHIFTED.format(path=str(clock))

    def set_clock(seconds: int) -> None:
        new = tmp_path / "new"
        new.write_text(str(seconds))
        new.rename(clock)

    set_clock(0)
    daemon = Daemon(tmp_path, "drain_seconds = 3600\n")

    def run_across(jump: int, **fields: Any) -> dict[str, Any]:
        with daemon.client() as client:
            job = client.submit(command("read x; exit 7", **fields), stdin_open=True)["job"]
            client.wait_until_running(job)
            set_clock(jump)
            client.call("job.write", job=job, data=b"\n", end=True)
            return client.wait(job)

    try:
        daemon.start(change=change)
        status = run_across(years, limits={"wall": 50, "idle": 40})
        assert (status["state"], status["result"]["exit_code"]) == ("ended", 7)
        assert 0 <= status["result"]["wall_seconds"] < PATIENCE_SECONDS
        status = run_across(0)
        assert status["result"]["exit_code"] == 7
        set_clock(-years)  # and the journal tells of another time than this
        daemon.kill()
        daemon.start(change=change)
        status = run_across(-years)
        assert status["result"]["exit_code"] == 7
        with daemon.client() as client:
            set_clock(0)
            ended = client.submit(command("exit 7"), wait_seconds=60, key="k")
            again = client.submit(command("exit 7"), wait_seconds=60, key="k")
            assert ended["job"] == again["job"]
            lines = client.call("server.metrics")["text"].splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")]
        assert values and min(values) >= 0
        assert not daemon.bugs()
        assert daemon.drain() == 0
    finally:
        daemon.close()
