"""The load generator, against a daemon that is none: it must count right, and lose nothing."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from bench.caller import Caller, notification, run_jobs

GOOD = {"state": "ended", "error": None, "result": {"exit_code": 0}}
BAD = {"state": "ended", "error": None, "result": {"exit_code": 3}}
Answer = Callable[[list[Any]], bytes]


class Server:
    """Answers every call by `answer`, on as many connections as there are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer: Answer = lambda call: msgpack.packb([1, call[1], None, GOOD])
        self.calls: list[tuple[int, Any]] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        unpacker = msgpack.Unpacker()
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                unpacker.feed(data)
                for call in unpacker:
                    self.calls.append((peer.fileno(), call))
                    peer.sendall(self.answer(call))

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with contextlib.closing(Server(tmp_path / "socket")) as server:
        yield server


def callers(server: Server, count: int) -> list[Caller]:
    return [Caller(server.path) for _ in range(count)]


@pytest.mark.parametrize(("clients", "jobs"), [(1, 1), (1, 7), (4, 7), (7, 7), (9, 7)])
def test_so_many_jobs_are_run_and_timed_by_any_number_of_clients(
    server: Server, clients: int, jobs: int
) -> None:
    run = run_jobs(callers(server, clients), jobs, {"command": ["true"]})
    assert len(run.seconds) == len(server.calls) == jobs
    assert len({peer for peer, _ in server.calls}) == min(clients, jobs)
    assert 0 < max(run.seconds) <= run.passed_seconds


def test_those_beside_run_until_the_counted_are_done_and_end_theirs(server: Server) -> None:
    flood, some = callers(server, 3), callers(server, 2)
    run = run_jobs(some, 20, {"command": ["true"]}, flood)
    assert len(run.seconds) == 20
    assert len(server.calls) >= 20 + 3
    assert [caller.call("server.hello") for caller in (*flood, *some)] == [GOOD] * 5


def test_a_job_that_fails_ends_the_run(server: Server) -> None:
    server.answer = lambda call: msgpack.packb([1, call[1], None, BAD])
    with pytest.raises(RuntimeError, match="exit_code"):
        run_jobs(callers(server, 1), 1, {"command": ["false"]})


def test_an_error_is_raised_and_what_is_pushed_before_an_answer_is_skipped(server: Server) -> None:
    (caller,) = callers(server, 1)
    server.answer = lambda call: (
        notification("stream.data", data=b"x") + msgpack.packb([1, call[1], None, "answer"])
    )
    assert caller.call("server.hello") == "answer"
    server.answer = lambda call: msgpack.packb([1, call[1], {"code": "refused"}, None])
    with pytest.raises(RuntimeError, match="refused"):
        caller.call("server.hello")


def test_a_daemon_that_goes_away_is_told(server: Server) -> None:
    (caller,) = callers(server, 1)

    def hang_up(_call: list[Any]) -> bytes:
        raise OSError

    server.answer = hang_up
    with pytest.raises(EOFError):
        caller.call("server.hello")
