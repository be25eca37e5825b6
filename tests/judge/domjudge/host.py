"""A worker under test: a fake engine, a configuration, and what it logged until it was idle."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import trio
from judge.domjudge.contest import Judging
from judge.domjudge.fake import PASSWORD, USER, FakeServer
from judge.fakes import built

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.domjudge.api import Api
from sandbox.judge.domjudge.client import HttpClient, tls_context
from sandbox.judge.domjudge.config import Backoff, Config
from sandbox.judge.domjudge.credentials import Endpoint
from sandbox.judge.domjudge.worker import Worker
from sandbox.judge.execution import TimeLimit
from sandbox.judge.problem import Problem, Submission, Test
from sandbox.judge.verdict import Outcome, TestRun

__all__ = [
    "HOSTNAME",
    "PATIENCE_SECONDS",
    "Engine",
    "config_for",
    "outcome",
    "results",
    "run_worker",
]

HOSTNAME = "judge-1"
PATIENCE_SECONDS = 60


PROGRAM = built(Path("/nowhere"))._replace(output="a warning", seconds=0.25)


def outcome(verdict: str = "AC", **fields: Any) -> Outcome:
    """Of a run that took half a second."""
    runs = (TestRun(0.5, 0.75, 1 << 20, 0),)
    return Outcome(**{"test": "", "verdict": verdict, "why": f"it is {verdict}", "runs": runs,
                      "stdout": b"42\n", **fields})  # fmt: skip


class Engine:
    """Does as it is told: `build` and `outcomes` are results, or what is to be raised."""

    def __init__(self, *outcomes: Outcome | Exception, build: Any = None) -> None:
        self._outcomes, self._build = list(outcomes), build or PROGRAM
        self.built: list[tuple[Problem, Submission, dict[str, bytes]]] = []
        self.ran: list[tuple[Problem, bytes, bytes, TimeLimit]] = []
        self.during: Callable[[], Any] | None = None

    async def prepare(self, problem: Problem, submission: Submission) -> Any:
        files = {name: path.read_bytes() for name, path in submission.files}
        self.built.append((problem, submission, files))
        if isinstance(self._build, Exception):
            raise self._build
        assert isinstance(self._build, Built | NotBuilt)
        return self._build

    async def run_test(
        self, problem: Problem, built: Built, test: Test, limit: TimeLimit
    ) -> Outcome:
        assert built is self._build and test.input is not None
        self.ran.append((problem, test.input.read_bytes(), test.answer.read_bytes(), limit))
        if self.during is not None:
            await self.during()
        result = self._outcomes.pop(0) if self._outcomes else outcome()
        if isinstance(result, Exception):
            raise result
        return result


def config_for(server: FakeServer, directory: Path, **changes: Any) -> Config:
    """A configuration that waits for nothing long."""
    return Config(
        **{
            "endpoint": Endpoint("fake", server.url, USER, PASSWORD), "hostname": HOSTNAME,
            "directory": directory, "idle_seconds": 0.001, "answer_bytes": 1 << 20,
            "backoff": Backoff(3, 0.001, 0.002), **changes,
        }
    )  # fmt: skip


def run_worker(
    server: FakeServer,
    engine: Engine,
    directory: Path,
    *,
    until: Sequence[str] = ("idle", "disabled"),
    on: Callable[[str, Worker], None] | None = None,
    **changes: Any,
) -> list[dict[str, Any]]:
    """Its log, when it has logged one of `until` and then ended as it should.

    `on` is called with each event. The server has had no request that is not of its API.
    """
    events: list[dict[str, Any]] = []
    config = config_for(server, directory, **changes)
    directory.mkdir(exist_ok=True)

    async def main() -> None:
        http = HttpClient(
            config.endpoint, tls_context(None), request_seconds=config.request_seconds,
            answer_bytes=config.answer_bytes, backoff=config.backoff,
        )  # fmt: skip
        async with http:
            worker = Worker(config, Api(http, HOSTNAME), engine, log)

            def log_event(event: str, **fields: Any) -> None:
                events.append({"event": event, **fields})
                if on is not None:
                    on(event, worker)
                if event in until:
                    worker.stop()

            loggers.append(log_event)
            with trio.fail_after(PATIENCE_SECONDS):
                await worker.run()

    loggers: list[Callable[..., None]] = []

    def log(event: str, **fields: Any) -> None:
        loggers[0](event, **fields)

    trio.run(main)
    assert server.complaints == []
    return events


def results(judging: Judging) -> list[str]:
    """What was reported of it, in the order of its tests."""
    return [judging.results[task]["runresult"] for task in sorted(judging.results)]
