"""Controls: the same bytes without a sandbox, bare or in namespaces of their own."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.attack.attack import BARE, USERNS, Attack
from sandbox.attack.program import Program
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets, leak_directory, make_targets

SIGCHLD, CHILD_SETTID = 17, 0x1000000


@pytest.fixture
def targets() -> Iterator[Targets]:
    with leak_directory(None) as directory, make_targets(directory) as made:
        yield made


@pytest.fixture
def control(targets: Targets) -> Callable[..., str]:
    def run(kind: str, write: Callable[[AttackScript, Targets], None], **settings: object) -> str:
        attack = Attack("attack", "kind", "Does.", kind, write, **settings)  # type: ignore[arg-type]
        return Program(attack, targets).control()

    return run


def be_process_two(script: AttackScript, _: Targets) -> None:
    script.check("getpid", result=2)
    found = script.space(8)
    script.check("readlinkat", -100, b"/proc/self", found, 8, result=1)
    script.expect(found, b"2")


def needs_namespaces() -> None:
    if subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces for an ordinary user here")


def test_in_namespaces_it_is_process_two_and_sees_them(control: Callable[..., str]) -> None:
    needs_namespaces()
    assert control(USERNS, be_process_two) == ""
    assert control(BARE, be_process_two) == "getpid: it yields nothing"


def test_process_one_is_the_machine_as_in_a_sandbox(control: Callable[..., str]) -> None:
    needs_namespaces()

    def write(script: AttackScript, _: Targets) -> None:
        script.read_all(script.open_path(b"/proc/1/exe", os.O_RDONLY), b"\x7fELF")

    assert control(USERNS, write) == ""


def test_it_has_three_fds_and_the_leaked_one(control: Callable[..., str]) -> None:
    def write(script: AttackScript, _: Targets) -> None:
        script.open_path(b"/dev/null", os.O_RDONLY)  # must be 3
        script.call("fcntl", 1000, 1)  # F_GETFD

    assert control(BARE, write) == ""


def test_where_it_ends_is_told(control: Callable[..., str]) -> None:
    def write(script: AttackScript, made: Targets) -> None:
        script.call("getpid")
        script.open_path(made.secret + b"-missing", os.O_RDONLY)

    assert control(BARE, write) == "openat: No such file or directory"


def test_who_collects_naively_is_fooled_by_what_is_a_secret_only(
    control: Callable[..., str], targets: Targets
) -> None:
    def link(path: bytes) -> Callable[[AttackScript, Targets], None]:
        return lambda script, _: script.call("symlinkat", path, -100, b"left" + path[-4:])

    assert control(BARE, link(targets.secret), artifact=b"leftcret") == ""
    other = control(BARE, link(b"/etc/hostname"), artifact=b"leftname")
    assert other == "what is found there is another"


def test_what_it_leaves_behind_is_killed(control: Callable[..., str], targets: Targets) -> None:
    mark = targets.directory / "mark"
    os.mkfifo(mark)
    reader = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)

    def write(script: AttackScript, _: Targets) -> None:
        script.open_path(bytes(mark), os.O_WRONLY)
        pause = script.memory(bytes(16))  # a child sleeps for its own number of seconds
        script.call("clone", SIGCHLD | CHILD_SETTID, 0, 0, pause, pause)
        script.call("ppoll", 0, 0, pause, 0)

    try:
        assert control(BARE, write) == ""
        assert os.read(reader, 1) == b"", "EOF: nobody has it open any more"
    finally:
        os.close(reader)


def test_nothing_of_the_targets_is_left(tmp_path: Path) -> None:
    with leak_directory(None) as directory, make_targets(directory) as made:
        paths = [Path(os.fsdecode(path)) for path in (made.secret, made.shared, made.input)]
        assert all(path.exists() for path in paths)
        assert not made.damage()
        paths[0].write_bytes(b"changed")
        assert made.damage() == [f"{paths[0]} is b'changed'"]
    assert not any(path.exists() for path in paths) and not directory.exists()
    listed = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    assert str(made.segment) not in [line.split()[1] for line in listed]
