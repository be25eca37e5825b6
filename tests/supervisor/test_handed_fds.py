"""Fds that come with a report: as many as are due, or none is kept and nobody is believed."""

import array
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from sandbox.boundary.plan import Bind, BindsPlan, CollectPlan, Disk, SpawnPlan
from sandbox.boundary.report import Kind, Report, Step
from sandbox.spec.errors import SetupError, ZygoteError
from sandbox.supervisor.planner import Shape
from sandbox.supervisor.sandbox import Sandbox
from sandbox.supervisor.zygote import Zygote

READY, FAILED = Report(Kind.READY, 1), Report(Kind.FAILED, Step.CLONE, 1)
BINDS = BindsPlan((Bind(b"/usr", 1, 1, b"usr", True, False),) * 2)


async def nothing() -> None:
    pass


# A request of one fd, or of two.
REQUESTS: dict[str, tuple[Any, int]] = {
    "spawn": (lambda zygote: zygote.spawn(SpawnPlan(0, 0, 0, None), (), nothing), 1),
    "collect": (lambda zygote: zygote.collect(CollectPlan(0, False, 0, (), 0, b""), ()), 1),
    "binds": (lambda zygote: zygote.open_binds(BINDS), 2),
}


class Process:
    """Stands for a zygote's."""

    mounted = None

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.is_killed = False

    def meet(self) -> None:
        pass

    def is_dead(self) -> bool:
        return False

    def kill(self) -> None:
        self.is_killed = True

    def close(self) -> None:
        self.socket.close()


def open_fds() -> list[str]:
    return sorted(path.name for path in Path("/proc/self/fd").iterdir())


def send(sock: socket.socket, report: Report, count: int) -> None:
    with Path("/dev/null").open() as null:
        fds = array.array("i", [null.fileno()] * count)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
        sock.sendmsg([report.pack()], rights if count else [])


@pytest.mark.parametrize("name", REQUESTS)
def test_as_many_as_are_due_are_handed_over(name: str) -> None:
    ask, due = REQUESTS[name]

    async def main() -> None:
        process = Process()
        zygote = Zygote(process)  # type: ignore[arg-type]
        send(process.theirs, READY, due)
        found = await ask(zygote)
        for fd in [found] if isinstance(found, int) else found[-due:]:
            os.close(fd)
        assert not process.is_killed
        await zygote.close()
        process.theirs.close()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


@pytest.mark.parametrize("report", [READY, FAILED], ids=["ready", "failed"])
@pytest.mark.parametrize("more", [-1, 1, 3])
@pytest.mark.parametrize("name", REQUESTS)
def test_a_zygote_with_other_fds_is_killed_and_none_is_kept(
    name: str, more: int, report: Report
) -> None:
    ask, due = REQUESTS[name]

    async def main() -> None:
        process = Process()
        zygote = Zygote(process)  # type: ignore[arg-type]
        send(process.theirs, report, due + more)
        with pytest.raises(ZygoteError if report is READY else SetupError):
            await ask(zygote)
        assert process.is_killed is (report is READY)
        await zygote.close()
        process.theirs.close()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_init_with_other_fds_is_no_sandbox(count: int) -> None:
    async def main() -> None:
        none: Any = None  # neither planner nor lookout is asked
        sandbox = Sandbox(none, Shape(b"/work", False, False, False), Disk(1, 1), none)
        send(sandbox._init_end, READY, count)
        with pytest.raises(ZygoteError, match=f"sent {count} fds where 2 were due"):
            await sandbox._expect(sandbox._control, Kind.READY, 2)
        await sandbox.destroy()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before


def test_a_stub_that_tells_why_it_failed_hands_over_nothing() -> None:
    async def main() -> None:
        none: Any = None  # neither planner nor lookout is asked
        sandbox = Sandbox(none, Shape(b"/work", False, False, False), Disk(1, 1), none)
        sandbox._command = b"/bin/true"
        send(sandbox._stub_end, Report(Kind.FAILED, Step.EXEC, 2), 2)
        assert "No such file" in str(sandbox.never_executed())
        await sandbox.destroy()

    before = open_fds()
    trio.run(main)
    assert open_fds() == before
