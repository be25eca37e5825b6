"""What a client makes the service keep, read or say is bounded, and costs no other judging."""

from pathlib import Path

import pytest
from judge.service.contest import RIGHT, judged, package, upload, with_quota, zipped
from server.daemon import Client, serving

from sandbox.judge.service.events import Events
from sandbox.judge.service.plain import judgement_map, outcome_map
from sandbox.judge.verdict import GroupOutcome, Judgement, Outcome
from sandbox.judge.verdict import TestRun as Run  # pytest would take it for a test
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.wire.errors import NotFoundError

LONG = "\N{GRINNING FACE}" * (1 << 16)  # four bytes each
LOOPS = b"while True: pass\n#"


def test_the_longest_result_and_test_can_be_read_again(tmp_path: Path) -> None:
    groups = tuple(GroupOutcome(f"{n}/{LONG[:1000]}", "AC", 1.0) for n in range(2000))
    judgement = Judgement("it", "c", "AC", 1.0, LONG, (), groups, LONG)
    runs = (Run(1.0, 1.0, 1, 0, (LONG[:100],) * 16),) * 2
    outcome = Outcome(LONG, "AC", LONG, (LONG,) * 99, 1.0, runs, LONG, LONG)
    events = Events(tmp_path / "events")
    events.add("test", **outcome_map(outcome))
    events.add("ended", result=judgement_map(judgement), error=None)
    (first,), number = events.after(0, 1)
    (last,), _ = events.after(number, 1)
    assert first["judge_message"] and last["result"]["compiler_output"]
    assert 10 < len(last["result"]["groups"]) < 2000
    again = Events(tmp_path / "events")  # as another process finds them
    assert again.size_bytes == events.size_bytes


def test_queued_files_have_a_quota(tmp_path: Path, leftovers: None) -> None:
    config = "drain_seconds = 0\n" + with_quota("20MiB")
    with serving(tmp_path, config) as daemon, daemon.client() as client:
        yaml = b"limits: {time_limit: 60, code: 20000}\n"
        problem = upload(client, zipped(package() | {"problem.yaml": yaml}))
        blob = upload(client, LOOPS + bytes(12 << 20))
        files = {"a.py": {"blob": blob}}
        first = client.call("judge.submit", problem=problem, files=files)
        with pytest.raises(RefusedError, match="20MiB in sum"):
            client.call("judge.submit", problem=problem, files=files)
        with pytest.raises(RefusedError, match="20MiB in sum"):
            client.call("judge.rejudge", judging=first["judging"])
        client.call("judge.cancel", judging=first["judging"])
        ended = client.call("judge.wait", judging=first["judging"], wait_seconds=60.0)
        assert ended["state"] == "cancelled"
        control = client.call("judge.submit", problem=problem, files=files)
        client.call("judge.cancel", judging=control["judging"])
        client.call("judge.wait", judging=control["judging"], wait_seconds=60.0)


def test_an_answer_that_would_fill_the_memory_is_refused(client: Client) -> None:
    files = package(1)
    right = judged(client, upload(client, zipped(files)), RIGHT)
    assert right["verdict"] == "AC", "control"
    files["data/secret/0001.ans"] = b"2\n" * (33 << 20)
    told = judged(client, upload(client, zipped(files)), RIGHT)
    assert (told["state"], told["error"]["field"]) == ("failed", "problem")
    assert "data/secret/0001.ans: is over 64MiB" in told["error"]["message"]


FEW = (
    "import sandbox.judge.service.work as it; "
    "it._MOST_GROUPS = 4; it._MOST_TESTS = 3"  # data/, secret/ and two in it
)


def test_groups_that_would_have_the_service_look_at_its_tests_for_ever_are_refused(
    tmp_path: Path, leftovers: None
) -> None:
    files = {name: data for name, data in package(0).items() if "data/" not in name}
    files |= {f"data/secret/{n}/1.{end}": b"0\n" for n in range(3) for end in ("in", "ans")}
    less = {name: data for name, data in files.items() if "/2/" not in name}
    asks = less | {
        "problem.yaml": files["problem.yaml"] + b"type: scoring\n",
        "data/secret/test_group.yaml": b"max_score: 2\n",
        "data/secret/0/test_group.yaml": b"max_score: 1\n",
        "data/secret/1/test_group.yaml":
            b"max_score: 1\nrequire_pass: [sample, sample, sample, sample]\n",
    }  # fmt: skip
    with serving(tmp_path, change=FEW) as daemon, daemon.client() as client:
        assert judged(client, upload(client, zipped(less)), RIGHT)["verdict"] == "AC", "control"
        told = [judged(client, upload(client, zipped(one)), RIGHT) for one in (files, asks)]
    assert [one["error"]["field"] for one in told] == ["problem"] * 2
    assert "data: 5 groups; this service judges up to 4" in told[0]["error"]["message"]
    assert "data: require_pass: 4 in sum; up to 3 here" in told[1]["error"]["message"]


REMOVALS = """
import shutil, sys, threading
rmtree = shutil.rmtree
def told(path, *arguments, **more):
    rmtree(path, *arguments, **more)
    if "/scratch/" in str(path):
        in_loop = str(threading.current_thread() is threading.main_thread()).lower()
        print('{"event": "removed", "in_loop": %s}' % in_loop, file=sys.stderr, flush=True)
shutil.rmtree = told
"""


def test_nobody_waits_while_the_files_of_tests_are_removed(tmp_path: Path, leftovers: None) -> None:
    files = package(1, **{"data/secret/0001.files/" + "d/" * 9 + "it": b""})
    with serving(tmp_path, change=REMOVALS) as daemon:
        with daemon.client() as client:
            assert judged(client, upload(client, zipped(files)), RIGHT)["verdict"] == "AC"
        assert daemon.wait_for("removed")["in_loop"] is False


def test_a_judging_that_is_deleted_is_not_judged_again(client: Client) -> None:
    problem = upload(client, zipped(package(1)))
    told = judged(client, problem, RIGHT)
    client.call("judge.delete", judging=told["judging"])
    with pytest.raises(NotFoundError):
        client.call("judge.rejudge", judging=told["judging"])


def test_no_name_of_a_file_makes_a_judge_error(client: Client) -> None:
    problem = upload(client, zipped(package(1)))
    names = ["a.xyz", "-o.py", "d/" * 31 + "x" * 200 + ".py", "@list.py"]
    found = [
        client.call(
            "judge.result",
            judging=client.call("judge.submit", problem=problem, files={name: RIGHT})["judging"],
            wait_seconds=60.0,
        )
        for name in names
    ]
    assert [one["verdict"] for one in found] == ["CE"] * 4
    with pytest.raises(SpecError, match="over 32 levels"):
        client.call("judge.submit", problem=problem, files={"d/" * 32 + "a.py": RIGHT})
