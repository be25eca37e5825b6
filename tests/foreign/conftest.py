"""Each foreign client in turn, with a connection to one daemon."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, serving
from foreign.clients import CLIENTS, Foreign
from foreign.conversation import Conversation

_PATIENCE_SECONDS = 60


@pytest.fixture(scope="package")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all of them."""
    with serving(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture(scope="package")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where programs are compiled to, once."""
    return tmp_path_factory.mktemp("built")


@pytest.fixture(params=CLIENTS, ids=str)
def foreign(request: pytest.FixtureRequest) -> Foreign:
    """Which client it is."""
    return request.param


@pytest.fixture
def client(foreign: Foreign, daemon: Daemon, built: Path, tmp_path: Path) -> Iterator[Conversation]:
    """A new connection of it."""
    if why := foreign.why_absent():
        pytest.skip(why)
    environment = {**os.environ, **foreign.environment, "SANDBOX_SOCKET": str(daemon.socket)}
    with subprocess.Popen(
        foreign.command(daemon, built),
        env={**environment, "XDG_STATE_HOME": str(tmp_path)},  # Neovim's own log
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield Conversation(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(_PATIENCE_SECONDS) == 0
        finally:
            process.kill()
