"""Dialogues over RPC: told with their tests where that was asked for, and bounded."""

from pathlib import Path
from typing import Any

from judge.service.contest import upload, zipped
from server.daemon import PATIENCE_SECONDS, Client

from sandbox.judge.service.dialogues import Dialogues
from sandbox.judge.verdict import Outcome

GUESS = Path(__file__).resolve().parents[3] / "examples" / "problems" / "draft" / "guess"
BISECT = (GUESS / "submissions" / "accepted" / "bisect.py").read_bytes()


def told_tests(client: Client, **params: Any) -> list[dict[str, Any]]:
    told = client.call(**params, wait_seconds=PATIENCE_SECONDS)
    assert told["verdict"] == "AC", told
    events = client.call("judge.events", judging=told["judging"], most_bytes=1 << 18)["events"]
    return [event for event in events if event["event"] == "test"]


def test_a_dialogue_is_told_if_that_was_asked_for(client: Client) -> None:
    files = {
        str(path.relative_to(GUESS)): path.read_bytes()
        for path in GUESS.rglob("*")
        if path.is_file()
    }
    submit = {
        "method": "judge.submit", "problem": upload(client, zipped(files)),
        "files": {"a.py": BISECT}, "time_limit_seconds": 5.0, "key": "k",
    }  # fmt: skip
    assert all("transcript" not in test for test in told_tests(client, **submit))
    (old,) = client.call("judge.list")["judgings"]
    tests = told_tests(client, method="judge.rejudge", judging=old["judging"], transcribes=True)
    assert len(tests) == 5
    for test in tests:
        said = {"submission": b"", "validator": b""}
        for utterance in test["transcript"]:
            said[utterance["by"]] += utterance["data"]
        guesses, replies = said["submission"].split(), said["validator"].split()
        assert guesses[0].isdigit() and replies[-1] == b"correct"
        assert len(guesses) == len(replies)


def test_a_long_dialogue_is_cut_and_many_have_a_sum() -> None:
    pieces = tuple((0.1, "<>"[n % 2], b"x" * 100) for n in range(5000))
    outcome = Outcome("1", "AC", "", transcript=pieces)
    dialogues = Dialogues(100_000)
    sizes = [
        sum(len(utterance["data"]) + 64 for utterance in dialogues.of(outcome)["transcript"])
        for _ in range(9)
    ]
    assert max(sizes) <= 64 << 10 and 100_000 - 64 <= sum(sizes) <= 100_000
    single = Outcome("1", "AC", "", transcript=((0.1, ">", b"x" * (1 << 18)),))
    (first,) = Dialogues().of(single)["transcript"]
    assert len(first["data"]) == (64 << 10) - 64 and first["by"] == "submission"
