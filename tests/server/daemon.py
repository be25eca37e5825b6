"""`sandbox serve` as a process of its own, to be talked to, killed and started again."""

import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.wire.errors import error_from_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Notification, Request, Response, encode

__all__ = ["PATIENCE_SECONDS", "Client", "Daemon", "command", "holding", "over", "serving"]

PATIENCE_SECONDS = 60
TESTS = Path(__file__).resolve().parents[1]

# Changes the daemon before it starts.
CHANGED = """
import sys
sys.path.insert(0, {tests!r})
{change}
from sandbox.cli.main import main
sys.argv[0] = "sandbox"
main()
"""
HELD = """
import importlib, trio
module, _, names = {place!r}.partition(":")
*path, name = names.split(".")
owner = importlib.import_module(module)
for step in path:
    owner = getattr(owner, step)
async def held(*_, **__):
    print('{{"event": "held"}}', file=sys.stderr, flush=True)
    await trio.sleep_forever()
setattr(owner, name, held)
"""


def holding(place: str) -> str:
    """A change: the daemon goes no further than the async function "module:name", and says so."""
    return HELD.format(place=place)


def command(script: str, **fields: Any) -> dict[str, Any]:
    """A job, as it goes over the wire, that runs a shell script."""
    return {"command": ["/bin/sh", "-c", script], **fields}


def over(status: dict[str, Any]) -> bool:
    """Whether a job's status tells its end."""
    return status["state"] in ("ended", "failed", "lost")


class Client:
    """One connection: calls, answers as they come, and notifications."""

    def __init__(self, path: Path) -> None:
        """Raises OSError: nobody listens at `path`."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._decoder = Decoder(FRAME_BYTES)
        self._answers: dict[int, Response] = {}
        self._msgid = 0
        self.notifications: list[Notification] = []
        try:
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise

    def call(self, method: str, **params: Any) -> Any:
        """The answer to a call. Raises what the server answers instead: a SandboxError."""
        return self.answer(self.begin(method, **params))

    def begin(self, method: str, **params: Any) -> int:
        """Send a call; its number, for `answer`."""
        self._msgid += 1
        self._socket.sendall(encode(Request(self._msgid, method, (params,))))
        return self._msgid

    def answer(self, msgid: int) -> Any:
        """The answer to that call. Raises ConnectionError: the server went first."""
        while msgid not in self._answers:
            self._receive()
        answer = self._answers.pop(msgid)
        if answer.error is not None:
            raise error_from_map(answer.error)
        return answer.result

    def notified(self, method: str) -> dict[str, Any]:
        """The first notification of that name, which may not have come yet."""
        while not (found := [note for note in self.notifications if note.method == method]):
            self._receive()
        return found[0].params[0]

    def submit(self, job: dict[str, Any], **params: Any) -> dict[str, Any]:
        """A job's status, at its submit or, with `wait_seconds`, at its end."""
        return self.call("job.submit", job=job, **params)

    def wait(self, job: str) -> dict[str, Any]:
        """A job's status at its end."""
        status = self.call("job.wait", job=job, wait_seconds=PATIENCE_SECONDS)
        assert over(status), f"it has not ended: {status}"
        return status

    def read(self, job: str, stream: str = "stdout") -> bytes:
        """All of an output, when its job is over."""
        data = b""
        while True:
            piece = self.call(
                "job.read", job=job, stream=stream, offset=len(data), wait_seconds=PATIENCE_SECONDS
            )
            data += piece["data"]
            if piece["is_end"]:
                return data

    def read_until(self, job: str, size_bytes: int, stream: str = "stdout") -> None:
        """Wait until a running job has written so much."""
        assert self.call(
            "job.read", job=job, stream=stream, offset=size_bytes - 1,
            wait_seconds=PATIENCE_SECONDS,
        )["data"]  # fmt: skip

    def wait_until_running(self, job: str) -> None:
        """Wait until its payload runs: a job says so to nobody who does not ask."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.call("job.stats", job=job)["jobs"][0]["processes"] is None:
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        """Go, as a client does that is killed."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _receive(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._decoder.feed(data)
        while (message := self._decoder.next_message()) is not None:
            if isinstance(message, Response):
                self._answers[message.msgid] = message
            elif isinstance(message, Notification):
                self.notifications.append(message)


class Daemon:
    """One state directory and socket, and the daemon that has them now."""

    def __init__(self, directory: Path, config: str = "") -> None:
        """`config`: what its serve.toml is to say."""
        self.directory = directory
        self.socket, self.state = directory / "socket", directory / "state"
        self.config = directory / "serve.toml"
        self.config.write_text(config)
        self.config.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None
        self.events: list[dict[str, Any]] = []
        self._noted = threading.Condition()
        self._reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Of the daemon that runs."""
        assert self.process is not None
        return self.process.pid

    def start(self, *options: str, change: str | None = None, wait: bool = True) -> None:
        """Start it; it listens when this returns, unless `wait` is false.

        `change`: what it is to do first, such as `holding` returns.
        """
        program = ["-m", "sandbox"]
        if change is not None:
            program = ["-c", CHANGED.format(tests=str(TESTS), change=change)]
        self.events = []
        self.process = subprocess.Popen(
            [sys.executable, *program, "serve", "--config", self.config, "--log", "json",
             "--socket", self.socket, "--state", self.state, *options],
            stderr=subprocess.PIPE, cwd=TESTS.parent,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read_events, args=(self.process,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_for("listening")

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """The `count`th event of that name since its start, as soon as it is logged."""
        with self._noted:
            found = self._noted.wait_for(
                lambda: self._named(event)[count - 1 :] or self._is_over(), PATIENCE_SECONDS
            )
            named = self._named(event)[count - 1 :]
            assert found and named, f"no {event}: {self.events}"
            return named[0]

    def client(self) -> Client:
        """A new connection to it."""
        return Client(self.socket)

    def early_client(self) -> Client:
        """A connection to one that starts: as soon as there is anything to connect to."""
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
                return Client(self.socket)
            assert time.monotonic() < end
            time.sleep(0.001)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.ended()

    def drain(self) -> int:
        """SIGTERM, and wait until it has ended: its exit code."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Wait until it has ended: its exit code, all its events read."""
        assert self.process is not None and self._reader is not None
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        self.process = None
        return code

    def close(self) -> None:
        """End what still runs, after a test that failed: at once, and in order if it can."""
        if self.process is not None:
            self.signal(signal.SIGCONT)
            for number in (signal.SIGTERM, signal.SIGINT):  # two of one kind may arrive as one
                self.signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.process.kill()
            self.ended()

    @contextlib.contextmanager
    def limited(self, what: int, most: int) -> Iterator[None]:
        """Let its own process have no more than that of a resource, prlimit(2)."""
        soft, hard = resource.prlimit(self.pid, what)
        resource.prlimit(self.pid, what, (most, hard))
        try:
            yield
        finally:
            if self.process is not None and self.process.poll() is None:
                resource.prlimit(self.pid, what, (soft, hard))

    def fds(self) -> int:
        """How many fds it has open."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def spooled(self) -> set[str]:
        """Every job that has files in its spool."""
        return {path.name for path in self.state.glob("spool/*/*")}

    def bugs(self) -> list[dict[str, Any]]:
        """What it met that it had no name for."""
        return self._named("bug")

    def _named(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event]

    def _is_over(self) -> bool:
        return self._reader is not None and not self._reader.is_alive()

    def _read_events(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                try:
                    event = json.loads(line)
                except ValueError:  # of a program that could not begin, or a traceback
                    event = {"event": "text", "text": line.decode(errors="replace")}
                with self._noted:
                    self.events.append(event)
                    self._noted.notify_all()
        with self._noted:
            self._noted.notify_all()


@contextlib.contextmanager
def serving(directory: Path, config: str = "", change: str | None = None) -> Iterator[Daemon]:
    """One that runs, meets nothing that it has no name for, and ends as it should.

    `change`: as of `Daemon.start`.
    """
    daemon = Daemon(directory, config)
    try:
        daemon.start(change=change)
        yield daemon
        assert not daemon.bugs()
        if daemon.process is not None:
            assert daemon.drain() == 0
    finally:
        daemon.close()
