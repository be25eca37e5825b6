"""Peers of a server that send it whatever they like, and read what it answers."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from sandbox.server import methods
from sandbox.server.method import Method, Param
from sandbox.server.tenants import new_token
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, Notification, Request, Response, encode
from sandbox.wire.values import REQUIRED

__all__ = [
    "ABSENT", "PATIENCE_SECONDS", "SHA256", "TOKENS", "Peer", "job_of", "required", "running",
    "valid", "with_patience",
]  # fmt: skip

PATIENCE_SECONDS = 60
TOKENS = {name: new_token() for name in ("judge", "ci")}
ABSENT = "0" * 22  # the id of no job
SHA256 = "0" * 64  # of no blob
RIGHT = {"text": "x", "data": b"", "integer": 1, "number": 1.0, "flag": True, "array": []}

assert methods  # importing it declares them


def job_of(*words: str, **fields: Any) -> dict[str, Any]:
    """A job as it goes over the wire; the first word is one of the programs below."""
    return {"command": list(words), **fields}


class Peer:
    """One end of a connection: sends bytes, and reads messages as they come."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._decoder = Decoder(FRAME_BYTES)
        self._msgid = 0
        self.answers: dict[int, Response] = {}
        self.notifications: list[Notification] = []

    async def send(self, *messages: Message | bytes) -> None:
        """Send messages, or bytes as they are."""
        data = b"".join(m if isinstance(m, bytes) else encode(m) for m in messages)
        await self.stream.send_all(data)

    async def begin(self, method: str, *params: Any, **fields: Any) -> int:
        """Send a call with these params, or one map of fields; its msgid."""
        self._msgid += 1
        await self.send(Request(self._msgid, method, params or (fields,)))
        return self._msgid

    async def answer(self, msgid: int) -> Response:
        """The answer to that call."""
        while msgid not in self.answers:
            await self.next()
        return self.answers.pop(msgid)

    async def ask(self, method: str, *params: Any, **fields: Any) -> Response:
        """Call, and wait for the answer."""
        return await self.answer(await self.begin(method, *params, **fields))

    async def call(self, method: str, *params: Any, **fields: Any) -> Any:
        """What a call answers that must succeed."""
        answer = await self.ask(method, *params, **fields)
        assert answer.error is None, answer.error
        return answer.result

    async def refused(self, method: str, *params: Any, **fields: Any) -> dict[str, Any]:
        """The error of a call that must fail."""
        answer = await self.ask(method, *params, **fields)
        assert answer.error is not None, answer.result
        return answer.error

    async def submit(self, *words: str, **fields: Any) -> str:
        """The id of a job of these words."""
        fields = {"durability": "memory", **fields}
        return (await self.call("job.submit", job=job_of(*words), **fields))["job"]

    async def next(self) -> Message:
        """Read one message more. Raises EndOfChannel: the server has closed."""
        while (message := self._decoder.next_message()) is None:
            data = await self.stream.receive_some(1 << 16)
            if not data:
                self._decoder.end()
                raise trio.EndOfChannel
            self._decoder.feed(data)
        if isinstance(message, Response):
            assert message.msgid not in self.answers, "two answers to one call"
            self.answers[message.msgid] = message
        elif isinstance(message, Notification):
            self.notifications.append(message)
        return message

    async def notified(self, method: str) -> dict[str, Any]:
        """The next notification of that name."""
        while not (found := [n for n in self.notifications if n.method == method]):
            await self.next()
        self.notifications.remove(found[0])
        return found[0].params[0]

    async def last_word(self) -> dict[str, Any]:
        """Read until the server closes; the error that it said last."""
        try:
            while True:
                await self.next()
        except trio.EndOfChannel:
            return self.notifications[-1].params[0]

    async def must_be_well(self) -> None:
        """The server still answers, and still runs jobs."""
        status = await self.call(
            "job.submit", job=job_of("true"), durability="memory", wait_seconds=60.0
        )
        assert status["state"] == "ended", status["error"]


def valid(name: str, param: Param) -> Any:
    """A value that the method reads without complaint."""
    if param.kind == "choice":
        return param.bounds["choices"][0]
    if param.kind == "table":
        return job_of("true")
    known = {"job": ABSENT, "sha256": SHA256}
    return known.get(name, RIGHT[param.kind])


def required(method: Method) -> dict[str, Any]:
    """Values of the parameters that a method must have."""
    params = method.params.items()
    return {name: valid(name, param) for name, param in params if param.default is REQUIRED}


@contextlib.contextmanager
def running(directory: Path, *options: object) -> Iterator[str]:
    """A daemon that keeps all it has in `directory`; where it listens, as its log says it."""
    places = ("--socket", directory / "socket", "--state", directory / "state")
    command = [sys.executable, "-m", "sandbox", "serve", *places, *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = next(line for line in process.stderr if " listening " in line)
            yield line
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_SECONDS)


def with_patience(main: object) -> None:
    async def bounded() -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            await main()  # type: ignore[operator]

    trio.run(bounded)
