"""JudgeClient and AsyncJudgeClient, against a real service, and one that is killed meanwhile."""

import doctest
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from judge.service.contest import HELD_AFTER_A_TEST, RIGHT, WRONG, package, restart, tarred, zipped
from server.daemon import Daemon

import sandbox
from sandbox import AsyncClient, AsyncJudgeClient, Client, JudgeClient
from sandbox.client import aio_judge, judge, judge_calls
from sandbox.spec.errors import ProtocolError, RefusedError, SpecError
from sandbox.wire.errors import InvalidParamsError, NotFoundError

ROOT = Path(sandbox.__file__).resolve().parents[1]
LOOPS = b"while True: pass\n"


@pytest.fixture
def caller(daemon: Daemon) -> Iterator[Client]:
    with Client(f"unix:{daemon.socket}") as client:
        yield client


@pytest.fixture
def judging(caller: Client) -> JudgeClient:
    return JudgeClient(caller)


def told(handle: judge.JudgingHandle, number: int = 0) -> list[str]:
    return [event.event for event in handle.events(number)]


def test_a_submission_is_judged_and_each_test_is_told(judging: JudgeClient) -> None:
    handle = judging.submit(zipped(package()), {"a.py": WRONG}, label="mine", all_tests=True)
    events = list(handle.events())
    assert [event.event for event in events] == ["begun", "test", "test", "test", "ended"]
    verdicts = {event.values["test"]: event.values["verdict"] for event in events[1:-1]}
    assert verdicts == {"secret/0001": "AC", "secret/0002": "WA", "secret/0003": "WA"}
    result = handle.result()
    assert (result.verdict, result.tests, result.language) == ("WA", {"AC": 1, "WA": 2}, "python3")
    status = handle.status()
    assert (status.state, status.label, status.is_over) == ("ended", "mine", True)
    assert status.result == result and handle.wait(0.0) == status
    for place, event in enumerate(events):
        assert list(handle.events(event.next_number)) == events[place + 1 :]


def test_what_is_sent_may_be_files_and_large(judging: JudgeClient, tmp_path: Path) -> None:
    archive, source = tmp_path / "double.tar.gz", tmp_path / "double.py"
    archive.write_bytes(
        tarred(package(1) | {"problem.yaml": b"limits: {code: 4000, time_limit: 2}\n"})
    )
    source.write_bytes(RIGHT)
    comment = b"#" * 400_000
    files = {"a.py": source, "b.py": comment, "c.py": comment, "d.py": comment}
    handle = judging.submit(archive, files, entry_point="a.py")
    assert handle.result().verdict == "AC"
    with pytest.raises(SpecError):
        judging.submit(tmp_path / "absent.zip", files)


def test_the_same_key_is_the_same_judging_and_none_is_another(judging: JudgeClient) -> None:
    problem = judging._client.blob(zipped(package(1)))
    first = judging.submit(problem, {"a.py": RIGHT}, key="7")
    assert judging.submit(problem, {"a.py": RIGHT}, key="7").id == first.id
    with pytest.raises(InvalidParamsError, match="key"):
        judging.submit(problem, {"a.py": WRONG}, key="7")
    other = judging.submit(problem, {"a.py": RIGHT})
    assert [one.judging for one in judging.judgings()] == [first.id, other.id]
    again = first.rejudge(label="again")
    assert again.result().verdict == "AC"
    assert [one.rejudge_of for one in judging.judgings("ended")][-1] == first.id
    first.wait()
    first.delete()
    with pytest.raises(NotFoundError):
        judging.judging(first.id).status()


def test_one_that_is_cancelled_has_no_result(judging: JudgeClient) -> None:
    handle = judging.submit(zipped(package()), {"a.py": LOOPS}, time_limit_seconds=600.0)
    with pytest.raises(RefusedError, match="cancel it first"):
        handle.delete()
    assert not handle.wait(0.0).is_over
    handle.cancel()
    with pytest.raises(RefusedError, match="was cancelled"):
        handle.result()
    assert told(handle)[-1] == "cancelled"


def test_what_is_wrong_with_a_package_is_raised(judging: JudgeClient) -> None:
    handle = judging.submit(b"no archive", {"a.py": RIGHT})
    with pytest.raises(SpecError) as caught:
        handle.result()
    assert caught.value.field == "problem"
    assert handle.status().state == "failed"


def test_languages_are_told(judging: JudgeClient) -> None:
    assert any(one["code"] == "python3" for one in judging.languages()["languages"])


@pytest.mark.parametrize("loses_events", [False, True])
def test_events_go_on_when_the_service_was_killed(
    daemon: Daemon, judging: JudgeClient, loses_events: bool
) -> None:
    restart(daemon, HELD_AFTER_A_TEST)
    handle = judging.submit(zipped(package()), {"a.py": RIGHT})
    events = []
    for event in handle.events():
        events.append(event.event)
        if events == ["begun", "test"]:
            daemon.kill()
            if loses_events:  # a loss of power: they were told, and not over
                for path in daemon.state.glob("judge/*/judgings/*/events"):
                    path.write_bytes(b"")
            daemon.start()
    assert events == ["begun", "test", "begun", "test", "test", "test", "ended"]
    assert handle.status().runs == 2
    assert len(list(judging.judgings())) == 1


def test_events_and_a_wait_go_on_with_the_next_service(
    daemon: Daemon, judging: JudgeClient
) -> None:
    restart(daemon, HELD_AFTER_A_TEST)
    handle = judging.submit(zipped(package()), {"a.py": RIGHT})
    ended = threading.Thread(target=lambda: (daemon.drain(), daemon.start()))
    events = []
    for event in handle.events():
        events.append(event.event)
        if events == ["begun", "test"]:
            ended.start()
    ended.join()
    assert events == ["begun", "test", "begun", "test", "test", "test", "ended"]
    assert handle.wait().verdict == "AC"


def test_a_submit_whose_answer_was_lost_is_judged_once(
    daemon: Daemon, judging: JudgeClient
) -> None:
    problem = judging._client.blob(zipped(package(1)))
    daemon.drain()
    # It is accepted, and the server dies before it says so.
    daemon.start(
        change="""
import os
from sandbox.judge.service.judgings import Judgings
submit = Judgings.submit
async def dies(*arguments):
    await submit(*arguments)
    os._exit(1)
Judgings.submit = dies
"""
    )

    def start_again() -> None:
        daemon.ended()
        daemon.start()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, start_again)
            handle = await trio.to_thread.run_sync(judging.submit, problem, {"a.py": RIGHT})
            assert (await trio.to_thread.run_sync(handle.result)).verdict == "AC"

    trio.run(main)
    assert len(list(judging.judgings())) == 1


def test_the_trio_client_does_the_same(daemon: Daemon, tmp_path: Path) -> None:
    archive = tmp_path / "double.zip"
    archive.write_bytes(zipped(package(2)))
    verdicts = []

    async def one(judging: AsyncJudgeClient, source: bytes) -> None:
        handle = await judging.submit(archive, {"a.py": source})
        kinds = [event.event async for event in handle.events()]
        assert kinds[0] == "begun" and kinds[-1] == "ended"
        verdicts.append((await handle.result()).verdict)
        assert (await handle.wait(0.0)).is_over and (await handle.status()).is_over

    async def main() -> None:
        async with AsyncClient(f"unix:{daemon.socket}") as client:
            judging = AsyncJudgeClient(client)
            async with trio.open_nursery() as nursery:
                for source in (RIGHT, WRONG):
                    nursery.start_soon(one, judging, source)
            found = [one async for one in judging.judgings()]
            again = await judging.judging(found[0].judging).rejudge()
            await again.cancel()
            await again.wait()
            await again.delete()
            assert (await judging.languages())["languages"]
            assert len(found) == 2

    trio.run(main)
    assert sorted(verdicts) == ["AC", "WA"]


@pytest.mark.parametrize("module", [judge, aio_judge])
def test_the_examples_of_a_module_are_true(module, daemon: Daemon, monkeypatch, caller) -> None:
    monkeypatch.setenv("SANDBOX_HOST", f"unix:{daemon.socket}")
    files = {name.replace("000", ""): data for name, data in package(1).items()}
    names = {"client": caller, "package": zipped(files), "trio": trio,
             "AsyncClient": AsyncClient, "AsyncJudgeClient": AsyncJudgeClient}  # fmt: skip
    runner, said, count = doctest.DocTestRunner(), [], 0
    for test in doctest.DocTestFinder().find(module, extraglobs=names):
        assert runner.run(test, out=said.append).failed == 0, "".join(said)
        count += len(test.examples)
    assert count > 1


def test_the_program_on_the_page_does_what_it_says(daemon: Daemon, tmp_path: Path) -> None:
    (program,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "judge-rpc.md").read_text(), re.DOTALL
    )
    (tmp_path / "double.zip").write_bytes(zipped(package(2)))
    (tmp_path / "double.py").write_bytes(WRONG)
    environment = {"SANDBOX_HOST": f"unix:{daemon.socket}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **environment},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *tests, verdict = done.stdout.splitlines()
    assert set(tests) <= {"secret/0001 AC", "secret/0002 WA"} and verdict == "WA"


STATUS = {"judging": "1", "state": "running", "problem": "0"}


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (judge_calls.status("1"), {}),
        (judge_calls.status("1"), {**STATUS, "state": "over"}),
        (judge_calls.status("1"), {**STATUS, "state": "ended"}),
        (judge_calls.status("1"), {**STATUS, "state": "failed"}),
        (judge_calls.status("1"), {**STATUS, "score": float("nan")}),
        (judge_calls.status("1"), {**STATUS, "result": {"verdict": 7}}),
        (judge_calls.judgings(None, None), {"judgings": [7]}),
        (judge_calls.events("1", 0), {"events": [], "next": 0}),
        (judge_calls.events("1", 0), {"events": [{}], "next": 0, "is_end": True}),
        (judge_calls.events("1", 0), {"events": 7, "next": 0, "is_end": True}),
        (judge_calls.events("1", 0), 7),
    ],
)
def test_an_answer_of_another_form_is_said_to_be_none(call, answer) -> None:
    with pytest.raises(ProtocolError, match="in a reply"):
        call.read(answer)
