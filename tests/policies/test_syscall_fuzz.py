"""A short fuzz of system calls inside jobs; and that the look at the host sees what calls can do.

The long form: python -m fuzz.syscalls --seconds 600
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz.syscall_host import Canary, KernelLog

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on this host")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 240


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True,
        errors="replace", timeout=PATIENCE_SECONDS, start_new_session=True,
    )  # fmt: skip


def test_no_call_of_a_job_changes_the_host_or_the_next_job(leftovers: object) -> None:
    done = run("fuzz.syscalls", "--seconds", "6")
    assert done.returncode == 0, done.stdout + done.stderr


def test_where_nothing_holds_them_the_same_calls_are_seen_to_do_harm() -> None:
    done = run("fuzz.syscall_control")
    assert done.returncode == 0, done.stdout + done.stderr


def paths(canary: Canary) -> list[str]:
    return canary.names.split(",")[1:-2]


def kill(canary: Canary) -> None:
    pid = int(canary.names.split(",")[0])
    os.kill(pid, signal.SIGUSR1)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def renice(canary: Canary) -> None:
    os.setpriority(os.PRIO_PROCESS, int(canary.names.split(",")[0]), 5)


def connect(canary: Canary) -> None:
    socket.socket().connect(("127.0.0.1", int(canary.names.split(",")[-1])))


def connect_abstract(canary: Canary) -> None:
    socket.socket(socket.AF_UNIX).connect("\0" + canary.names.split(",")[-2])


def write(canary: Canary) -> None:
    path = next(path for path in paths(canary) if path.endswith("/shared"))
    Path(path).write_text("harm")


def chmod(canary: Canary) -> None:
    path = next(path for path in paths(canary) if path.endswith("/private"))
    Path(path).chmod(0o604)


def create(canary: Canary) -> None:
    Path(paths(canary)[0], "new").touch()


@pytest.mark.parametrize(
    "harm",
    [kill, renice, connect, connect_abstract, write, chmod, create],
    ids=lambda h: h.__name__,
)
def test_a_canary_tells_each_harm(harm: Callable[[Canary], None]) -> None:
    with Canary() as canary:
        assert canary.changes() == []
        harm(canary)
        assert len(canary.changes()) >= 1


def test_the_kernels_log_is_read_from_now_on_for_what_it_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("BUG: before\n")
    log = KernelLog(path)
    assert log.complaints() == []
    with path.open("a") as file:
        file.write("Memory cgroup out of memory: Killed process 7\nWARNING: CPU: 0 at fs/a.c:1\n")
    assert log.complaints() == ["the kernel: WARNING: CPU: 0 at fs/a.c:1"]
