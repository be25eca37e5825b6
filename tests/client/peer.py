"""A server of a few lines, in a thread, that does what a test tells it to."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.spec.errors import SandboxError
from sandbox.spec.result import Result
from sandbox.wire.errors import error_to_map
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Message, Notification, Request, Response, encode
from sandbox.wire.result import result_to_map

__all__ = ["DROP", "SILENCE", "Dialogue", "Peer", "peer_at", "status_of"]

PATIENCE_SECONDS = 30

DROP = object()  # an answer: the connection is closed instead
SILENCE = object()  # an answer: none, until the test gives it by `Dialogue.reply`

RESULT = Result(
    verdict="exited", exit_code=0, signal=None, evidence=(), cpu_seconds=0.1,
    cpu_user_seconds=None, cpu_system_seconds=None, wall_seconds=0.5, memory_peak_bytes=1 << 20,
    memory_split_bytes={}, processes_peak=1, throttled_seconds=None, disk_peak_bytes=0,
    disk_peak_inodes=0, stdout_bytes=3, stderr_bytes=0, stdin_bytes=0, overshoot={}, walls={},
    grades={}, artifacts={}, identity={}, host={},
)  # fmt: skip


def status_of(job: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    """The status of a job, as it goes over the wire."""
    status: dict[str, Any] = {
        "job": job, "state": state, "label": None, "key": None, "priority": 0, "created_at": 1.0,
        "started_at": None, "ended_at": None, "runs": 1, "error": None, "artifacts": {},
        "result": result_to_map(RESULT) if state == "ended" else None,
        "stdout": {"bytes": 0, "is_complete": state == "ended"},
        "stderr": {"bytes": 0, "is_complete": state == "ended"},
    }  # fmt: skip
    if state == "ended":
        status["stdout"]["data"] = status["stderr"]["data"] = b""
    return status | changes


class Dialogue:
    """One connection of a peer."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected

    def send(self, message: Message) -> None:
        self.socket.sendall(encode(message))

    def reply(self, msgid: int, result: Any) -> None:
        self.send(Response(msgid, None, result))

    def push(self, method: str, **params: Any) -> None:
        self.send(Notification(method, (params,)))


Answer = Callable[[Dialogue, Mapping[str, Any]], Any]


class Peer:
    """Answers calls, those of a connection in turn. `calls` has what came: (method, params)."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self.path = path
        self.address = f"unix:{path}"
        self.answers = dict(answers)
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.msgids: list[int] = []
        self.connections = 0
        self.came = threading.Condition()
        self._dialogues: list[Dialogue] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._run(self._accept, self._listener)

    def stop(self) -> None:
        """Go, as a server does that is killed."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
            self._listener.close()
            self.path.unlink(missing_ok=True)
        self.drop()
        for thread in self._threads:
            thread.join()

    def drop(self) -> None:
        """Close every connection."""
        for dialogue in self._dialogues:
            with contextlib.suppress(OSError):
                dialogue.socket.shutdown(socket.SHUT_RDWR)

    def wait_for(self, method: str, count: int = 1) -> None:
        """Wait until that method was called so often."""
        with self.came:
            assert self.came.wait_for(
                lambda: [name for name, _ in self.calls].count(method) >= count, PATIENCE_SECONDS
            ), f"{method} was not called {count} times"

    def params_of(self, method: str) -> list[Mapping[str, Any]]:
        return [params for name, params in self.calls if name == method]

    def _run(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            dialogue = Dialogue(connected)
            self._dialogues.append(dialogue)
            self._run(self._serve, dialogue)

    def _serve(self, dialogue: Dialogue) -> None:
        decoder = Decoder(FRAME_BYTES)
        with dialogue.socket, contextlib.suppress(OSError):
            while data := dialogue.socket.recv(1 << 16):
                decoder.feed(data)
                while (message := decoder.next_message()) is not None:
                    if not self._take(dialogue, message):
                        return

    def _take(self, dialogue: Dialogue, message: Message) -> bool:
        assert isinstance(message, Request | Notification)
        params = message.params[0] if message.params else {}
        msgid = message.msgid if isinstance(message, Request) else -1
        with self.came:  # connections take turns
            self.calls.append((message.method, params))
            self.msgids.append(msgid)
            try:
                answer = self.answers[message.method](dialogue, params)
            except SandboxError as error:
                dialogue.send(Response(msgid, error_to_map(error)))
                answer = SILENCE
            if answer is not SILENCE and answer is not DROP and msgid >= 0:
                dialogue.reply(msgid, answer)
            self.came.notify_all()
        return answer is not DROP


@contextlib.contextmanager
def peer_at(path: Path, **answers: Any) -> Iterator[Peer]:
    """A peer that listens; `job_submit=…` answers job.submit, with a function or a value."""
    functions = {
        name.replace("_", ".", 1): answer if callable(answer) else (lambda *_, a=answer: a)
        for name, answer in answers.items()
    }
    peer = Peer(path, functions)
    peer.start()
    try:
        yield peer
    finally:
        peer.stop()
