"""kill -9 of the service's processes at each step of a job's life: every accepted job is accounted
for, once for each key, and nothing is left on the host."""

import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faults.test_kills import PATIENCE_SECONDS, TESTS, assert_all_end, descendants
from server.daemon import Client, Daemon, command, holding, over

import sandbox
from sandbox.wire.errors import NotFoundError

SMALL, LARGE = 1000, 100_000  # of an output that is kept in memory, and of one in a file
CONFIG = """
drain_seconds = 3600
[budget]
jobs = {jobs}
cpus = 1000
"""
# Waits for the gate to open: a FIFO that somebody writes to, or that is not there any more.
GATED = "{before}; cat /gates/{gate} 2>/dev/null; {after}; exit 7"


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that is yet to be started."""
    daemon = Daemon(tmp_path, CONFIG.format(jobs=100))
    try:
        yield daemon
        assert not daemon.bugs()
    finally:
        daemon.close()


def until(condition: Callable[[], Any]) -> None:
    """Wait for what nobody tells."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class Gates:
    """FIFOs in a directory of the host that jobs see."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()
        directory.chmod(0o755)

    def shut(self, name: str) -> None:
        os.mkfifo(self.directory / name)
        (self.directory / name).chmod(0o644)

    def open(self, name: str) -> None:
        """Let everybody through who waits, and from now on without waiting."""
        path = self.directory / name
        with contextlib.suppress(OSError):  # ENXIO: nobody waits
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        path.unlink()

    def job(self, gate: str, before: str = ":", after: str = ":", **fields: Any) -> dict[str, Any]:
        script = GATED.format(gate=gate, before=before, after=after)
        ro = [{"source": str(self.directory), "destination": "/gates"}]
        return command(script, ro=ro, limits={"memory": "32MiB", "wall": 3600}, **fields)


class Cell(NamedTuple):
    """One job of the matrix: where the kill finds it, and what it was submitted with."""

    moment: str
    params: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.moment} {self.params}"

    @property
    def is_durable(self) -> bool:
        return self.params.get("durability") != "memory"

    def expected(self) -> str:
        """Its state after the restart; "": nobody knows it."""
        if not self.is_durable:
            return ""
        may_run = self.moment == "queued" or self.params.get("most_runs", 1) > 1
        return "ended" if may_run else "lost"


# Where a job stands when the daemon is killed. "exited": its end was not seen; "unjournalled": it
# was seen, and could not be noted; "collecting": its artifact is being read.
RUNNING = ("silent", "small", "large", "exited", "unjournalled", "collecting")
PARAMS: tuple[dict[str, Any], ...] = (
    {},
    {"most_runs": 2},
    {"key": "k"},
    {"key": "k", "most_runs": 2},
    {"key": "k", "durability": "power"},
    {"durability": "power", "most_runs": 2},
    {"key": "k", "durability": "memory"},
    {"durability": "memory", "attached": True},
)


def cells(moments: tuple[str, ...]) -> list[Cell]:
    return [
        Cell(moment, params | ({"key": f"{moment} {number}"} if "key" in params else {}))
        for moment in moments
        for number, params in enumerate(PARAMS)
    ]


def job_of(cell: Cell, gates: Gates) -> dict[str, Any]:
    match cell.moment:
        case "small" | "large":
            size = SMALL if cell.moment == "small" else LARGE
            return gates.job("kill", before=f"head -c {size} /dev/zero", after="echo again")
        case "collecting":
            collect = [{"path": "/tmp/out"}]
            return gates.job("kill", before="echo kept > /tmp/out", collect=collect) | {
                "command": ["/bin/sh", "-c", "echo kept > /tmp/out; exit 7"]
            }
        case "exited" | "unjournalled":
            return gates.job(cell.moment)
    return gates.job("kill")


def test_every_accepted_job_is_accounted_for(daemon: Daemon, tmp_path: Path) -> None:
    gates = Gates(tmp_path / "gates")
    for gate in ("kill", "exited", "unjournalled"):
        gates.shut(gate)
    running, queued = cells(RUNNING), cells(("queued",))
    daemon.config.write_text(CONFIG.format(jobs=len(running)))
    daemon.start(change=holding("sandbox.supervisor.artifacts:receive"))
    blob = os.urandom(1000)
    digest = hashlib.sha256(blob).hexdigest()
    jobs: dict[str, str] = {}  # cell -> job

    with daemon.client() as client:
        assert client.call("blob.put", sha256=digest, bytes=1000, data=blob)["is_complete"]
        half = hashlib.sha256(b"half" * 2).hexdigest()
        client.call("blob.put", sha256=half, bytes=8, data=b"half")
        for cell in (*running, *queued):
            status = client.submit(job_of(cell, gates), **cell.params)
            assert status["state"] == ("queued" if cell in queued else "running")
            jobs[cell.name] = status["job"]
        with_blob = client.submit(
            command("cat /work/in", copy=[{"blob": digest, "destination": "/work/in"}]), key="blob"
        )["job"]
        with_stdin = client.submit(command("cat"), stdin_open=True)["job"]

        for cell in running:
            job = jobs[cell.name]
            if cell.moment == "large":
                client.read_until(job, LARGE)
            elif cell.moment == "small":
                client.read_until(job, SMALL)
                if cell.is_durable:  # it is in a file by now, as what a job has written in a second
                    until(lambda job=job: list(daemon.state.glob(f"spool/*/{job}/stdout")))
            elif cell.moment != "collecting":
                client.wait_until_running(job)
        daemon.wait_for("held", len(cells(("collecting",))))

        unjournalled = [cell for cell in running if cell.moment == "unjournalled"]
        with daemon.limited(resource.RLIMIT_FSIZE, 0):  # as a full disk
            gates.open("unjournalled")
            for cell in unjournalled:
                if not cell.is_durable:
                    assert over(client.wait(jobs[cell.name]))
            until(
                lambda: (
                    {jobs[cell.name] for cell in unjournalled if cell.is_durable}
                    <= {each["job"] for each in daemon.events if each["event"] == "journal_failed"}
                )
            )
            daemon.signal(signal.SIGSTOP)
            payloads = count_of(daemon, "cat")
            gates.open("exited")
            until(lambda: count_of(daemon, "cat") == payloads - len(cells(("exited",))))
            everybody = list(descendants(daemon.pid))
            daemon.kill()
    assert_all_end(everybody)
    gates.open("kill")

    daemon.start(wait=False)
    keyed = [cell for cell in (*running, *queued) if "key" in cell.params]
    with daemon.early_client() as client:  # while it starts
        calls = [
            client.begin("job.submit", job=job_of(cell, gates), **cell.params) for cell in keyed
        ]
        again = {
            cell.name: client.answer(call)["job"] for cell, call in zip(keyed, calls, strict=True)
        }
        problems = dict(problems_of(client, (*running, *queued), jobs, again))
        assert not problems
        status = client.wait(with_blob)
        assert status["stdout"]["data"] == blob, status
        assert client.wait(with_stdin)["error"]["code"] == "lost"
        with pytest.raises(NotFoundError):
            client.call("blob.stat", sha256=half)
        assert not list(daemon.state.glob("blobs/*/*.draft"))
        known = {each["job"] for each in client.call("job.list", most=1000)["jobs"]}
        assert daemon.spooled() <= known
    assert daemon.drain() == 0


def problems_of(
    client: Client, all_cells: tuple[Cell, ...], jobs: dict[str, str], again: dict[str, str]
) -> Iterator[tuple[str, Any]]:
    """What is not as it should be, for each cell."""
    listed = [each["job"] for each in client.call("job.list", most=1000)["jobs"]]
    for cell in all_cells:
        job = jobs[cell.name]
        expected = cell.expected()
        if listed.count(job) != bool(expected):
            yield cell.name, f"listed {listed.count(job)} times"
            continue
        if not expected:
            if cell.name in again and again[cell.name] == job:
                yield cell.name, "the same id, after it was forgotten"
            continue
        if again.get(cell.name, job) != job:
            yield cell.name, f"its key has another job: {again[cell.name]}"
        status = client.wait(job)
        if status["state"] != expected:
            yield cell.name, status
        elif expected == "lost":
            yield from lost_problems(client, cell, status)
        else:
            yield from ended_problems(client, cell, status)


def lost_problems(client: Client, cell: Cell, status: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if status["error"]["code"] != "lost" or status["result"] is not None or status["artifacts"]:
        yield cell.name, status
    size = {"small": SMALL, "large": LARGE}.get(cell.moment, 0)
    if client.read(status["job"]) != bytes(size):
        yield cell.name, f"its output: {status['stdout']['bytes']} bytes"


def ended_problems(client: Client, cell: Cell, status: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    runs = 1 if cell.moment == "queued" else 2
    if (status["runs"], status["result"]["exit_code"]) != (runs, 7):
        yield cell.name, status
    size = {"small": SMALL, "large": LARGE}.get(cell.moment)
    if size is not None and client.read(status["job"]) != bytes(size) + b"again\n":
        yield cell.name, f"its output: {status['stdout']['bytes']} bytes"
    if cell.moment == "collecting":
        piece = client.call("job.read_artifact", job=status["job"], path="/tmp/out", offset=0)
        if piece["data"] != b"kept\n":
            yield cell.name, piece


def count_of(daemon: Daemon, name: str) -> int:
    return list(descendants(daemon.pid).values()).count(name)


@pytest.mark.parametrize("key", [None, "k"])
def test_a_job_that_was_not_journalled_is_nobodys(daemon: Daemon, key: str | None) -> None:
    daemon.start(change=holding("sandbox.server.journal:Journal.accept"))
    with daemon.client() as client:
        client.begin("job.submit", job=command("echo ran; exec sleep 1000"), key=key)
        daemon.wait_for("held")
        daemon.kill()
        with pytest.raises(ConnectionError):
            client.call("server.info")
    daemon.start()
    with daemon.client() as client:
        assert client.call("job.list")["jobs"] == ()
        status = client.submit(command("echo ran"), key=key, wait_seconds=60)
        assert (status["runs"], status["stdout"]["data"]) == (1, b"ran\n")
    assert not daemon.spooled()
    assert daemon.drain() == 0


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_submit_that_was_not_answered_is_found_by_its_key(
    daemon: Daemon, durability: str
) -> None:
    """Killed at any time in it: it was accepted or it was not, and is so once."""
    daemon.start()
    with daemon.client() as client:
        kept = client.submit(command("exit 7"), key="first", durability=durability)["job"]
        for number in range(20):
            client.begin(
                "job.submit", job=command("exit 7"), key=f"{number}", durability=durability,
                most_runs=10,
            )  # fmt: skip
        client.answer(2 + 5)  # some are in, some are not
        daemon.kill()
    daemon.start()
    with daemon.client() as client:
        before = {each["key"]: each["job"] for each in client.call("job.list")["jobs"]}
        assert before["first"] == kept
        for number in range(20):
            job = client.submit(
                command("exit 7"), key=f"{number}", durability=durability, most_runs=10
            )["job"]
            assert before.get(f"{number}", job) == job
            assert client.wait(job)["result"]["exit_code"] == 7
        assert len(client.call("job.list")["jobs"]) == 21
    assert daemon.drain() == 0


def test_a_client_of_ours_takes_a_kill_for_a_delay(daemon: Daemon, tmp_path: Path) -> None:
    gates = Gates(tmp_path / "gates")
    gates.shut("kill")
    daemon.start()
    job = gates.job("kill", before="echo before", after="echo after")
    words, ro = job["command"], job["ro"]
    completed = []

    def run() -> None:
        with sandbox.Client(f"unix:{daemon.socket}") as client:
            completed.append(client.run(words, ro=ro, most_runs=2))

    runner = threading.Thread(target=run)
    runner.start()
    try:
        with daemon.client() as client:
            until(lambda: client.call("job.list")["jobs"])
            (only,) = client.call("job.list")["jobs"]
            client.read_until(only["job"], len("before\n"))
        daemon.kill()
        gates.open("kill")
        daemon.start()
    finally:
        runner.join(PATIENCE_SECONDS)
    assert completed[0].result.exit_code == 7
    assert completed[0].stdout == b"before\nafter\n"
    ended = daemon.wait_for("job")
    assert (ended["job"], ended["runs"]) == (only["job"], 2)
    with daemon.client() as client:
        assert not client.call("job.list")["jobs"]  # it has told all that it was kept for
    assert daemon.drain() == 0


def test_kills_while_it_recovers_lose_nothing(daemon: Daemon) -> None:
    daemon.config.write_text(CONFIG.format(jobs=2))
    daemon.start()
    with daemon.client() as client:
        jobs = [
            client.submit(command("echo ran"), most_runs=10, key=f"{n}")["job"] for n in range(6)
        ]
        daemon.kill()
    for _ in range(3):
        daemon.start()  # what it found is queued, or runs
        daemon.kill()
    daemon.start()
    with daemon.client() as client:
        for number, job in enumerate(jobs):
            status = client.wait(job)
            assert status["stdout"]["data"] == b"ran\n"
            assert 1 <= status["runs"] <= 5
            again = client.submit(command("echo ran"), most_runs=10, key=f"{number}")
            assert again["job"] == job
    assert daemon.drain() == 0


def test_no_job_runs_more_often_than_it_may(daemon: Daemon) -> None:
    daemon.start()
    script = "read x"
    with daemon.client() as client:
        # A lost one among them: what becomes of it is noted while the others start.
        jobs = [
            client.submit(command("exec sleep 1000"), most_runs=most)["job"] for most in (3, 1, 2)
        ]
        client.submit(command(script), stdin_open=True)
        for job in jobs:
            client.wait_until_running(job)
    for states in (("running", "lost", "running"), ("running", "lost", "lost"), ("lost",) * 3):
        daemon.kill()
        daemon.start()
        with daemon.client() as client:
            for job, state in zip(jobs, states, strict=True):
                if state == "running":
                    client.wait_until_running(job)
                else:
                    client.wait(job)
                assert client.call("job.status", job=job)["state"] == state
    assert daemon.drain() == 0


# The context must be kept: what nobody holds is left at once.
HANGING = """
from containment.walls import hanging
held = hanging({step!r})
held.__enter__()
"""


@pytest.mark.parametrize("step", ["root", "cgroup_payload", "inputs", "exec"])
def test_a_sandbox_that_is_being_built_goes_with_the_daemon(daemon: Daemon, step: str) -> None:
    daemon.start(change=HANGING.format(step=step))
    job = command("exit 7", copy=[{"source": "/usr/bin/true", "destination": "/work/true"}])
    with daemon.client() as client:
        jobs = [client.submit(job, most_runs=most)["job"] for most in (1, 2)]
        until(lambda: count_of(daemon, "hung") == len(jobs))
        everybody = list(descendants(daemon.pid))
        daemon.kill()
    assert_all_end(everybody)
    daemon.start()
    with daemon.client() as client:
        assert client.wait(jobs[0])["error"]["code"] == "lost"
        assert client.wait(jobs[1])["result"]["exit_code"] == 7
    assert daemon.drain() == 0


def test_jobs_outlive_their_zygote(daemon: Daemon) -> None:
    daemon.start()
    with daemon.client() as client:
        job = client.submit(command("read x; echo $x"), stdin_open=True)["job"]
        client.wait_until_running(job)
        found = descendants(daemon.pid).items()
        zygote = next(pid for pid, name in found if name == "sandbox-zygote")
        os.kill(zygote, signal.SIGKILL)
        assert_all_end([zygote])
        for _ in range(3):
            assert client.submit(command("exit 7"), wait_seconds=60)["result"]["exit_code"] == 7
        client.call("job.write", job=job, data=b"here\n", end=True)
        assert client.wait(job)["stdout"]["data"] == b"here\n"
    assert daemon.drain() == 0


def test_a_job_whose_init_is_killed_has_failed_and_the_others_go_on(daemon: Daemon) -> None:
    daemon.start()
    with daemon.client() as client:
        before = set(descendants(daemon.pid))
        job = client.submit(command("echo out; exec sleep 1000"), most_runs=2, key="k")["job"]
        client.read_until(job, 4)
        init = min(set(descendants(daemon.pid)) - before)
        other = client.submit(command("read x; echo $x"), stdin_open=True)["job"]
        client.wait_until_running(other)
        os.kill(init, signal.SIGKILL)
        status = client.wait(job)
        assert (status["state"], status["error"]["code"]) == ("failed", "zygote")
        assert client.read(job) == b"out\n"
        client.call("job.write", job=other, data=b"here\n", end=True)
        assert client.wait(other)["stdout"]["data"] == b"here\n"
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        again = client.submit(command("echo out; exec sleep 1000"), most_runs=2, key="k")
        assert (again["job"], again["state"]) == (job, "failed")
    assert daemon.drain() == 0


# Submits what its arguments say, and half a blob; then it waits to be killed.
SUBMITTER = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from server.daemon import Client, command
client = Client(Path({socket!r}))
jobs = [
    client.submit(command("exec sleep 1000"), durability="memory", attached=attached)["job"]
    for attached in (True, False)
]
for job in jobs:
    client.wait_until_running(job)
client.call("blob.put", sha256={digest!r}, bytes=8, data=b"half")
client.begin("job.wait", job=jobs[0], wait_seconds=60)
client._socket.sendall(b"\\x94\\x00")  # half a frame
print(*jobs, flush=True)
time.sleep(1000)
"""


def test_a_client_that_is_killed_takes_along_what_is_attached_to_it(daemon: Daemon) -> None:
    daemon.start()
    digest = hashlib.sha256(b"halfhalf").hexdigest()
    code = SUBMITTER.format(tests=str(TESTS), socket=str(daemon.socket), digest=digest)
    submitter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        attached, free = submitter.stdout.readline().decode().split()
    finally:
        submitter.kill()
        submitter.wait()
        submitter.stdout.close()
    with daemon.client() as client:
        assert client.wait(attached)["result"]["verdict"] == "cancelled"
        assert client.call("job.status", job=free)["state"] == "running"
        ask = {"sha256": digest, "bytes": 8}
        assert client.call("blob.put", **ask)["offset"] == 4  # where another goes on
        assert client.call("blob.put", **ask, offset=4, data=b"half")["is_complete"]
        client.call("job.cancel", job=free)
        client.wait(free)
    assert daemon.drain() == 0


def test_a_pipeline_goes_with_the_client_that_it_is_attached_to(daemon: Daemon) -> None:
    daemon.start()
    with daemon.client() as client:
        with daemon.client() as other:
            jobs = other.call(
                "pipeline.submit", jobs=[command("exec sleep 1000")] * 2,
                pipes=[{"from": 0, "to": 1}], durability="memory", attached=True,
            )["jobs"]  # fmt: skip
            for each in jobs:
                other.wait_until_running(each["job"])
        for each in jobs:
            assert client.wait(each["job"])["result"]["verdict"] == "cancelled"
    assert daemon.drain() == 0
