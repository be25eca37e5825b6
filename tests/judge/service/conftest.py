"""A service to judge by, that leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.daemon import Client, Daemon


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that runs, and meets nothing that it has no name for."""
    daemon = Daemon(tmp_path, "drain_seconds = 0\n")
    try:
        daemon.start()
        yield daemon
        assert not daemon.bugs()
        if daemon.process is not None:
            assert daemon.drain() == 0
        assert not list(daemon.state.glob("judge/*/*/draft-*"))
        assert not list(daemon.state.glob("judge/scratch/*"))
    finally:
        daemon.close()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    """A connection to it."""
    with daemon.client() as client:
        yield client
