"""The machine as pid 1: it reaps, reports and takes orders, in namespaces that only it is in."""

import errno
import os
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from inside.running import Machine, Running

from sandbox.boundary.report import REPORT_BYTES, REPORT_FD, Kind, Report
from sandbox.inside import init
from sandbox.inside.init import CHILDREN_FD, CONTROL_FD
from sandbox.inside.machine import machine_job
from sandbox.inside.script import LATE_AT, Script
from sandbox.kernel.processes import PR_SET_NAME

NAME = b"stub-0123456789"
KILL = bytes(8)
EMPTY = Report(Kind.EMPTY)
F_GETFD, FD_CLOEXEC = 1, 1
EMULATED_PID = 3  # the emulator has a thread of its own


def write_service(machine: Machine, write_stub: Callable[[Script], None]) -> bytes:
    """As init.py: a signalfd in place of stdin, a stub, and the service."""
    script = Script(CONTROL_FD, range(CONTROL_FD + 1))
    name = script.memory(NAME + b"\n")
    children = script.data(struct.pack("<Q", 1 << signal.SIGCHLD - 1))
    script.call("rt_sigprocmask", signal.SIG_BLOCK, children, 0, 8)
    script.close(CHILDREN_FD)
    fd = script.open("signalfd4", -1, children, 8, os.O_CLOEXEC | os.O_NONBLOCK)
    assert fd == CHILDREN_FD

    def write_child() -> None:
        script.report_fd = REPORT_FD
        script.call("prctl", PR_SET_NAME, name)
        script.close(CONTROL_FD)
        write_stub(script)

    place = machine.fork(script, write_child, EMULATED_PID if machine.is_emulated else 2)
    script.close_all_but(CONTROL_FD, CHILDREN_FD)
    init._serve(script, name)
    place()
    return script.pack()


def execute(script: Script) -> None:
    script.execute_job(REPORT_FD)


def wait(script: Script) -> None:
    ready = script.data(b"ready")
    script.call("write", REPORT_FD, ready, 5, result=5)
    script.await_byte(REPORT_FD)


@contextmanager
def served(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    write_stub: Callable[[Script], None],
    kind: socket.SocketKind = socket.SOCK_SEQPACKET,
) -> Iterator[Running]:
    """By default in packets: what is written at once is received at once, and nothing with it."""
    if machine.is_emulated:
        monkeypatch.setattr(init, "STUB_PID", EMULATED_PID)
    with machine.run(kind, is_init=True) as running:
        running.send(write_service(machine, write_stub))
        yield running


def reports(running: Running) -> list[Report]:
    """What is told at once."""
    data = running.control.recv(1000)
    return [Report.unpack(data[at : at + REPORT_BYTES]) for at in range(0, len(data), REPORT_BYTES)]


def ended(signaled: int, status: int, executed: int) -> Report:
    return Report(Kind.EXITED, signaled, status, executed)


def shell(command: bytes) -> bytes:
    return machine_job([b"sh", b"-c", command], [], [b"/bin/sh"])


@pytest.mark.parametrize(
    "command, told",
    [
        (b"exit 0", ended(0, 0, 1)),
        (b"exit 7", ended(0, 7, 1)),
        (b"kill -9 $$", ended(1, 9, 1)),
        (b"kill -15 $$", ended(1, 15, 1)),
        # The stub's name is taken for its own, but for an exit code that it never ends with.
        (b"printf stub-0123456789 >/proc/$$/comm; exit 0", ended(0, 0, 1)),
        (b"printf stub-0123456789 >/proc/$$/comm; exit 3", ended(0, 3, 0)),
        (b"printf stub-012345678X >/proc/$$/comm; exit 3", ended(0, 3, 1)),
        (b"printf Xtub-0123456789 >/proc/$$/comm; exit 3", ended(0, 3, 1)),
    ],
)
def test_the_payloads_end_is_told_once_and_with_it_that_nobody_is_left(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, command: bytes, told: Report
) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(shell(command))
        assert reports(running) == [told, EMPTY]
        running.control.shutdown(socket.SHUT_WR)
        assert reports(running) == []
        assert running.exit_code() == 1


def test_a_stub_that_could_not_execute_has_not(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(machine_job([b"a"], [], [b"/missing"]))
        assert Report.unpack(running.report.recv(100)) == Report(Kind.FAILED, 0, errno.ENOENT)
        assert reports(running) == [ended(0, 1, 0), EMPTY]


def test_an_order_kills_a_stub_that_has_not_executed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, wait) as running:
        assert running.report.recv(100) == b"ready"
        running.send(KILL)
        assert until_empty(running) == [ended(1, 9, 0), EMPTY]


def test_an_order_kills_all_of_the_payload(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(shell(b"sleep 1000 & setsid sleep 1000 & echo ready >&3; wait"))
        assert running.report.recv(100) == b"ready\n"
        running.send(KILL)
        assert until_empty(running) == [ended(1, 9, 1), EMPTY]


def test_who_outlives_the_payload_is_not_empty_until_killed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(shell(b"sleep 1000 & sleep 0 & exit 3"))
        assert reports(running) == [ended(0, 3, 1)]
        running.send(KILL)
        assert reports(running) == [EMPTY]
        running.send(KILL)
        running.control.shutdown(socket.SHUT_WR)
        assert reports(running) == [], "it is said once"


def test_eof_ends_it_and_all_with_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(shell(b"sleep 1000 & echo ready >&3; wait"))
        assert running.report.recv(100) == b"ready\n"
        running.control.shutdown(socket.SHUT_WR)
        assert running.exit_code() == 1
        assert running.report.recv(100) == b""
        assert reports(running) == []


def write_late(fds: int) -> bytes:
    """For pid 1: says so on each of the fds that come along."""
    script = Script(CONTROL_FD, (CONTROL_FD, CHILDREN_FD), at=LATE_AT)
    for fd in script.take_fds(fds):
        script.check("fcntl", fd, F_GETFD, 0, result=FD_CLOEXEC)
        script.call("write", fd, b"late", 4, result=4)
        script.close(fd)
    say_ready(script)
    return script.pack()


def execute_late(running: Running, fds: int) -> None:
    read_fd, write_fd = os.pipe()
    running.send(write_late(fds), (write_fd,) * fds)
    os.close(write_fd)
    assert reports(running) == [Report(Kind.READY)]
    said = os.read(read_fd, 1000)
    os.close(read_fd)
    assert said == b"late" * fds


def say_ready(script: Script) -> None:
    ready = script.data(Report(Kind.READY).pack())
    script.call("write", CONTROL_FD, ready, REPORT_BYTES, result=REPORT_BYTES)
    script.end()


def test_late_scripts_are_executed_with_their_fds_and_the_service_goes_on(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, execute) as running:
        for fds in (0, 1, 200, 0, 200):
            execute_late(running, fds)
        running.report.sendall(shell(b"exit 4"))
        assert reports(running) == [ended(0, 4, 1), EMPTY]
        execute_late(running, 1)  # its number is the lowest: the service has left no fd open


def test_what_tells_of_children_is_taken_so_that_it_sleeps_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, execute) as running:
        running.report.sendall(shell(b"exit 4"))
        assert reports(running) == [ended(0, 4, 1), EMPTY]
        script = Script(CONTROL_FD, (CONTROL_FD, CHILDREN_FD), at=LATE_AT)
        script.check("read", CHILDREN_FD, script.space(128), 128, result=-errno.EAGAIN)
        say_ready(script)
        running.send(script.pack())
        assert reports(running) == [Report(Kind.READY)]


def test_an_order_that_comes_in_pieces_is_one(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, wait, socket.SOCK_STREAM) as running:
        assert running.report.recv(100) == b"ready"
        order = write_late(0)
        for piece in (order[:3], order[3:8], order[8:20], order[20:]):
            running.control.send(piece)
        assert reports(running) == [Report(Kind.READY)]


def test_a_late_script_that_fails_ends_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(machine, monkeypatch, wait) as running:
        assert running.report.recv(100) == b"ready"
        script = Script(CONTROL_FD, (CONTROL_FD, CHILDREN_FD), at=LATE_AT)
        script.step = 12
        script.call("close", 77)
        running.send(script.pack())
        assert reports(running) == [Report(Kind.FAILED, 12, errno.EBADF)]
        assert running.exit_code() == 1
        assert running.report.recv(100) == b""


def until_empty(running: Running) -> list[Report]:
    found: list[Report] = []
    while EMPTY not in found:
        told = reports(running)
        assert told, "it ended"
        found += told
    return found
