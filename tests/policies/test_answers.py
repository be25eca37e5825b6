"""What is answered with success and not done: the kernel holds no lock, and keeps its limit."""

import ctypes
import fcntl
import functools
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pyseccomp
import pytest
from policies.filtered import ARCH, filter_loader, libc_syscall, run_program

from sandbox.spec.policy import load_policy, policy_names

CLONE_THREAD = 0x10000
CORE_AS_GIVEN = (1, 1)
_Attempt = Callable[[], object]


def of_one_process(policy: str) -> bool:
    """Whether every clone(2) that it allows is of a thread."""
    ways = [
        {check.index: check for check in rule.where}.get(0)
        for rule in load_policy(policy).syscalls
        if "clone" in rule.names and rule.action == "allow"
    ]
    return all(check is not None and check.value & CLONE_THREAD for check in ways)


def after(attempt: _Attempt, policy: str | None, ask: Callable[[int], object]) -> object:
    """What `ask` says of a process under the filter that made an attempt, while it lives."""
    load = filter_loader(policy)
    told_read, told_write = os.pipe()
    wait_read, wait_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, CORE_AS_GIVEN)
            os.close(wait_write)
            load()
            attempt()
            os.write(told_write, b"done")
            os.read(wait_read, 1)
        finally:
            os._exit(0)
    os.close(told_write)
    os.close(wait_read)
    try:
        assert os.read(told_read, 4) == b"done", "the attempt raised"
        return ask(pid)
    finally:
        os.close(wait_write)
        os.close(told_read)
        os.waitpid(pid, 0)


def is_locked(path: Path, pid: int) -> bool:
    """Whether another process would be refused a lock."""
    with path.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def lock(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(fd, fcntl.LOCK_EX)


def core_limit(pid: int) -> tuple[int, int]:
    return resource.prlimit(pid, resource.RLIMIT_CORE)


def by_number(call: str, *arguments: int) -> None:
    """The system call itself, with the limits to be set for a pointer."""
    number = pyseccomp.resolve_syscall(ARCH, call)
    none = (ctypes.c_uint64 * 2)(0, 0)
    assert libc_syscall(number, *arguments, ctypes.addressof(none), 0) == 0


LOWER: dict[str, _Attempt] = {
    "libc": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "prlimit64": functools.partial(by_number, "prlimit64", 0, resource.RLIMIT_CORE),
    "setrlimit": functools.partial(by_number, "setrlimit", resource.RLIMIT_CORE),
}


@pytest.mark.parametrize("policy", [name for name in policy_names() if name != "strict"])
def test_a_lock_is_held_where_another_process_could_meet_it(policy: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    ask = functools.partial(is_locked, path)
    assert after(lambda: lock(path), None, ask) is True, "control: the kernel keeps it"
    assert after(lambda: lock(path), policy, ask) is not of_one_process(policy)


@pytest.mark.parametrize("way", LOWER)
@pytest.mark.parametrize("policy", policy_names())
def test_the_limit_of_cores_stays_where_no_handler_is_called(policy: str, way: str) -> None:
    if (policy, way) == ("strict", "setrlimit"):
        pytest.skip("strict does not have that call")
    assert after(LOWER[way], None, core_limit) == (0, 0), "control: the kernel lowers it"
    assert after(LOWER[way], policy, core_limit) == CORE_AS_GIVEN


@pytest.mark.parametrize("policy", policy_names())
def test_other_limits_are_lowered_and_that_of_cores_is_told(policy: str) -> None:
    def attempt() -> None:
        assert resource.getrlimit(resource.RLIMIT_CORE) == CORE_AS_GIVEN
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))

    found = after(attempt, policy, lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE))
    assert found == (9, 9)


@pytest.mark.parametrize("policy", ["default", "shell", "compile"])
def test_a_shell_that_wants_no_cores_goes_on(policy: str, tmp_path: Path) -> None:
    script = "ulimit -c 0 && ulimit -n 20 && echo $(ulimit -n)"
    for shell in ("sh", "bash"):
        done = run_program(policy, [shell, "-c", script], cwd=tmp_path)
        assert (done.stdout, done.stderr) == (b"20\n", b"")


DATABASE = """
import sqlite3, sys
for mode in ("delete", "truncate", "persist", "memory", "off", "wal"):
    one = sqlite3.connect(f"{mode}.db")
    assert one.execute(f"pragma journal_mode = {mode}").fetchone() == (mode,)
    one.execute("create table t (n)")
    with one:
        one.executemany("insert into t values (?)", [(n,) for n in range(1000)])
    two = sqlite3.connect(f"{mode}.db", timeout=0)
    one.execute("begin immediate")
    one.execute("delete from t where n < 500")
    try:
        two.execute("begin immediate")
        sys.exit(f"{mode}: two of one process write at once")
    except sqlite3.OperationalError as error:
        assert "locked" in str(error), error
    one.commit()
    assert two.execute("select count(*) from t").fetchone() == (500,)
    assert two.execute("pragma integrity_check").fetchone() == ("ok",)
print("kept")
"""


@pytest.mark.parametrize("policy", [None, "python", "default"])
def test_sqlite_keeps_its_connections_apart(policy: str | None, tmp_path: Path) -> None:
    done = run_program(policy, ["/usr/bin/python3", "-c", DATABASE], cwd=tmp_path)
    assert (done.stdout, done.returncode) == (b"kept\n", 0), done.stderr.decode()
