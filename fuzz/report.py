"""What a zygote, an init or a stub that is not ours any more sends to the supervisor.

An input is decisions: who listens and for what, and the pieces that come, each of any bytes with
any number of fds.
"""

import os
import socket
from array import array
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import MockClock

from fuzz.choices import Choices
from fuzz.driver import main
from fuzz.fds import all_closed
from sandbox.boundary.plan import Bind, BindsPlan, CollectPlan, Disk, SpawnPlan
from sandbox.boundary.report import REPORT_BYTES, Kind, Report, Step
from sandbox.spec.errors import SandboxError
from sandbox.supervisor.link import Link
from sandbox.supervisor.planner import Shape
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.zygote import Zygote

__all__ = ["TOKENS", "target"]

_MOST_FDS = 12  # with one piece
_KINDS = (Kind.FAILED, Kind.READY, Kind.LOCKED, Kind.EXITED, Kind.EMPTY)
_STEPS = (Step.CLONE, Step.EXEC, Step.USER_NAMESPACE, 0, -1)
TOKENS = (
    Report(Kind.READY, 1).pack(), Report(Kind.FAILED, Step.CLONE, 3).pack(),
    Report(Kind.EXITED, 1, 9, 1).pack(), Report(-1, -1, -1, -1).pack(), b"\xff" * 16,
)  # fmt: skip

Pieces = list[tuple[bytes, int]]  # bytes, and how many fds come with them


def target(data: bytes) -> None:
    """A report or an error of ours, and no fd is left open."""
    choices = Choices(data)
    listen = choices.one_of([_listen_to_link, _ask_zygote, _expect_ready, _hear_end])
    argument = choices.below(256)
    pieces = [_piece(choices) for _ in range(1 + choices.below(5))]
    with all_closed():
        trio.run(listen, argument, pieces, clock=MockClock(autojump_threshold=0))


def _piece(choices: Choices) -> tuple[bytes, int]:
    if choices.below(4):
        numbers = (choices.one_of([0, 1, 3, 110, -1, 2**31 - 1]) for _ in range(2))
        content = Report(choices.one_of(_KINDS), choices.one_of(_STEPS), *numbers).pack()
        content = content[choices.one_of([0, 0, 0, 3]) :]
    else:
        content = choices.data(2 * REPORT_BYTES)
    fds = choices.one_of([0, 0, 0, 1, 1, 2, 3, _MOST_FDS])
    return content or b"\0", fds


def _send(sock: socket.socket, pieces: Pieces) -> None:
    """All of it at once: the buffer of a socket has room. Then hang up."""
    for content, count in pieces:
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))]
        try:
            sock.sendmsg([content], rights if fds else [])
        finally:
            for fd in fds:
                os.close(fd)
    sock.close()


async def _listen_to_link(argument: int, pieces: Pieces) -> None:
    """Reports are the stream cut by their size; fds come with the report that they rode on."""
    link, theirs = Link.pair()
    _send(theirs, pieces)
    stream = b"".join(content for content, _ in pieces)
    count = len(stream) // REPORT_BYTES
    whole = [Report.unpack(stream[at * REPORT_BYTES :][:REPORT_BYTES]) for at in range(count)]
    if argument % 2:
        found: list[Report] = []
        while (reports := link.reports_now()) != [None]:
            found += [report for report in reports if report is not None]
        assert found == whole
        link.close()
        return
    handed = 0
    for expected in whole:
        received = await link.receive()
        assert received is not None and received[0] == expected
        handed += len(received[1])
        _close(received[1])
    assert await link.receive() is None
    sent = sum(fds for _, fds in pieces)
    assert handed <= sent and (handed == sent or len(stream) % REPORT_BYTES)
    link.close()


class _Process:
    """A zygote's process that is none."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.mounted = None

    def meet(self) -> None:
        pass

    def is_dead(self) -> bool:
        return False

    def kill(self) -> None:
        pass

    def close(self) -> None:
        self.socket.close()


async def _ask_zygote(argument: int, pieces: Pieces) -> None:
    """Each request has its fds, or one error."""
    ours, theirs = socket.socketpair()
    zygote = Zygote(_Process(ours))  # type: ignore[arg-type]
    _send(theirs, pieces)

    async def nothing() -> None:
        if argument & 4:
            raise SandboxError("what there was to do meanwhile failed")

    bind = Bind(b"/usr", 1, 1, b"usr", True, False)
    for request in range(len(pieces)):
        try:
            match (argument + request) % 4:
                case 0:
                    _, fd = await zygote.spawn(SpawnPlan(0, 0, 0, None), (), nothing)
                    _close([fd])
                case 1:
                    binds = (bind,) * (argument % 3)
                    trees = await zygote.open_binds(BindsPlan(binds))
                    assert len(trees) == len(binds)
                    _close(trees)
                case 2:
                    _close([await zygote.collect(CollectPlan(0, False, 0, (), 0, b""), ())])
                case _:
                    report, fds = await zygote._ask(None, (), "the template's mounts")
                    assert report.kind == Kind.READY and not fds
        except SandboxError as error:
            assert str(error).isprintable()
    await zygote.close()


async def _expect_ready(argument: int, pieces: Pieces) -> None:
    """Init's or the stub's word while a sandbox is built: what was asked for, or why not."""
    sandbox, theirs = _sandbox()
    _send(theirs[argument % 2], pieces)
    link = (sandbox._control, sandbox._report)[argument % 2]
    kind, count = ((Kind.READY, 2), (Kind.LOCKED, 0), (Kind.READY, 3))[argument % 3]
    try:
        fds = await sandbox._expect(link, kind, count)
        assert len(fds) == count
        _close(fds)
    except SandboxError as error:
        assert str(error).isprintable()
    await sandbox.destroy()


async def _hear_end(argument: int, pieces: Pieces) -> None:
    """How a payload ended, or why it never began."""
    sandbox, theirs = _sandbox()
    _send(theirs[argument % 2], pieces)
    if argument % 2:
        error = sandbox.never_executed()
        assert isinstance(error, SandboxError) and str(error).isprintable()
    else:
        reports = sandbox.reports()
        assert all(len(report) == 4 for report in reports if report is not None)
    await sandbox.destroy()


def _sandbox() -> tuple[Sandbox, tuple[socket.socket, socket.socket]]:
    none: Any = None  # neither planner nor lookout is asked
    sandbox = Sandbox(none, Shape(b"/work", False, False, False), Disk(1, 1), none)
    usage = SimpleNamespace(oom_kills=0, oom_events=0)
    sandbox._cgroup = SimpleNamespace(sample=lambda: usage, destroy=lambda: None)  # type: ignore[assignment]
    sandbox._command = b"/bin/true"
    return sandbox, (sandbox._init_end, sandbox._stub_end)


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


if __name__ == "__main__":
    main("report", target, TOKENS)
