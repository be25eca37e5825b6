"""A real server for whoever wants one, and how properties are tested."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from client.peer import Peer, peer_at
from hypothesis import settings

settings.register_profile("sandbox", deadline=None, database=None)
settings.load_profile("sandbox")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30


class Server:
    """`sandbox serve`, as a program of its own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "s.sock"
        self.address = f"unix:{self.path}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it says that it listens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            place = self._directory / "notify"
            place.unlink(missing_ok=True)
            notified.bind(str(place))
            notified.settimeout(PATIENCE_SECONDS)
            command = [sys.executable, "-m", "sandbox", "serve", "--socket", str(self.path)]
            command += ["--state", str(self._directory / "state")]
            with (self._directory / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, "NOTIFY_SOCKET": str(place)},
                )  # fmt: skip
            try:
                while b"READY=1" not in notified.recv(4096):
                    pass
            except TimeoutError:
                self.kill()
                text = (self._directory / "log").read_text()
                raise AssertionError(f"the server does not begin: {text}") from None

    def kill(self) -> None:
        """kill -9, as when the host is out of memory."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None


@contextlib.contextmanager
def _running(directory: Path) -> Iterator[Server]:
    server = Server(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests of a module share."""
    with _running(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may kill."""
    with _running(tmp_path) as running:
        yield running


@pytest.fixture
def make_peer(tmp_path: Path) -> Iterator[Callable[..., Peer]]:
    """Scripted servers: `make_peer(job_submit=…)`."""
    with contextlib.ExitStack() as peers:

        def make(**answers: Any) -> Peer:
            return peers.enter_context(peer_at(tmp_path / "peer.sock", **answers))

        yield make
