"""Judgings by a real service: verdicts as they come, once for a key, again, and never another's."""

import hashlib
import threading
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from judge.service.contest import (
    RIGHT,
    WRONG,
    events_up_to_a_test,
    judged,
    package,
    tarred,
    upload,
    zipped,
)
from server.daemon import PATIENCE_SECONDS, Client, Daemon, serving
from server.peers import TOKENS, Peer

from sandbox.spec.errors import RefusedError
from sandbox.wire.errors import InvalidParamsError, NotFoundError

LOOPS = b"n = int(input())\nwhile n > 1: pass\nprint(2 * n)\n"


@pytest.fixture
def problem(client: Client) -> str:
    """A package that was uploaded."""
    return upload(client, zipped(package()))


def events_of(client: Client, judging: str, after: int = 0) -> list[dict[str, Any]]:
    """All of them, up to the end."""
    found = []
    while True:
        told = client.call(
            "judge.events", judging=judging, after=after, most_bytes=1,
            wait_seconds=PATIENCE_SECONDS,
        )  # fmt: skip
        assert told["events"] or told["is_end"]
        found += told["events"]
        after = told["next"]
        if told["is_end"]:
            return found


@pytest.mark.parametrize(
    ("source", "verdict", "counts"),
    [
        (RIGHT, "AC", {"AC"}),
        (WRONG, "WA", {"WA"}),
        (b"print(", "CE", set()),
        (b"raise SystemExit(3)\n", "RTE", {"RTE"}),
        (b"print('x' * (9 << 20))\n", "OLE", {"OLE"}),
    ],
)
def test_a_submission_gets_its_verdict(
    client: Client, problem: str, source: bytes, verdict: str, counts: set[str]
) -> None:
    told = judged(client, problem, source)
    assert (told["state"], told["verdict"]) == ("ended", verdict)
    assert told["result"]["verdict"] == verdict
    # Tests run at the same time, and where one has failed the others need not end.
    assert counts <= {name for name, count in told["result"]["tests"].items() if count}
    assert client.call("judge.result", judging=told["judging"]) == told["result"]


def test_each_test_is_an_event_and_the_end_is_the_last(client: Client, problem: str) -> None:
    told = client.call("judge.submit", problem=problem, files={"a.py": RIGHT})
    events = events_of(client, told["judging"])
    assert [event["event"] for event in events] == ["begun", "test", "test", "test", "ended"]
    assert {event["test"] for event in events[1:-1]} == {f"secret/{n:04}" for n in (1, 2, 3)}
    assert events[0]["tests"] == 3 and events[-1]["result"]["verdict"] == "AC"
    for number, event in enumerate(events):
        assert events_of(client, told["judging"], event["number"]) == events[number:]
    run = events[1]["runs"][-1]
    assert run["core"] is not None and run["cpu_seconds"] > 0


def test_all_tests_are_run_if_that_was_asked_for(client: Client, problem: str) -> None:
    told = judged(client, problem, b"print(input())\n", all_tests=True)
    assert told["result"]["tests"] == {"WA": 3}


def test_events_are_pushed_as_they_come(client: Client, problem: str) -> None:
    told = client.call("judge.submit", problem=problem, files={"a.py": RIGHT})
    opened = client.call("judge.stream", judging=told["judging"])
    while not client.notifications or client.notifications[-1].method != "stream.end":
        client._receive()
    pushed = b"".join(
        note.params[0]["data"] for note in client.notifications if note.method == "stream.data"
    )
    unpacker = msgpack.Unpacker(use_list=False)
    unpacker.feed(pushed)
    assert list(unpacker) == events_of(client, told["judging"])
    assert {note.params[0]["subscription"] for note in client.notifications} == {
        opened["subscription"]
    }


def test_a_submission_under_a_key_is_judged_once(client: Client, problem: str) -> None:
    first = judged(client, problem, RIGHT, key="7", label="first")
    again = client.call("judge.submit", problem=problem, files={"a.py": RIGHT}, key="7")
    assert again == first
    with pytest.raises(InvalidParamsError, match=r"key: .*another"):
        client.call("judge.submit", problem=problem, files={"a.py": WRONG}, key="7")
    client.call("judge.delete", judging=first["judging"])
    other = judged(client, problem, WRONG, key="7")
    assert (other["verdict"], other["judging"] != first["judging"]) == ("WA", True)


def test_one_key_at_once_on_many_connections_is_one_judging(
    daemon: Daemon, client: Client, problem: str
) -> None:
    found = set()

    def submit() -> None:
        with daemon.client() as other:
            told = other.call("judge.submit", problem=problem, files={"a.py": RIGHT}, key="same")
            found.add(told["judging"])

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert len(client.call("judge.list")["judgings"]) == 1


def test_files_may_be_blobs_and_many(client: Client, problem: str) -> None:
    files = {
        "main.py": b"from lib.twice import twice\nprint(twice(int(input())))\n",
        "lib/twice.py": {"blob": upload(client, b"def twice(n): return 2 * n\n")},
    }
    told = client.call(
        "judge.submit", problem=problem, files=files, language="python3",
        entry_point="main.py", wait_seconds=PATIENCE_SECONDS,
    )  # fmt: skip
    assert told["verdict"] == "AC", told


def test_a_rejudging_is_another_judging_of_the_same(client: Client, problem: str) -> None:
    old = judged(client, problem, WRONG)
    again = client.call(
        "judge.rejudge", judging=old["judging"], label="again", wait_seconds=PATIENCE_SECONDS
    )
    assert (again["rejudge_of"], again["label"]) == (old["judging"], "again")
    assert (again["verdict"], again["problem"]) == ("WA", problem)
    mended = upload(client, zipped(package(tests=1)))
    mended_told = client.call(
        "judge.rejudge", judging=old["judging"], problem=mended, wait_seconds=PATIENCE_SECONDS
    )
    assert mended_told["verdict"] == "AC"
    assert client.call("judge.status", judging=old["judging"]) == old


def test_a_cancelled_judging_ends_and_leaves_nothing(client: Client, problem: str) -> None:
    told = client.call(
        "judge.submit", problem=problem, files={"a.py": LOOPS}, time_limit_seconds=600.0
    )
    judging = told["judging"]
    events_up_to_a_test(client, judging)
    client.call("judge.cancel", judging=judging)
    told = client.call("judge.wait", judging=judging, wait_seconds=PATIENCE_SECONDS)
    assert (told["state"], told["result"], told["error"]) == ("cancelled", None, None)
    assert events_of(client, judging)[-1]["event"] == "cancelled"
    assert client.call("server.info")["used"]["jobs"] == 0
    with pytest.raises(RefusedError, match="was cancelled"):
        client.call("judge.result", judging=judging)
    client.call("judge.cancel", judging=judging)  # again: nothing


def test_what_has_not_ended_is_not_deleted_and_what_was_is_gone(
    daemon: Daemon, client: Client, problem: str
) -> None:
    told = client.call(
        "judge.submit", problem=problem, files={"a.py": LOOPS}, time_limit_seconds=600.0
    )
    with pytest.raises(RefusedError, match="cancel it first"):
        client.call("judge.delete", judging=told["judging"])
    client.call("judge.cancel", judging=told["judging"])
    client.call("judge.wait", judging=told["judging"], wait_seconds=PATIENCE_SECONDS)
    client.call("judge.delete", judging=told["judging"])
    with pytest.raises(NotFoundError):
        client.call("judge.status", judging=told["judging"])
    assert client.call("judge.list") == {"judgings": ()}
    assert not list(daemon.state.glob("judge/*/judgings/*"))


def test_a_list_goes_on_where_it_ended(client: Client, problem: str) -> None:
    ids = [judged(client, problem, source)["judging"] for source in (RIGHT, WRONG, RIGHT)]
    assert ids == sorted(ids)
    first = client.call("judge.list", most=2)["judgings"]
    rest = client.call("judge.list", after=first[-1]["judging"])["judgings"]
    assert [one["judging"] for one in (*first, *rest)] == ids
    assert client.call("judge.list", state="queued")["judgings"] == ()


def test_languages_are_those_of_this_host(client: Client) -> None:
    told = client.call("judge.languages")
    found = {one["code"]: one for one in told["languages"]}
    assert found["python3"]["is_here"] and ".py" in found["python3"]["extensions"]
    assert not told["is_complete"], "it does not wait for every compiler"


def test_a_tenant_sees_only_what_is_its_own(tmp_path: Path, leftovers: None) -> None:
    tables = "".join(f'[tenants.{n}]\ntokens = ["{t[1]}"]\n' for n, t in TOKENS.items())
    listen = '[listen]\ntcp = "127.0.0.1:0"\nclear = true\n'

    async def main(port: int) -> None:
        peers = []
        for token, _ in TOKENS.values():
            peers.append(peer := Peer(await trio.open_tcp_stream("127.0.0.1", port)))
            await peer.call("server.hello", token=token)
        one, other = peers
        data = zipped(package())
        problem = hashlib.sha256(data).hexdigest()
        await one.call("blob.put", sha256=problem, bytes=len(data), data=data)
        files = {"a.py": RIGHT}
        told = await one.call(
            "judge.submit", problem=problem, files=files, key="k", wait_seconds=60.0
        )
        assert told["verdict"] == "AC"
        # Neither by its id, nor by its key, nor by the package that is unpacked here.
        for method in ("status", "wait", "result", "events", "stream", "cancel", "rejudge",
                       "delete"):  # fmt: skip
            error = await other.refused(f"judge.{method}", judging=told["judging"])
            assert error["code"] == "not_found", method
        error = await other.refused("judge.submit", problem=problem, files=files, key="k")
        assert (error["code"], error["field"]) == ("invalid_params", "problem")
        assert (await other.call("judge.list"))["judgings"] in ([], ())

    with serving(tmp_path, "drain_seconds = 0\n" + listen + tables) as daemon:
        where = daemon.wait_for("listening")["where"]
        trio.run(main, int(where.rpartition("tcp:127.0.0.1:")[2]))


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        (b"name: x\nlimits:\n  output: 100\nproblem_format_version: 2023-07-draft\n",
         "limits.output"),
        (b"name: x\nno_such_key: 1\nproblem_format_version: 2023-07-draft\n", "no_such_key"),
    ],
)  # fmt: skip
def test_what_a_package_gets_wrong_is_the_error_of_the_judging(
    client: Client, yaml: bytes, said: str
) -> None:
    told = judged(client, upload(client, tarred(package(**{"problem.yaml": yaml}))), RIGHT)
    assert (told["state"], told["error"]["field"]) == ("failed", "problem")
    assert said in told["error"]["message"]
