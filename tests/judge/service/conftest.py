"""A service to judge by, that leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from server.daemon import Client, Daemon, serving


@pytest.fixture
def daemon(tmp_path: Path, leftovers: None) -> Iterator[Daemon]:
    """One that leaves no half of anything."""
    with serving(tmp_path, "drain_seconds = 0\n") as daemon:
        yield daemon
    assert not list(daemon.state.glob("judge/*/*/draft-*"))
    assert not list(daemon.state.glob("judge/scratch/*"))


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    """A connection to it."""
    with daemon.client() as client:
        yield client
