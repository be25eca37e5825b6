"""The worker's life: faults of the server, the end, the jury's questions."""

import base64
import io
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest
import trio
from judge.domjudge.contest import Judging
from judge.domjudge.fake import FakeServer, Fault, Reply
from judge.domjudge.host import (
    HOSTNAME,
    PATIENCE_SECONDS,
    Engine,
    config_for,
    outcome,
    results,
    run_worker,
)
from trio.testing import wait_all_tasks_blocked

from sandbox.judge.domjudge.client import ServerError
from sandbox.judge.domjudge.worker import Worker, work
from sandbox.spec.errors import SpecError

TESTS = [(b"1 2\n", b"3\n"), (b"2 2\n", b"4\n"), (b"3 2\n", b"5\n")]
PAGE = Reply(body=b"<html>maintenance</html>")
PLACES = [
    "judgehosts/fetch-work", "judgehosts/add-judging-run", "judgehosts/update-judging",
    "judgehosts/get_files/source", "judgehosts/get_files/testcase", "judgehosts/get_files/run",
    "config", "judgehosts",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fault", [
    Fault("", Reply(500, {"message": "deadlock found"})), Fault("", PAGE), Fault("", "reset"),
    Fault("", "reset", is_after=True), Fault("", "hang"), Fault("", Reply(503), count=7),
], ids=["500", "page", "reset", "reset-after", "hang", "503 for long"])  # fmt: skip
def test_a_server_that_fails_for_a_while_gets_every_run_in_the_end(
    tmp_path: Path, place: str, fault: Fault
) -> None:
    judging, engine = Judging(7, TESTS), Engine()
    with FakeServer(judging) as server:
        server.faults = [fault._replace(path=place)]
        run_worker(server, engine, tmp_path, request_seconds=0.3)
        assert server.faults == [] and server.errors == []
    assert results(judging) == ["correct"] * 3


def test_a_server_that_is_started_anew_finds_the_worker_again(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine()
    server = FakeServer(judging)

    async def restart() -> None:
        if len(engine.ran) == 2:
            await trio.to_thread.run_sync(server.__exit__)

    def on(event: str, _: Worker) -> None:
        if event == "server_failed" and len(engine.ran) == 2:
            server.__enter__()

    engine.during = restart
    server.__enter__()
    try:
        run_worker(server, engine, tmp_path, on=on)
    finally:
        server.__exit__()
    assert results(judging) == ["correct"] * 3
    assert len(engine.built) == 1, "what was compiled is still there"


def test_work_that_was_taken_away_is_left_and_the_next_is_done(tmp_path: Path) -> None:
    taken, next_one, engine = Judging(7, TESTS), Judging(8, TESTS), Engine()
    with FakeServer(taken, next_one) as server:

        async def take() -> None:
            server.judgings[7].is_full = False
            if len(engine.ran) == 1:
                server.assigned.clear()
                taken.rows.clear()
                taken.rows.append({"judgetaskid": 701})
                taken.compiled.append({"compile_success": "0"})

        engine.during = take
        run_worker(server, engine, tmp_path)
        assert server.errors == []
    assert taken.results == {}
    assert results(next_one) == ["correct"] * 3


def test_a_password_that_is_not_taken_ends_the_worker(tmp_path: Path) -> None:
    with FakeServer() as server:
        config = config_for(server, tmp_path)
        wrong = config._replace(endpoint=config.endpoint._replace(password="battery staple"))
        with pytest.raises(ServerError, match=r"401: Unauthorized \(check the credentials\)"):
            trio.run(work, wrong, Engine(), lambda *_, **__: None)


def test_sigterm_ends_the_run_of_now_and_gives_back_the_rest(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine()

    async def end() -> None:
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep(0)

    engine.during = end
    events: list[dict[str, Any]] = []
    with FakeServer(judging) as server:
        config = config_for(server, tmp_path)
        with_patience(work, config, engine, lambda event, **fields: events.append({
            "event": event, **fields}))  # fmt: skip
        assert server.assigned == {701}
    assert results(judging) == ["correct"]
    assert events[-2:] == [{"event": "given_back", "judging": "7"}, {"event": "stopped"}]


def test_a_second_signal_gives_back_the_run_of_now_too(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine()

    async def never_ends() -> None:
        signal.raise_signal(signal.SIGTERM)
        await wait_all_tasks_blocked()  # two at once would be taken as one
        signal.raise_signal(signal.SIGTERM)
        await trio.sleep_forever()

    engine.during = never_ends
    with FakeServer(judging) as server:
        with_patience(work, config_for(server, tmp_path), engine, lambda *_, **__: None)
        assert server.assigned == set()
    assert judging.results == {}


def test_it_ends_while_the_server_is_away(tmp_path: Path) -> None:
    server = FakeServer()
    with server:
        pass  # nobody listens at its port any more
    events = run_worker(server, Engine(), tmp_path, until=["server_failed"])
    assert [event["event"] for event in events[-2:]] == ["not_given_back", "stopped"]


def test_two_workers_do_not_share_a_directory(tmp_path: Path) -> None:
    async def main() -> None:
        async def second() -> None:
            with pytest.raises(SpecError, match="another worker has it"):
                await work(config_for(server, tmp_path), Engine(), lambda *_, **__: None)
            signal.raise_signal(signal.SIGTERM)

        engine = Engine()
        engine.during = second
        await work(config_for(server, tmp_path), engine, lambda *_, **__: None)

    with FakeServer(Judging(7, TESTS)) as server:
        with_patience(main)


def test_a_disabled_judgehost_waits_and_says_so(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine()
    with FakeServer(judging) as server:
        server.enabled[HOSTNAME] = False
        run_worker(server, engine, tmp_path, until=["disabled"])
    assert judging.results == {} and engine.built == []


def test_what_another_judgehost_was_quicker_to_take_is_asked_for_again(tmp_path: Path) -> None:
    judging, engine = Judging(7, TESTS), Engine()
    with FakeServer(judging, rows=({"type": "try_again"},)) as server:
        run_worker(server, engine, tmp_path)
    assert results(judging) == ["correct"] * 3


def test_what_is_prefetched_needs_not_be_fetched_when_it_is_judged(tmp_path: Path) -> None:
    judging = Judging(7, TESTS)
    row = judging.rows[0]
    prefetch = {"type": "prefetch", "judgetaskid": 1, "testcase_id": row["testcase_id"],
                "testcase_hash": row["testcase_hash"]}  # fmt: skip
    scripts = {key: row[key] for key in
               ("run_script_id", "run_config", "compare_script_id", "compare_config")}  # fmt: skip
    with FakeServer(judging, rows=(prefetch | scripts,)) as server:
        run_worker(server, Engine(), tmp_path)
        requests = server.requests
    first_source = requests.index("GET judgehosts/get_files/source/7")
    for path in ("testcase/701", "run/71", "compare/72"):
        fetched = f"GET judgehosts/get_files/{path}"
        assert requests.count(fetched) == 1 and requests.index(fetched) < first_source


def test_the_jury_gets_the_whole_output_and_the_package_of_a_judging(tmp_path: Path) -> None:
    judging, output = Judging(7, TESTS[:1]), b"x" * 100000
    with FakeServer(judging) as server:
        run_worker(server, Engine(outcome(stdout=output)), tmp_path)
        server.packets = [
            [judging.debug_row(1, testcase_id="701")],
            [judging.debug_row(2, run_script_id="3", run_config='{"hash": ""}')],
            [judging.debug_row(3, testcase_id="799")],
        ]
        events = run_worker(server, Engine(), tmp_path)
        assert base64.b64decode(server.debug[1]["output_run"]) == output
        with tarfile.open(fileobj=io.BytesIO(base64.b64decode(server.debug[2]["full_debug"]))) as t:
            found = {Path(name).relative_to("7-uuid-of-7").as_posix() for name in t.getnames()}
        assert found >= {"source/main.cpp", "compilation/output", "test-701/stdout"}
        assert 3 not in server.debug
    assert "not_kept" in [event["event"] for event in events]


def with_patience(function: Any, *arguments: Any) -> None:
    async def main() -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await function(*arguments)

    trio.run(main)
