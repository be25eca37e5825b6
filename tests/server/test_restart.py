"""What a daemon finds of the one before it, and which others it meets at its place."""

import contextlib
import hashlib
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from server.daemon import Daemon, command, over, serving

from sandbox.spec.errors import ExecError, HostError, RefusedError, SpecError
from sandbox.wire.errors import InvalidParamsError, NotFoundError

LARGE = 100_000  # of an output that is kept in a file
ENDS: list[Callable[[Daemon], Any]] = [Daemon.kill, Daemon.drain]


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that runs, with a place for one job."""
    with serving(tmp_path, "drain_seconds = 0\n[budget]\njobs = 1\n") as daemon:
        yield daemon


def refusal(daemon: Daemon, *options: str) -> str:
    """What a daemon says that does not start: one line of text."""
    daemon.start(*options, wait=False)
    assert daemon.ended() == 125
    (event,) = daemon.events
    return event["text"]


def make_room_for_two(daemon: Daemon) -> None:
    daemon.drain()
    daemon.config.write_text("drain_seconds = 0\n[budget]\njobs = 2\n")
    daemon.start()


def blob_of(daemon: Daemon, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    with daemon.client() as client:
        client.call("blob.put", sha256=digest, bytes=len(data), data=data)
    return digest


@pytest.mark.parametrize("end", ENDS, ids=["killed", "drained"])
@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_became_of_a_job_outlives_the_daemon(
    daemon: Daemon, end: Callable[[Daemon], Any], durability: str
) -> None:
    kept = {"durability": durability}
    with daemon.client() as client:
        job = command(
            f"head -c {LARGE} /dev/zero; echo err >&2; echo kept > /tmp/a; exit 7",
            collect=[{"path": "/tmp/a"}],
        )
        ended = client.submit(job, key="k", label="one", wait_seconds=60, **kept)
        failed = client.submit({"command": ["/nothing"]}, wait_seconds=60, **kept)
    end(daemon)
    daemon.start()
    with daemon.client() as client:
        status = client.call("job.status", job=ended["job"])
        assert status == ended
        assert status["result"]["exit_code"] == 7
        assert client.read(ended["job"]) == bytes(LARGE)
        assert client.read(ended["job"], "stderr") == b"err\n"
        artifact = client.call("job.read_artifact", job=ended["job"], path="/tmp/a", offset=0)
        assert artifact["data"] == b"kept\n"
        with pytest.raises(ExecError):
            client.call("job.result", job=failed["job"])
        again = client.submit(job, key="k", label="one", **kept)
        assert again["job"] == ended["job"]
        client.call("job.delete", job=ended["job"])
        assert daemon.spooled() == set()


@pytest.mark.parametrize("end", ENDS, ids=["killed", "drained"])
def test_a_job_of_durability_memory_goes_with_the_daemon(
    daemon: Daemon, end: Callable[[Daemon], Any]
) -> None:
    params = {"key": "k", "durability": "memory", "wait_seconds": 60}
    with daemon.client() as client:
        job = client.submit(command(f"head -c {LARGE} /dev/zero"), **params)["job"]
        assert daemon.spooled() == {job}
    end(daemon)
    daemon.start()
    assert daemon.spooled() == set()
    with daemon.client() as client:
        with pytest.raises(NotFoundError):
            client.call("job.status", job=job)
        assert client.submit(command("true"), **params)["job"] != job


def test_what_was_queued_runs_in_its_order(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.submit(command("exec sleep 1000"))
        jobs = [client.submit(command("true"))["job"] for _ in range(8)]
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        started = [client.wait(job)["started_at"] for job in jobs]
    assert started == sorted(started)


def test_a_journal_that_a_hand_has_changed_is_told_and_not_run(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("exec sleep 1000"))["job"]
    daemon.kill()
    with contextlib.closing(sqlite3.connect(daemon.state / "journal.sqlite")) as journal:
        ((request,),) = journal.execute("SELECT request FROM requests").fetchall()
        changed = request.replace(b"durability", b"durabilitx")
        journal.execute("UPDATE requests SET request = ?", (changed,))
        journal.commit()
    text = refusal(daemon)
    assert job in text and "cannot be read" in text and "fix:" in text
    with contextlib.closing(sqlite3.connect(daemon.state / "journal.sqlite")) as journal:
        journal.execute("UPDATE requests SET request = ?", (request,))
        journal.commit()
    daemon.start()
    with daemon.client() as client:
        client.call("job.cancel", job=job)
        client.wait(job)


def test_a_key_finds_its_job_where_nothing_new_is_accepted(daemon: Daemon) -> None:
    digest = blob_of(daemon, b"data")
    with_blob = command("cat /work/a", copy=[{"blob": digest, "destination": "/work/a"}])
    with daemon.client() as client:
        done = client.submit(command("true"), key="done", wait_seconds=60)["job"]
        read = client.submit(with_blob, key="read", wait_seconds=60)["job"]
        client.call("blob.delete", sha256=digest)
    daemon.drain()
    daemon.config.write_text("drain_seconds = 0\n[budget]\njobs = 1\nmost_queued = 0\n")
    daemon.start()
    with daemon.client() as client:
        job = client.submit(command("read x"), stdin_open=True)["job"]
        with pytest.raises(RefusedError):
            client.submit(command("true"), key="another")
        assert client.submit(command("true"), key="done")["job"] == done
        with pytest.raises(SpecError):
            client.submit(with_blob)
        assert client.submit(with_blob, key="read")["stdout"]["data"] == b"data"
        with pytest.raises(InvalidParamsError):
            client.submit(command("false"), key="done")
        client.call("job.write", job=job, end=True)
        client.wait(job)
        assert read != done


def test_a_key_finds_its_job_though_it_is_asked_for_less_durably(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("true"), key="k", wait_seconds=60)["job"]
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        assert client.submit(command("true"), key="k", durability="memory")["job"] == job


@pytest.mark.parametrize("end", ENDS, ids=["killed", "drained"])
def test_a_pipeline_is_lost_and_found_whole(daemon: Daemon, end: Callable[[Daemon], Any]) -> None:
    make_room_for_two(daemon)
    pair = {"jobs": [command("echo out"), command("cat")], "pipes": [{"from": 0, "to": 1}]}
    stuck = {**pair, "jobs": [command("exec sleep 1000"), command("cat")]}
    with daemon.client() as client:
        done = client.call("pipeline.submit", **pair, key="done", wait_seconds=60)["jobs"]
        runs = client.call("pipeline.submit", **stuck, key="runs")["jobs"]
        waits = client.call("pipeline.submit", **stuck, key="waits")["jobs"]
        for each in runs:
            client.wait_until_running(each["job"])
    end(daemon)
    daemon.start()
    with daemon.client() as client:
        again = client.call("pipeline.submit", **pair, key="done")["jobs"]
        assert again == done
        assert again[1]["stdout"]["data"] == b"out\n"
        for key, before in ("runs", runs), ("waits", waits):
            again = client.call("pipeline.submit", **stuck, key=key, wait_seconds=60)["jobs"]
            assert [each["job"] for each in again] == [each["job"] for each in before]
            if end is Daemon.kill:
                assert [each["error"]["code"] for each in again] == ["lost"] * 2
            else:
                assert all(over(each) for each in again)


def test_a_pipeline_takes_no_key_of_another_job(daemon: Daemon) -> None:
    make_room_for_two(daemon)
    pair = {"jobs": [command("echo out"), command("cat")], "pipes": [{"from": 0, "to": 1}]}
    with daemon.client() as client:
        other = client.submit(command("true"), key="k#1", wait_seconds=60)["job"]
        with pytest.raises(InvalidParamsError):
            client.call("pipeline.submit", **pair, key="k", wait_seconds=60)
        assert [each["job"] for each in client.call("job.list")["jobs"]] == [other]


def test_a_pipeline_that_is_refused_lets_go_of_its_blobs(daemon: Daemon) -> None:
    digest = blob_of(daemon, b"data")
    with_blob = command("true", copy=[{"blob": digest, "destination": "/work/a"}])
    jobs = [with_blob, command("true", policy="nothing")]
    with daemon.client() as client:
        with pytest.raises(SpecError):
            client.call("pipeline.submit", jobs=jobs, pipes=[{"from": 0, "to": 1}])
        client.call("blob.delete", sha256=digest)
    assert not list(daemon.state.glob(f"blobs/*/{digest}"))


@pytest.mark.parametrize("lost", ["policy", "blob"])
def test_a_queued_job_that_cannot_be_run_any_more_says_why(daemon: Daemon, lost: str) -> None:
    policies = daemon.directory / "policies"
    policies.mkdir(mode=0o700)
    (policies / "own.toml").write_text('extends = "native"\nwhy = "for the test"\n')
    daemon.drain()
    with daemon.config.open("a") as config:
        config.write('[policies]\ndirectory = "policies"\n')
    daemon.start()
    digest = blob_of(daemon, b"data")
    job = command("true", policy="own", copy=[{"blob": digest, "destination": "/work/a"}])
    with daemon.client() as client:
        client.submit(command("exec sleep 1000"))
        jobs = [client.submit(job)["job"], client.submit(command("exit 7"))["job"]]
    daemon.kill()
    if lost == "policy":
        (policies / "own.toml").unlink()
    else:
        next(daemon.state.glob(f"blobs/*/{digest}")).unlink()
    daemon.start()
    with daemon.client() as client:
        status = client.wait(jobs[0])
        assert (status["state"], status["error"]["code"]) == ("failed", "spec")
        assert client.wait(jobs[1])["result"]["exit_code"] == 7


def test_a_job_that_has_no_place_in_the_queue_yet_can_be_cancelled(daemon: Daemon) -> None:
    with daemon.client() as client:
        first = client.submit(command("exec sleep 1000"), most_runs=2)["job"]
        jobs = [client.submit(command("true"))["job"] for _ in range(3)]
    daemon.kill()
    daemon.config.write_text("drain_seconds = 0\n[budget]\njobs = 1\nmost_queued = 0\n")
    daemon.start()
    with daemon.client() as client:
        client.wait_until_running(first)
        client.call("job.cancel", job=jobs[1])
        client.call("job.cancel", job=jobs[0])
        for job in jobs[:2]:
            assert client.wait(job)["result"]["verdict"] == "cancelled"
        client.call("job.cancel", job=first)
        assert client.wait(jobs[2])["result"]["exit_code"] == 0


def test_an_output_that_was_removed_for_room_takes_nothing_else_along(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("head -c 20000 /dev/zero; exit 7"), wait_seconds=60)["job"]
    daemon.drain()
    daemon.config.write_text("drain_seconds = 0\n[state]\nspool_bytes = 0\n")
    daemon.start()
    with daemon.client() as client:
        while daemon.spooled():  # the sweep is no event
            client.call("server.info")
        status = client.wait(job)
        assert status["result"]["exit_code"] == 7
        assert "data" not in status["stdout"]
        with pytest.raises(HostError):
            client.read(job)


def test_what_is_too_old_is_forgotten_with_its_files(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command(f"head -c {LARGE} /dev/zero"), wait_seconds=60)["job"]
    daemon.drain()
    daemon.config.write_text("drain_seconds = 0\n[state]\nresults_seconds = 0\n")
    daemon.start()
    with daemon.client() as client:
        while daemon.spooled():
            client.call("server.info")
        with pytest.raises(NotFoundError):
            client.call("job.status", job=job)


# Who else is there


def test_a_second_daemon_of_the_same_state_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Daemon(tmp_path / "other")
    other.state = daemon.state
    assert "fix: end it, or --state DIR" in refusal(other)
    assert not other.socket.exists()
    with daemon.client() as client:
        assert client.submit(command("exit 7"), wait_seconds=60)["result"]["exit_code"] == 7


def test_a_second_daemon_of_the_same_socket_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Daemon(tmp_path / "other")
    other.socket = daemon.socket
    assert "fix: end it, or --socket PATH" in refusal(other)
    with daemon.client() as client:
        assert client.submit(command("exit 7"), wait_seconds=60)["result"]["exit_code"] == 7


def test_the_socket_of_a_killed_daemon_is_replaced(daemon: Daemon) -> None:
    daemon.kill()
    assert daemon.socket.is_socket()
    daemon.start()
    with daemon.client() as client:
        assert client.call("server.hello")["is_local"]
    assert daemon.drain() == 0
    assert not daemon.socket.exists()


def test_what_is_no_socket_is_left_alone(daemon: Daemon) -> None:
    daemon.drain()
    daemon.socket.write_text("precious")
    assert "is no socket" in refusal(daemon)
    assert daemon.socket.read_text() == "precious"


def test_a_daemon_whose_port_is_taken_says_so_in_a_line(daemon: Daemon) -> None:
    daemon.drain()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"127.0.0.1:{port}" in refusal(daemon, "--metrics", f"127.0.0.1:{port}")
    assert not daemon.socket.exists()


def test_a_state_directory_that_others_may_read_is_refused(daemon: Daemon) -> None:
    daemon.drain()
    daemon.state.chmod(0o750)
    assert "fix: chown, and chmod 700" in refusal(daemon)
    daemon.state.chmod(0o700)
    daemon.start()
