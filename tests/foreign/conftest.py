"""Each foreign client in turn, with a connection to one daemon."""

import hashlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from foreign.clients import CLIENTS, Foreign, Place
from foreign.conversation import Conversation
from server.daemon import Daemon

_PATIENCE_SECONDS = 60
_TOKEN = "for-tests-only"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where one daemon listens for all of them. It ends with them: others look for leftovers."""
    daemon = Daemon(
        tmp_path_factory.mktemp("daemon"),
        f"""
        [listen]
        tcp = "127.0.0.1:0"
        clear = true
        [tenants.ci]
        tokens = ["sha256:{hashlib.sha256(_TOKEN.encode()).hexdigest()}"]
        """,
    )
    try:
        daemon.start()
        where = daemon.wait_for("listening")["where"]
        port = int(where.split("tcp:127.0.0.1:")[1].split()[0])
        yield Place(daemon.socket, port, _TOKEN)
        assert not daemon.bugs()
        assert daemon.drain() == 0
    finally:
        daemon.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs are compiled to, once."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture(params=CLIENTS, ids=str)
def foreign(request: pytest.FixtureRequest) -> Foreign:
    """Which client it is."""
    return request.param


@pytest.fixture
def client(foreign: Foreign, place: Place, built: Path, tmp_path: Path) -> Iterator[Conversation]:
    """A new connection of it."""
    if why := foreign.why_absent():
        pytest.skip(why)
    environment = {**os.environ, **foreign.environment, "SANDBOX_SOCKET": str(place.socket)}
    with subprocess.Popen(
        foreign.command(place, built),
        env={**environment, "XDG_STATE_HOME": str(tmp_path)},  # Neovim's own log
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        # A client that hangs is ended, and its test with it: the answer that it waits for is EOF.
        patience = threading.Timer(_PATIENCE_SECONDS, process.kill)
        patience.start()
        try:
            yield Conversation(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(_PATIENCE_SECONDS) == 0
        finally:
            patience.cancel()
            process.kill()
