"""Cores that are left to jobs which ask for one of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.daemon import Daemon, command

from sandbox.spec.errors import RefusedError, SpecError

CORES = sorted(os.sched_getaffinity(0))
OTHERS, OWN = CORES[:-1], CORES[-1]
SHOW = command("grep Cpus_allowed_list /proc/self/status")

pytestmark = pytest.mark.skipif(not OTHERS, reason="this host has one core")


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, f"drain_seconds = 0\n[budget]\nown_cores = [{OWN}]\n")
    try:
        daemon.start()
        yield daemon
        assert not daemon.bugs()
    finally:
        daemon.close()


def cores_of(status: dict[str, dict[str, bytes]]) -> set[int]:
    found = set()
    for part in status["stdout"]["data"].split(b"\t")[1].decode().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_a_job_has_a_core_to_itself_and_others_have_the_rest(daemon: Daemon) -> None:
    with daemon.client() as client:
        assert cores_of(client.submit(SHOW, wait_seconds=60, own_core=True)) == {OWN}
        assert cores_of(client.submit(SHOW, wait_seconds=60)) == set(OTHERS)


def test_who_wants_one_waits_for_its_turn(daemon: Daemon) -> None:
    with daemon.client() as client:
        first = client.submit(command("read x"), stdin_open=True, own_core=True)["job"]
        second = client.submit(SHOW, own_core=True)["job"]
        client.submit(SHOW, wait_seconds=60)  # whoever shares does not wait
        assert client.call("job.status", job=second)["state"] == "queued"
        client.call("job.write", job=first, end=True)
        client.wait(first)
        assert client.wait(second)["result"]["verdict"] == "exited"


def test_more_of_them_than_there_are_can_never_be(daemon: Daemon) -> None:
    with daemon.client() as client, pytest.raises(RefusedError) as caught:
        client.call(
            "pipeline.submit", jobs=[SHOW, SHOW], pipes=[{"from": 0, "to": 1}], own_core=True
        )
    assert caught.value.retry_after_seconds is None


@pytest.mark.parametrize("cores", [[4096], CORES])
def test_what_is_not_ours_to_leave_is_said(tmp_path: Path, cores: list[int]) -> None:
    daemon = Daemon(tmp_path, f"[budget]\nown_cores = {cores}\n")
    daemon.start(wait=False)
    assert daemon.ended() == 125
    assert any("budget.own_cores" in event.get("text", "") for event in daemon.events)


def test_a_core_that_is_nobodys_is_refused_at_once(daemon: Daemon) -> None:
    with daemon.client() as client, pytest.raises(SpecError, match=r"limits\.core"):
        client.submit({**SHOW, "limits": {"core": 4096}})
