"""kill -9 of each process at each step of a job's life: nothing is left on the host."""

import contextlib
import itertools
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from containment.walls import ALLOW_ALL, STEPS, attack

TESTS = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60

# Runs one job that hangs at a step, which its name then tells: or in the payload, when all stands.
RUNNER = """
import contextlib, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from containment.walls import SHOWS_ALL, STEPS, attack, hanging
from sandbox.spec.job import Input
step, output = {step!r}, Path({output!r})
inputs = ()
if step in ("binds", "inputs"):
    inputs = (Input(Path("/usr/bin/true"), b"/work/true", copied=step == "inputs"),)
with hanging(step) if step in STEPS else contextlib.nullcontext():
    attack("open('/proc/self/comm', 'w').write('hung'); import time; time.sleep(1000)", output,
           policy=SHOWS_ALL, inputs=inputs)
"""


def descendants(pid: int) -> dict[int, str]:
    """Every process below `pid`, and its command name."""
    found, pending = {}, [pid]
    while pending:
        parent = pending.pop()
        try:
            tasks = list(Path(f"/proc/{parent}/task").iterdir())
            texts = [task.joinpath("children").read_text() for task in tasks]
        except OSError:
            continue  # it is gone
        for children in ([int(child) for child in text.split()] for text in texts):
            for child in children:
                with contextlib.suppress(OSError):
                    text = Path(f"/proc/{child}/comm").read_text(errors="replace")
                    found[child] = text.strip()
            pending += children
    return found


def victims(runner: int) -> dict[str, int]:
    """The processes of ours that one job takes, by what they are: keeper, zygote, lookout, init."""
    found = descendants(runner)
    pids = {name: pid for pid, name in found.items()}
    zygote, lookout = pids["sandbox-zygote"], pids["sandbox-lookout"]
    inside = descendants(zygote)
    (keeper,) = found.keys() - {zygote, lookout} - inside.keys()
    return {"keeper": keeper, "zygote": zygote, "lookout": lookout, "init": min(inside)}


@contextmanager
def hanging_job(step: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """A runner whose job hangs at `step`; every process below it."""
    code = RUNNER.format(tests=str(TESTS), step=step, output=str(tmp_path))
    runner = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    try:
        yield runner, list(wait_until_hung(runner))
    finally:
        runner.kill()
        runner.wait()
        runner.stderr.close()


def wait_until_hung(runner: subprocess.Popen) -> dict[int, str]:
    """Wait until one of its processes has the name that tells that it hangs."""
    end = time.monotonic() + PATIENCE_SECONDS
    found: dict[int, str] = {}
    while time.monotonic() < end:
        assert runner.poll() is None, runner.stderr.read().decode()
        found = descendants(runner.pid)
        if "hung" in found.values():
            return found
        time.sleep(0.01)  # nothing tells of a new name
    raise AssertionError(f"no process hangs: {found}")


def assert_all_end(pids: list[int]) -> None:
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue  # it is gone
        with os.fdopen(fd, "rb"):
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            assert poll.poll(PATIENCE_SECONDS * 1000), f"process {pid} outlives its runner"


# Nobody does anything for the others: a sandbox of its own job needs no new disk size, and time and
# network are the clone's. Namespaces: there init has not asked yet to die with its parent, nor can
# it wait; until then it reads, which ends when nobody is left to write (below).
NO_POINTS = ("namespaces", "time_namespace", "network", "disk")
POINTS = [*(step for step in STEPS if step not in NO_POINTS), "payload"]


# Binds: init, which by then outlives its zygote, hears of its supervisor's end between two scripts.
@pytest.mark.parametrize("step", [step for step in POINTS if step != "binds"])
def test_nothing_outlives_a_runner_killed_at(step: str, tmp_path: Path, leftovers: object) -> None:
    with hanging_job(step, tmp_path) as (runner, pids):
        runner.send_signal(signal.SIGKILL)
        runner.wait()
        assert_all_end(pids)
    attack("print('next')", tmp_path, policy=ALLOW_ALL)  # the next start sweeps


@pytest.mark.parametrize(
    ("step", "victim"),
    [
        *itertools.product(POINTS, ("zygote", "init")),
        *itertools.product(("proc", "inputs", "payload"), ("keeper", "lookout")),
    ],
)
def test_a_job_whose_process_is_killed_ends_with_an_error(
    step: str, victim: str, tmp_path: Path, leftovers: object
) -> None:
    with hanging_job(step, tmp_path) as (runner, pids):
        os.kill(victims(runner.pid)[victim], signal.SIGKILL)
        if victim != "init":
            # The job goes on without it, or with another: until it is cancelled.
            runner.send_signal(signal.SIGINT)
        _, errors = runner.communicate(timeout=PATIENCE_SECONDS)
        if victim == "init":
            assert b"ZygoteError" in errors
        assert_all_end(pids)


# Sends only the first bytes of a sandbox's script, and says so.
HALF_SENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import trio
from containment.walls import attack
from sandbox.supervisor.link import Link
send_raw = Link.send_raw
async def send_most(link, data, fds=()):
    if int.from_bytes(data[:8], "little") != len(data) - 8:  # no script
        return await send_raw(link, data, fds)
    await send_raw(link, data[:{count}], fds)
    print("sent", flush=True)
    await trio.sleep_forever()
Link.send_raw = send_most
attack("print('ran')", Path({output!r}))
"""


@pytest.mark.parametrize("count", [0, 5, 8, 1000, -1])
def test_nothing_outlives_a_runner_killed_with_a_part_of_the_script_sent(
    count: int, tmp_path: Path, leftovers: object
) -> None:
    code = HALF_SENT.format(tests=str(TESTS), count=count, output=str(tmp_path))
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert runner.stdout.readline() == b"sent\n"
        end = time.monotonic() + PATIENCE_SECONDS
        while len(pids := list(descendants(runner.pid))) < 4:  # and soon init, the last of them
            assert time.monotonic() < end
            time.sleep(0.01)  # nothing tells of a new process
    finally:
        runner.kill()
        runner.wait()
        runner.stdout.close()
    assert_all_end(pids)
    attack("print('next')", tmp_path, policy=ALLOW_ALL)  # the next start sweeps
