"""examples/clients: each runs a command as a job, and is as that command."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign.clients import INSTALLED, Place, compile_go, why_no_go

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "clients"
NODE_PACKAGES = INSTALLED / "node" / "node_modules"
INPUT = bytes(range(256)) * 512


def python(_built: Path) -> list[str]:
    return [sys.executable, str(EXAMPLES / "run.py")]


def node(_built: Path) -> list[str]:
    if shutil.which("node") is None or not (NODE_PACKAGES / "@msgpack/msgpack").is_dir():
        pytest.skip(f"no node, or no @msgpack/msgpack in {NODE_PACKAGES}")
    return ["node", str(EXAMPLES / "run.js")]


def go(built: Path) -> list[str]:
    if why := why_no_go():
        pytest.skip(why)
    return [str(compile_go(EXAMPLES / "run.go", built))]


@pytest.mark.parametrize("program", [python, node, go], ids=lambda program: program.__name__)
def test_it_runs_a_command(program: Callable[[Path], list[str]], place: Place, built: Path):
    def run(*command: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*program(built), str(place.socket), *command],
            input=INPUT,
            capture_output=True,
            env={**os.environ, "NODE_PATH": str(NODE_PACKAGES)},
            timeout=60,
        )

    done = run("sh", "-c", "cat; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, INPUT, b"exited\n")
    absent = run("no-such-program")
    assert (absent.returncode, absent.stdout) == (1, b"")
    assert b"no-such-program: No such file or directory" in absent.stderr
    refused = run("")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"spec: command: is empty" in refused.stderr
