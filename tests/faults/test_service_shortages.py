"""A daemon that runs out of fds, whose disk is full, or whose files are taken away: what it cannot
do it says, nothing hangs, and it goes on as soon as it can."""

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.daemon import Daemon, command, serving

from sandbox.spec.errors import HostError, RefusedError

LARGE = 100_000  # of an output that is kept in a file


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that runs."""
    with serving(tmp_path, "drain_seconds = 3600\n") as daemon:
        yield daemon


def test_a_full_disk_accepts_what_needs_none_of_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        before = client.submit(command("echo out"), wait_seconds=60)
        with daemon.limited(resource.RLIMIT_FSIZE, 0):
            for params in ({}, {"key": "k"}, {"durability": "power"}):
                with pytest.raises(RefusedError) as refusal:
                    client.submit(command("true"), **params)
                assert refusal.value.retry_after_seconds
            memory = {"durability": "memory", "wait_seconds": 60}
            assert client.submit(command("echo out"), **memory)["stdout"]["data"] == b"out\n"
            large = client.submit(command(f"head -c {LARGE} /dev/zero"), **memory)
            assert (large["state"], large["error"]["code"]) == ("failed", "host")
            kept = command("echo a > /tmp/a", collect=[{"path": "/tmp/a"}])
            (told,) = client.submit(kept, **memory)["result"]["artifacts"].values()
            assert told.startswith("not collected")
            assert client.call("job.status", job=before["job"]) == before
            assert client.call("job.list")["jobs"][0]["job"] == before["job"]
        assert client.submit(command("exit 7"), wait_seconds=60)["result"]["exit_code"] == 7


def test_what_a_full_disk_refused_is_not_found_by_its_key(daemon: Daemon) -> None:
    with daemon.client() as client:
        pair = {"jobs": [command("exec sleep 1000")] * 2, "pipes": [{"from": 0, "to": 1}]}
        with daemon.limited(resource.RLIMIT_FSIZE, 0):
            calls = [client.begin("job.submit", job=command("exit 7"), key="k") for _ in range(3)]
            calls += [client.begin("pipeline.submit", **pair, key="p") for _ in range(3)]
            for call in calls:
                with pytest.raises(RefusedError):
                    client.answer(call)
        status = client.submit(command("exit 7"), key="k", wait_seconds=60)
        assert status["result"]["exit_code"] == 7
        statuses = client.call("pipeline.submit", **pair, key="p")["jobs"]
        assert len(client.call("job.list")["jobs"]) == 3
        for each in statuses:
            client.call("job.cancel", job=each["job"])
        for each in statuses:
            client.wait(each["job"])


def test_the_end_of_a_job_is_told_once_there_is_room_to_note_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("read x; echo $x"), stdin_open=True)["job"]
        client.wait_until_running(job)
        with daemon.limited(resource.RLIMIT_FSIZE, 0):
            client.call("job.write", job=job, data=b"here\n", end=True)
            daemon.wait_for("journal_failed")
            assert client.call("job.status", job=job)["state"] == "running"
        status = client.wait(job)
    assert status["stdout"]["data"] == b"here\n"


def test_a_drain_ends_though_ends_cannot_be_noted(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("read x; echo $x"), stdin_open=True)["job"]
        client.wait_until_running(job)
        with daemon.limited(resource.RLIMIT_FSIZE, 0):
            client.call("job.write", job=job, data=b"here\n", end=True)
            daemon.wait_for("journal_failed")
            client.call("server.drain", deadline_seconds=0.0)
            client.close()
            assert daemon.ended() == 0
    daemon.start()
    with daemon.client() as client:
        assert client.wait(job)["error"]["code"] == "lost"


@pytest.mark.parametrize("spare", [0, 1, 3, 8, 15, 25])
def test_without_fds_a_job_is_told_to_have_failed_and_the_next_one_runs(
    daemon: Daemon, spare: int
) -> None:
    large = command(f"head -c {LARGE} /dev/zero; exit 7")
    with daemon.client() as client:
        before = client.submit(large, wait_seconds=60)
        assert before["result"]["exit_code"] == 7
        with daemon.limited(resource.RLIMIT_NOFILE, daemon.fds() + spare):
            for params in ({}, {"durability": "memory"}):
                status = client.submit(large, wait_seconds=60, **params)
                if status["state"] != "ended":
                    assert status["error"]["code"] in ("host", "setup", "zygote")
            told = client.call("job.status", job=before["job"], inline_bytes=LARGE)
            assert told["result"] == before["result"]
        status = client.submit(large, wait_seconds=60)
        assert status["result"]["exit_code"] == 7
        assert client.read(status["job"]) == bytes(LARGE)
    daemon.drain()
    daemon.start()  # it removes what the other could not without an fd


def test_without_fds_clients_wait_at_the_door(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.call("server.hello")
        with daemon.limited(resource.RLIMIT_NOFILE, daemon.fds()), daemon.client() as late:
            call = late.begin("server.hello")
            daemon.wait_for("no_room")
            assert client.call("server.hello")
            client.close()  # its fd is the late one's
            assert late.answer(call)


def test_a_fifo_without_a_reader_is_no_destination_and_holds_nobody_up(
    daemon: Daemon, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with daemon.client() as client:
        collect = [{"path": "/tmp/a", "destination": str(fifo)}]
        status = client.submit(command("echo a > /tmp/a", collect=collect), wait_seconds=60)
        assert (status["state"], status["error"]["code"]) == ("failed", "spec")
        assert client.submit(command("exit 7"), wait_seconds=60)["result"]["exit_code"] == 7


def test_a_spool_that_is_taken_away_costs_only_what_was_in_it(daemon: Daemon) -> None:
    spool = daemon.state / "spool"
    large = command(f"head -c {LARGE} /dev/zero; exit 7")
    kept = command("echo a > /tmp/a", collect=[{"path": "/tmp/a"}])
    with daemon.client() as client:
        before = client.submit(kept, wait_seconds=60)["job"]
        read = client.submit(large, wait_seconds=60)["job"]
        shutil.rmtree(spool)
        with pytest.raises(HostError):
            client.read(read)
        assert client.call("job.status", job=read)["result"]["exit_code"] == 7
        assert client.call("job.status", job=before)["artifacts"] == {}
        assert client.submit(command("echo out"), wait_seconds=60)["stdout"]["data"] == b"out\n"
        assert client.read(client.submit(large, wait_seconds=60)["job"]) == bytes(LARGE)
        shutil.rmtree(spool)
        spool.write_text("what is no directory")
        for job in (large, kept):
            assert client.submit(job, wait_seconds=60)["error"]["code"] == "host"
        assert client.submit(command("echo out"), wait_seconds=60)["stdout"]["data"] == b"out\n"
        with pytest.raises(HostError):
            client.read(read)
        client.call("job.delete", job=read)
        spool.unlink()
        assert client.read(client.submit(large, wait_seconds=60)["job"]) == bytes(LARGE)
