"""How the daemon ends, and how it reads its files again, with jobs on its hands."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server.daemon import Daemon, command, over

from sandbox.client.sync import Client
from sandbox.server.tenants import new_token
from sandbox.spec.errors import RefusedError, SandboxError, SpecError

LONG = command("exec sleep 1000", limits={"wall": 3600})
ONE_AT_A_TIME = "drain_seconds = 3600\n[budget]\njobs = 1\n"


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that has a place for one job, and patience."""
    daemon = Daemon(tmp_path, ONE_AT_A_TIME)
    try:
        daemon.start()
        yield daemon
        assert not daemon.bugs()
    finally:
        daemon.close()


def run_long(daemon: Daemon, **params: Any) -> str:
    """A job that runs for longer than anybody waits."""
    with daemon.client() as client:
        job = client.submit(LONG, **params)["job"]
        client.wait_until_running(job)
        return job


def queue(daemon: Daemon, **params: Any) -> str:
    """A job behind that."""
    with daemon.client() as client:
        status = client.submit(command("echo ran"), **params)
        assert status["state"] == "queued"
        return status["job"]


def hurry(daemon: Daemon) -> None:
    """Have it end now."""
    with daemon.client() as client:
        client.call("server.drain", deadline_seconds=0.0)


def test_a_drain_lets_what_runs_end_and_tells_it(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(command("read line; echo got $line"), stdin_open=True)["job"]
        client.wait_until_running(job)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("draining")
        assert client.call("server.info")["is_draining"]
        with pytest.raises(RefusedError) as refusal:
            client.submit(command("true"))
        assert refusal.value.retry_after_seconds
        client.call("job.write", job=job, data=b"this\n", end=True)
        status = client.wait(job)
    assert status["result"]["verdict"] == "exited"
    assert status["stdout"]["data"] == b"got this\n"
    assert daemon.ended() == 0
    assert not daemon.socket.exists()


def test_whoever_comes_during_a_drain_may_ask_and_hears_why_not(daemon: Daemon) -> None:
    job = run_long(daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("draining")
    with daemon.client() as client:
        assert client.call("job.status", job=job)["state"] == "running"
        with pytest.raises(RefusedError):
            client.submit(command("true"))
    hurry(daemon)
    assert daemon.ended() == 0


def test_a_queued_job_is_left_to_the_next_daemon(daemon: Daemon) -> None:
    run_long(daemon)
    queued = queue(daemon)
    hurry(daemon)
    assert daemon.ended() == 0
    daemon.start()
    with daemon.client() as client:
        status = client.wait(queued)
    assert status["result"]["verdict"] == "exited"
    assert status["stdout"]["data"] == b"ran\n"
    assert status["runs"] == 1
    assert daemon.drain() == 0


def test_a_queued_job_that_must_not_outlive_the_daemon_is_refused(daemon: Daemon) -> None:
    run_long(daemon)
    with daemon.client() as client:
        job = client.submit(command("true"), durability="memory")["job"]
        waiting = client.begin("job.wait", job=job, wait_seconds=60)
        daemon.signal(signal.SIGTERM)
        status = client.answer(waiting)
    assert status["state"] == "failed"
    assert status["error"]["code"] == "refused"
    assert status["error"]["retry_after_seconds"]
    hurry(daemon)
    assert daemon.ended() == 0


def test_what_runs_at_the_deadline_is_cancelled_and_told_for_good(daemon: Daemon) -> None:
    job = run_long(daemon)
    with daemon.client() as client:
        waiting = client.begin("job.wait", job=job, wait_seconds=60)
        client.call("server.drain", deadline_seconds=0.0)
        assert client.answer(waiting)["result"]["verdict"] == "cancelled"
    assert daemon.ended() == 0
    daemon.start()
    with daemon.client() as client:
        assert client.call("job.result", job=job)["verdict"] == "cancelled"
    assert daemon.drain() == 0


def test_a_second_signal_is_the_deadline(daemon: Daemon) -> None:
    job = run_long(daemon)
    with daemon.client() as client:
        waiting = client.begin("job.wait", job=job, wait_seconds=60)
        daemon.signal(signal.SIGTERM)
        daemon.wait_for("draining")
        daemon.signal(signal.SIGINT)
        assert client.answer(waiting)["result"]["verdict"] == "cancelled"
    assert daemon.ended() == 0
    assert not daemon.socket.exists()


def test_an_earlier_deadline_counts_and_a_later_one_does_not(daemon: Daemon) -> None:
    job = run_long(daemon)
    with daemon.client() as client:
        waiting = client.begin("job.wait", job=job, wait_seconds=60)
        for seconds in (3600.0, 0.0, 3600.0):
            client.call("server.drain", deadline_seconds=seconds)
        assert over(client.answer(waiting))
    assert daemon.ended() == 0


def test_a_reload_does_not_end_a_drain(daemon: Daemon) -> None:
    job = run_long(daemon)
    daemon.signal(signal.SIGTERM)
    daemon.wait_for("draining")
    daemon.signal(signal.SIGHUP)
    daemon.wait_for("reloaded")
    hurry(daemon)
    assert daemon.ended() == 0
    assert next(e for e in daemon.events if e["event"] == "job" and e["job"] == job)


def test_a_job_that_may_run_again_does_so_after_the_drain(daemon: Daemon) -> None:
    job = run_long(daemon, most_runs=2)
    with daemon.client() as client:
        client.call("server.drain", deadline_seconds=0.0)
    assert daemon.ended() == 0
    daemon.start()
    with daemon.client() as client:
        client.wait_until_running(job)
        status = client.call("job.status", job=job)
        assert (status["state"], status["runs"]) == ("running", 2)
        client.call("job.cancel", job=job)
        assert client.wait(job)["result"]["verdict"] == "cancelled"
    assert daemon.drain() == 0


def test_a_job_that_its_client_cancelled_does_not_run_again(daemon: Daemon) -> None:
    job = run_long(daemon, most_runs=2)
    with daemon.client() as client:
        client.call("server.drain", deadline_seconds=3600.0)
        client.call("job.cancel", job=job)
        assert client.wait(job)["result"]["verdict"] == "cancelled"
    assert daemon.ended() == 0


def test_what_waits_to_run_again_is_left_once_more_in_its_order(daemon: Daemon) -> None:
    daemon.kill()
    daemon.config.write_text("[budget]\njobs = 3\n")
    daemon.start()
    jobs = [run_long(daemon, most_runs=4) for _ in range(3)]
    daemon.kill()
    # One runs again, one is queued, and for the third there is no place yet.
    daemon.config.write_text("[budget]\njobs = 1\nmost_queued = 1\n")
    for runs in (2, 3, 4):
        daemon.start()
        with daemon.client() as client:
            client.wait_until_running(jobs[0])
            assert [client.call("job.status", job=job)["runs"] for job in jobs] == [runs, 1, 1]
        if runs < 4:
            hurry(daemon)
            assert daemon.ended() == 0
    with daemon.client() as client:
        for job in jobs:
            client.wait_until_running(job)
            client.call("job.cancel", job=job)
            assert client.wait(job)["result"]["verdict"] == "cancelled"
    assert daemon.drain() == 0


def test_an_attached_job_is_cancelled_and_told_before_the_daemon_goes(daemon: Daemon) -> None:
    with daemon.client() as client:
        job = client.submit(LONG, durability="memory", attached=True)["job"]
        client.wait_until_running(job)
        waiting = client.begin("job.wait", job=job, wait_seconds=60)
        client.call("server.drain", deadline_seconds=0.0)
        assert client.answer(waiting)["result"]["verdict"] == "cancelled"
    assert daemon.ended() == 0


def test_an_idle_client_does_not_hold_the_daemon(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.call("server.info")
        assert daemon.drain() == 0


POLICY = """
extends = "native"
why     = "for the test"
[limits]
wall = {wall}
"""
TENANTS = "[tenants.judge]\nweight = {weight}\nusers = [{uid}]\n"
EXITED = "exited"


@pytest.fixture
def configured(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One with policies of its own."""
    policies = tmp_path / "policies"
    policies.mkdir(mode=0o700)
    (policies / "brief.toml").write_text(POLICY.format(wall=100))
    daemon = Daemon(tmp_path, '[policies]\ndirectory = "policies"\n')
    try:
        daemon.start()
        yield daemon
        assert not daemon.bugs()
        assert daemon.drain() == 0
    finally:
        daemon.close()


def verdict(daemon: Daemon, policy: str) -> str:
    """Of a job that sleeps for longer than the new limit of the policy, and not than the old."""
    with daemon.client() as client:
        job = client.submit(command("exec sleep 0.3", policy=policy))["job"]
        return client.wait(job)["result"]["verdict"]


def test_a_reload_reads_policies_again_while_jobs_keep_theirs(configured: Daemon) -> None:
    with configured.client() as client:
        running = client.submit(command("read x", policy="brief"), stdin_open=True)["job"]
        client.wait_until_running(running)
        assert verdict(configured, "brief") == EXITED
        policies = configured.directory / "policies"
        (policies / "brief.toml").write_text(POLICY.format(wall=0.1))
        (policies / "second.toml").write_text(POLICY.format(wall=5))
        assert verdict(configured, "brief") == EXITED  # nobody has told it yet
        configured.signal(signal.SIGHUP)
        configured.wait_for("reloaded")
        assert verdict(configured, "brief") == "wall_time"
        assert verdict(configured, "second") == EXITED
        assert "second" in client.call("server.info")["policies"]
        client.call("job.write", job=running, end=True)
        assert client.wait(running)["result"]["verdict"] == EXITED


def test_a_reload_reads_tenants_again(configured: Daemon) -> None:
    with configured.client() as client:
        own = client.call("server.hello")["tenant"]
        text = configured.config.read_text()
        uid = own.removeprefix("uid-")
        configured.config.write_text(text + TENANTS.format(weight=2, uid=uid))
        client.call("server.reload")
        assert client.call("server.hello")["tenant"] == own  # who is in stays who it is
    with configured.client() as client:
        assert client.call("server.hello")["tenant"] == "judge"


def test_a_reload_sends_away_who_is_let_in_no_more(configured: Daemon) -> None:
    token, digest = new_token()
    text = "drain_seconds = 0\n" + configured.config.read_text()
    tcp = '[listen]\ntcp = "127.0.0.1:0"\nclear = true\n'
    tenants = '[tenants.guest]\ntokens = ["{}"]\n'
    configured.drain()
    configured.config.write_text(text + tcp + tenants.format(digest))
    configured.start()
    places = configured.wait_for("listening")["where"].split()
    (where,) = (place for place in places if place.startswith("tcp:"))
    with Client(where, token=token, reconnect_seconds=0) as guest, configured.client() as client:
        job = guest.submit(["sleep", "60"])
        configured.config.write_text(text + tcp + tenants.format(new_token()[1]))
        client.call("server.reload")
        with pytest.raises(SandboxError):
            job.status()
        assert client.call("server.info")["used"]["jobs"] == 1, "its jobs go on"


BROKEN = [
    ("serve.toml", "no TOML ["),
    ("serve.toml", "[tenants.judge]\nweight = 0\n"),
    ("policies/brief.toml", "no TOML ["),
    ("policies/other.toml", POLICY.format(wall=1) + "unknown = 1\n"),
]


@pytest.mark.parametrize("file, text", BROKEN)
def test_a_broken_reload_is_refused_and_changes_nothing(
    configured: Daemon, file: str, text: str
) -> None:
    assert verdict(configured, "brief") == EXITED
    own = configured.config.read_text()
    with configured.client() as client:
        running = client.submit(command("read x"), stdin_open=True)["job"]
        client.wait_until_running(running)
        if file != "serve.toml":
            uid = client.call("server.hello")["tenant"].removeprefix("uid-")
            configured.config.write_text(own + TENANTS.format(weight=2, uid=uid))
        place = configured.directory / file
        place.write_text(text)
        place.chmod(0o600)
        with pytest.raises(SpecError):
            client.call("server.reload")
        configured.signal(signal.SIGHUP)
        assert configured.wait_for("reload_refused")["error"]
        assert verdict(configured, "brief") == EXITED
        client.call("job.write", job=running, end=True)
        assert client.wait(running)["result"]["verdict"] == EXITED
    with configured.client() as client:
        assert client.call("server.hello")["tenant"].startswith("uid-")
