"""What becomes of judgings when the service is killed, or ends: each is judged, and told once."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
from judge.service.contest import (
    HELD_AFTER_A_TEST,
    RIGHT,
    WRONG,
    events_up_to_a_test,
    judged,
    package,
    restart,
    upload,
    zipped,
)
from server.daemon import PATIENCE_SECONDS, Client, Daemon, holding

from sandbox.spec.errors import RefusedError
from sandbox.wire.errors import NotFoundError

ENDS: list[Callable[[Daemon], Any]] = [Daemon.kill, Daemon.drain]
HELD_AT_WORK = holding("sandbox.judge.engine:Judge.judge")


def submitted(client: Client, source: bytes = RIGHT, **params: Any) -> str:
    problem = upload(client, zipped(package()))
    return client.call("judge.submit", problem=problem, files={"a.py": source}, **params)["judging"]


def at_its_end(daemon: Daemon, judging: str) -> dict[str, Any]:
    with daemon.client() as client:
        told = client.call("judge.wait", judging=judging, wait_seconds=PATIENCE_SECONDS)
        assert told["ended_at"] is not None, told
        return told


@pytest.mark.parametrize("end", ENDS, ids=["killed", "drained"])
def test_a_judging_that_ran_is_judged_again(daemon: Daemon, end: Callable[[Daemon], Any]) -> None:
    restart(daemon, HELD_AFTER_A_TEST)
    with daemon.client() as client:
        judging = submitted(client, key="k", label="mine")
        heard = events_up_to_a_test(client, judging)
    end(daemon)
    restart(daemon)
    status = at_its_end(daemon, judging)
    assert (status["verdict"], status["label"]) == ("AC", "mine")
    assert status["runs"] == (2 if end is Daemon.kill else 1)
    with daemon.client() as client:
        # Who had heard of the first run goes on where it was, and hears that it was void.
        more = client.call("judge.events", judging=judging, after=heard)["events"]
        assert [event["event"] for event in more] == ["begun", "test", "test", "test", "ended"]
        assert submitted(client, key="k") == judging
        assert len(client.call("judge.list")["judgings"]) == 1


def test_who_waits_is_told_that_the_service_ends(daemon: Daemon) -> None:
    restart(daemon, HELD_AFTER_A_TEST)
    with daemon.client() as client:
        judging = submitted(client)
        heard = events_up_to_a_test(client, judging)
        client.call("judge.stream", judging=judging, after=heard)
        wait = {"judging": judging, "wait_seconds": PATIENCE_SECONDS}
        waiting = [
            client.begin("judge.wait", **wait),
            client.begin("judge.result", **wait),
            client.begin("judge.events", **wait, after=heard),
        ]
        submitting = client.begin("judge.rejudge", **wait)
        while len(client.call("judge.list")["judgings"]) < 2:
            pass
        daemon.signal(signal.SIGTERM)
        for msgid in waiting:
            with pytest.raises(RefusedError, match="about to end") as caught:
                client.answer(msgid)
            assert caught.value.retry_after_seconds
        assert client.answer(submitting)["rejudge_of"] == judging, "it is accepted"
        assert "about to end" in client.notified("stream.end")["error"]["message"]
    assert daemon.ended() == 0
    restart(daemon)
    for each in (judging, at_its_end(daemon, judging)["judging"]):
        assert at_its_end(daemon, each)["verdict"] == "AC"


@pytest.mark.parametrize("end", ENDS, ids=["killed", "drained"])
def test_one_that_was_over_stays_as_it_was(daemon: Daemon, end: Callable[[Daemon], Any]) -> None:
    with daemon.client() as client:
        problem = upload(client, zipped(package()))
        old = judged(client, problem, WRONG, key="k")
        events = client.call("judge.events", judging=old["judging"])
    end(daemon)
    restart(daemon)
    with daemon.client() as client:
        assert client.call("judge.status", judging=old["judging"]) == old
        assert client.call("judge.events", judging=old["judging"]) == events
        again = client.call("judge.submit", problem=problem, files={"a.py": WRONG}, key="k")
        assert again == old


def test_many_that_were_queued_are_all_judged(daemon: Daemon) -> None:
    restart(daemon, HELD_AT_WORK)
    with daemon.client() as client:
        ids = [submitted(client) for _ in range(8)]
        daemon.wait_for("held")
    daemon.kill()
    restart(daemon)
    assert {at_its_end(daemon, judging)["verdict"] for judging in ids} == {"AC"}


def test_one_that_was_told_its_end_has_it_even_if_the_event_was_not_written(daemon: Daemon) -> None:
    with daemon.client() as client:
        judging = submitted(client)
        old = client.call("judge.wait", judging=judging, wait_seconds=PATIENCE_SECONDS)
        events = client.call("judge.events", judging=judging)["events"]
    daemon.kill()
    (path,) = daemon.state.glob(f"judge/*/judgings/{judging}/events")
    with path.open("r+b") as file:
        file.truncate(events[-1]["number"] + 5)  # killed between the record and its last event
    restart(daemon)
    with daemon.client() as client:
        assert client.call("judge.events", judging=judging)["events"] == events
        assert client.call("judge.status", judging=judging) == old


def test_one_whose_supervisor_dies_each_time_is_given_up(daemon: Daemon) -> None:
    restart(daemon, HELD_AT_WORK)
    with daemon.client() as client:
        judging = submitted(client)
    for _ in range(2):
        daemon.wait_for("held")
        daemon.kill()
        restart(daemon, HELD_AT_WORK)
    daemon.wait_for("held")
    daemon.kill()
    restart(daemon)
    status = at_its_end(daemon, judging)
    assert (status["state"], status["error"]["code"]) == ("failed", "lost")
    assert "3 times" in status["error"]["message"]


def test_a_record_that_is_none_costs_no_other_judging(daemon: Daemon) -> None:
    with daemon.client() as client:
        broken, whole = submitted(client), submitted(client, WRONG)
        for judging in (broken, whole):
            client.call("judge.wait", judging=judging, wait_seconds=PATIENCE_SECONDS)
    daemon.kill()
    (record,) = daemon.state.glob(f"judge/*/judgings/{broken}/record")
    record.write_bytes(record.read_bytes()[:20])
    restart(daemon)
    assert daemon.wait_for("judging_lost")
    with daemon.client() as client:
        assert client.call("judge.status", judging=whole)["verdict"] == "WA"
        with pytest.raises(NotFoundError):
            client.call("judge.status", judging=broken)


def test_a_package_whose_blob_is_gone_is_named(daemon: Daemon) -> None:
    restart(daemon, holding("sandbox.judge.service.work:Work.judge"))
    with daemon.client() as client:
        judging = submitted(client)
        daemon.wait_for("held")
    daemon.kill()
    for blob in daemon.state.glob("blobs/*/*"):
        blob.unlink()
    restart(daemon)
    status = at_its_end(daemon, judging)
    assert (status["error"]["code"], status["error"]["field"]) == ("spec", "problem")
    assert "upload it again" in status["error"]["message"]
