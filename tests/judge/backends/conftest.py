"""A server for the examples, which are programs of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from server.daemon import Daemon, serving

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "backends"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture
def start(daemon: Daemon) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start an example: its name, its arguments, its environment."""
    started = []

    def begin(name: str, *arguments: object, **environment: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / name, *map(str, arguments), f"unix:{daemon.socket}"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
