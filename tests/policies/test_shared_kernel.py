"""What jobs share though their walls stand: no job hears of another by it, or takes it from all."""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from server.daemon import PATIENCE_SECONDS, Daemon

TERMINALS_A_JOB = 32
INOTIFY = ("inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch")
# Opens what the policies refuse.
OPEN = f"""
extends = "native"
why = "the control: what can be watched"
[[syscalls]]
allow = {[*INOTIFY, "fcntl"]}
why = "the control"
"""
# Both watch the directory of all programs, and end when anything is executed or stdin says so.
WATCH = """
import ctypes, errno, fcntl, os, select, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
def inotify():
    fd = libc.inotify_init1(0)
    if fd < 0 or libc.inotify_add_watch(fd, b"/usr/bin", 0xfff) < 0:
        return ctypes.get_errno()
    print("watching", flush=True)
    ready, _, _ = select.select([fd, 0], [], [])
    print("seen" if fd in ready else "nothing", flush=True)
def dnotify():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    fd = os.open("/usr/bin", os.O_RDONLY)
    fcntl.fcntl(fd, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)
    print("watching", flush=True)
    sys.stdin.read()
    print("seen" if signal.SIGIO in signal.sigpending() else "nothing", flush=True)
def lease():
    fcntl.fcntl(os.open("/usr/bin/env", os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)
try:
    code = {way}()
except OSError as error:
    code = error.errno
print("errno", code, flush=True)
"""
TERMINALS = """
import os
held = []
try:
    while True:
        held.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
except OSError as error:
    print(len(held), error.errno)
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("daemon"))
    daemon.start()
    yield daemon
    daemon.close()


def python(program: str, **fields: Any) -> dict[str, Any]:
    return {"command": ["python3", "-I", "-S", "-c", program], **fields}


def told(daemon: Daemon, job: dict[str, Any]) -> str:
    with daemon.client() as client:
        status = client.submit(job, wait_seconds=PATIENCE_SECONDS)
        return client.read(status["job"]).decode()


@pytest.mark.parametrize(
    ("way", "refusal"),
    [("inotify", errno.ENOSYS), ("dnotify", errno.EINVAL), ("lease", errno.EINVAL)],
)
def test_a_job_cannot_watch_what_others_do(daemon: Daemon, way: str, refusal: int) -> None:
    job = python(WATCH.replace("{way}", way), policy="default")
    assert told(daemon, job) == f"errno {refusal}\n"


@pytest.mark.parametrize("way", ["inotify", "dnotify"])
def test_a_job_that_may_watch_sees_another_execute(daemon: Daemon, way: str) -> None:
    """The control: the layers of a root are the same for all jobs, and tell."""
    path = daemon.directory / "open.toml"
    path.write_text(OPEN)
    with daemon.client() as client:
        watch = python(WATCH.replace("{way}", way), policy=str(path))
        status = client.submit(watch, stdin_open=True)
        client.read_until(status["job"], len("watching\n"))
        other = {"command": ["true"], "policy": str(path)}
        client.submit(other, wait_seconds=PATIENCE_SECONDS)
        client.call("job.write", job=status["job"], end=True)
        client.wait(status["job"])
        assert client.read(status["job"]).decode().startswith("watching\nseen\n")


def test_a_job_has_a_few_terminals_and_leaves_the_machines_to_others(daemon: Daemon) -> None:
    job = python(TERMINALS, policy="shell", limits={"fds": 256})
    assert told(daemon, job) == f"{TERMINALS_A_JOB} {errno.ENOSPC}\n"
    tty = {"command": ["tty"], "policy": "shell", "tty": True}
    assert told(daemon, tty).strip() == "/dev/pts/0"


def test_the_kernel_itself_would_give_a_job_more_terminals() -> None:
    """The control: nothing else bounds them before its fds do."""
    held = []
    try:
        with suppress(OSError):
            while len(held) < 2 * TERMINALS_A_JOB:
                held.append(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY))
        assert len(held) == 2 * TERMINALS_A_JOB
    finally:
        for fd in held:
            os.close(fd)
