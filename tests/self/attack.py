"""Code that runs inside one of our own processes, as if somebody had taken it over."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["KILLED", "PATIENCE_SECONDS", "TESTS", "TOLD", "Attack", "indented", "met", "victim"]

TESTS = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60
KILLED = -signal.SIGSYS

# What an attack may use; `told` says what its `attempt` met.
TOLD = """
import ctypes, fcntl, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def checked(value):
    if value in (-1, 0xffffffffffffffff):
        raise OSError(ctypes.get_errno(), "")
    return value
def told():
    try:
        attempt()
        code = 0
    except OSError as error:
        code = error.errno
    os.write(2, b"met %d\\n" % code)
"""


class Attack(NamedTuple):
    """`body` may use {victim}, a process of this user; {file} of it; {port}, where one listens."""

    name: str
    body: str
    refusal: int  # an errno, or KILLED


@contextmanager
def victim() -> Iterator[int]:
    """Another process of this user, with its own file descriptors."""
    with subprocess.Popen(["/bin/sleep", "1000"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def met(program: str) -> int:
    """Run it, and say what its attack met: an errno, 0, or KILLED."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=PATIENCE_SECONDS, cwd=TESTS
    )
    words = [line for line in done.stderr.decode().splitlines() if line.startswith("met ")]
    if words:
        return int(words[0].split()[1])
    assert f"ended {-KILLED}" in done.stdout.decode() or done.returncode == KILLED, done
    return KILLED


def indented(body: str) -> str:
    """The attack as a function."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"def attempt():\n{lines}\n"
