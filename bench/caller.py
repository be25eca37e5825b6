"""Bare blocking connections to a daemon: so little Python that the daemon is what is measured."""

import select
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

__all__ = [
    "Caller", "Run", "checked", "notification", "request", "result_of", "run_jobs",
]  # fmt: skip

_RECEIVE_BYTES = 256 << 10
_WAIT_SECONDS = 60.0
_MESSAGE_BYTES = 1 << 20
_PATIENCE_SECONDS = 120.0


class Run(NamedTuple):
    """What became of many jobs."""

    seconds: list[float]  # of each, from its submit to its result
    passed_seconds: float  # until the last of them


class Caller:
    """One connection, and one call at a time on it; notifications are kept for who asks."""

    def __init__(self, where: Path | tuple[str, int], token: str | None = None) -> None:
        """`where`: a unix socket, or a host and port for those who have a token."""
        family = socket.AF_INET if isinstance(where, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        # Before it has a timeout: with one, a full backlog is an error.
        self.socket.connect(where if isinstance(where, tuple) else str(where))
        self.socket.settimeout(_PATIENCE_SECONDS)
        if family == socket.AF_INET:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unpacker = msgpack.Unpacker(strict_map_key=False, max_buffer_size=2 * _MESSAGE_BYTES)
        if token is not None:
            self.call("server.hello", token=token)

    def close(self) -> None:
        self.socket.close()

    def call(self, method: str, **params: Any) -> Any:
        """The result of a method. RuntimeError: its error."""
        self.send(request(method, **params))
        while (message := self.message())[0] != 1:
            pass  # what is pushed meanwhile is dropped: who wants it calls `send` and `message`
        return result_of(message)

    def send(self, data: bytes) -> None:
        """Send what `request` made."""
        self.socket.sendall(data)

    def message(self) -> Any:
        """The next message: waits for it. EOFError: there is none."""
        while True:
            for message in self._unpacker:
                return message
            self._receive()

    def ready_messages(self) -> list[Any]:
        """All that one read brings."""
        self._receive()
        return list(self._unpacker)

    def _receive(self) -> None:
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise EOFError("the daemon has closed the connection")
        self._unpacker.feed(data)

    def run(self, job: dict[str, Any], **options: Any) -> Any:
        """Run a job to its end: its status. RuntimeError: it did not exit with 0."""
        return checked(self.call("job.submit", job=job, wait_seconds=_WAIT_SECONDS, **options))


def request(method: str, msgid: int = 0, **params: Any) -> bytes:
    """A call as bytes. One at a time on a connection, so all may have the same msgid."""
    return msgpack.packb([0, msgid, method, [params]])


def notification(method: str, **params: Any) -> bytes:
    """A message that nobody answers, as bytes."""
    return msgpack.packb([2, method, [params]])


def result_of(message: Any) -> Any:
    """The result in a response. RuntimeError: its error."""
    _, _, error, result = message
    if error is not None:
        raise RuntimeError(f"the daemon answers {error}")
    return result


def checked(status: Any) -> Any:
    """The status of a job that has exited with 0. RuntimeError: of another."""
    result, error = status["result"], status["error"]
    if result is None or result["exit_code"] != 0:
        raise RuntimeError(f"a job came to {status['state']}: {error or result}")
    return status


def run_jobs(
    callers: Sequence[Caller], jobs: int, job: dict[str, Any], beside: Sequence[Caller] = ()
) -> Run:
    """Run so many of `job`: each caller submits its next one when it has a result.

    `beside`: callers that do the same until then, uncounted; then they end theirs. One loop serves
    all of them.
    """
    submit = request("job.submit", job=job, wait_seconds=_WAIT_SECONDS)
    counted = {caller.socket.fileno(): caller for caller in callers}
    flood = {caller.socket.fileno(): caller for caller in beside}
    started_at: dict[int, float] = {}
    seconds: list[float] = []
    left = jobs

    def start(fd: int, caller: Caller) -> None:
        started_at[fd] = time.perf_counter()
        caller.send(submit)

    with select.epoll() as poll:
        for fd, caller in flood.items():
            poll.register(fd, select.EPOLLIN)
            start(fd, caller)
        began_at = time.perf_counter()
        passed_seconds = 0.0
        for fd, caller in counted.items():
            poll.register(fd, select.EPOLLIN)
            if left:
                left -= 1
                start(fd, caller)
        while started_at:
            events = poll.poll(_PATIENCE_SECONDS)
            if not events:
                raise TimeoutError("the daemon does not answer")
            for fd, _ in events:
                caller = flood.get(fd) or counted[fd]
                for message in caller.ready_messages():
                    checked(result_of(message))
                    ended_at, job_started_at = time.perf_counter(), started_at.pop(fd)
                    if fd in flood:
                        if len(seconds) < jobs:
                            start(fd, caller)
                        continue
                    seconds.append(ended_at - job_started_at)
                    if left:
                        left -= 1
                        start(fd, caller)
                    if len(seconds) == jobs:
                        passed_seconds = ended_at - began_at
    return Run(seconds, passed_seconds)
