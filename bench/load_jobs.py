"""The jobs of the load, honest and hostile, each with all that must come of it.

Each is a function of a Visit: it has jobs run through a client, and raises Wrong where one did not
come to what it had to. Connections are cut on the way, and cancels come at any moment.
"""

import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import trio

from sandbox.client.aio import AsyncClient
from sandbox.client.aio_job_handle import AsyncJobHandle
from sandbox.client.calls import MOST_STDIN_BYTES
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.spec.result import Result

__all__ = ["KINDS", "PROGRAMS", "Kind", "Visit", "Wrong"]

_CUT_WITHIN_SECONDS = 0.1  # of a submit: before, during and after its job
_STDIN_BYTES = MOST_STDIN_BYTES + 80_000  # up to so many: some do not go along with a submit
_PIECE_BYTES = 50_000
_LONG_SECONDS = "60"
_PATIENCE_SECONDS = 60.0
_C = b'#include <stdio.h>\nint main(void) { puts("%d compiled"); }\n'


class Wrong(Exception):
    """A job did not come to what it had to."""


class Visit(NamedTuple):
    """One turn of a client: what it needs to run jobs, and to be unpredictable."""

    client: AsyncClient
    connect: Callable[[], AsyncClient]  # another connection of the same tenant
    chance: random.Random
    programs: Mapping[str, str]  # name -> SHA-256 of its blob
    key: str  # nobody else's


class Kind(NamedTuple):
    """One kind of job, and how often it is chosen."""

    name: str
    weight: int
    run: Callable[[Visit], Awaitable[None]]


async def _true(visit: Visit) -> None:
    await _finished(await visit.client.submit(["true"], policy="native"), "exited", b"")


async def _echo(visit: Visit) -> None:
    text = str(visit.chance.random())
    job = await visit.client.submit(["echo", text], key=visit.key, label="echo")
    again = await visit.client.submit(["echo", text], key=visit.key, label="echo")
    if again.id != job.id:
        raise Wrong(f"one key has two jobs, {job.id} and {again.id}")
    await _finished(job, "exited", f"{text}\n".encode())


async def _cut_off(visit: Visit) -> None:
    """A submit whose connection goes away, and which is made again: it runs once."""
    command = ["echo", visit.key]
    async with visit.connect() as other:
        with trio.move_on_after(visit.chance.random() * _CUT_WITHIN_SECONDS):
            await other.submit(command, key=visit.key)
    job = await visit.client.submit(command, key=visit.key)
    status = await _ended(job)
    if status.runs > 1:
        raise Wrong(f"a job that may run once has run {status.runs} times")
    if _result(status).verdict == "cancelled":  # so is one whose submit is given up in time
        await job.delete()
    else:
        await _finished(job, "exited", f"{visit.key}\n".encode())


async def _stdin(visit: Visit) -> None:
    """What goes in comes out again, though the connection is lost between two pieces of it."""
    data = visit.chance.randbytes(visit.chance.randrange(_STDIN_BYTES))
    job = await visit.client.submit(["cat"], stdin=data, policy="native", key=visit.key)
    found, is_end = bytearray(), False
    while not is_end:
        async with visit.connect() as reader:
            is_end = True
            async for piece in reader.job(job.id).stream("stdout", len(found)):
                found += piece
                if visit.chance.random() < 0.2:
                    is_end = False
                    break
    await _finished(job, "exited")
    if found != data:
        raise Wrong(f"{len(data)} bytes of stdin came back as {len(found)} others")


async def _written(visit: Visit) -> None:
    """A job that is written to, piece by piece, over connections that are lost."""
    data = visit.chance.randbytes(visit.chance.randrange(5 * _PIECE_BYTES))
    async with visit.connect() as writer:
        job = await writer.submit(["cat"], stdin_open=True, policy="native")
        try:
            for start in range(0, len(data), _PIECE_BYTES):
                await job.write(data[start : start + _PIECE_BYTES])
                if visit.chance.random() < 0.3:
                    writer.close()  # the next write makes a new one
            await job.close_stdin()
        except SpecError:  # a daemon that was killed knows no offset: the job's end says so
            await _ended(job)
            raise
        found = b"".join([piece async for piece in job.stream("stdout")])
        await _finished(job, "exited")
        if found != data:
            raise Wrong(f"{len(data)} bytes written came back as {len(found)} others")


async def _terminal(visit: Visit) -> None:
    command = ["sh", "-c", "test -t 0 && test -t 1 && echo terminal"]
    await _finished(await visit.client.submit(command, tty=True), "exited", b"terminal\r\n")


async def _compiled(visit: Visit) -> None:
    """A program is compiled, kept, sent again and run."""
    number = visit.chance.randrange(1 << 30)
    source = await visit.client.blob(_C % number)
    gcc = await visit.client.submit(
        ["gcc", "-o", "/work/program", "/work/program.c"],
        policy="compile",
        copy=[{"blob": source, "destination": "/work/program.c"}],
        collect=["/work/program"],
        key=visit.key,
    )
    status = await _ended(gcc)
    if _result(status).exit_code != 0:
        raise Wrong(f"gcc: {_result(status)}")
    program = b"".join([piece async for piece in gcc.artifact("/work/program")])
    binary = await visit.client.blob(program)
    job = await visit.client.submit(
        ["/work/program"],
        policy="native",
        ro=[{"blob": binary, "destination": "/work/program"}],
    )
    await _finished(job, "exited", b"%d compiled\n" % number)
    await gcc.delete()


async def _pipeline(visit: Visit) -> None:
    last = visit.chance.randrange(1, 5000)
    jobs = await visit.client.pipeline([["seq", str(last)], ["tail", "-n1"], ["cat"]])
    for job in jobs:
        await _ended(job)  # where one of them was lost, that is why the others ended
    for number, job in enumerate(jobs):
        output = b"%d\n" % last if number == len(jobs) - 1 else None
        await _finished(job, "exited", output)


async def _cancelled(visit: Visit) -> None:
    job = await visit.client.submit(["sleep", _LONG_SECONDS])
    await trio.sleep(visit.chance.random() * _CUT_WITHIN_SECONDS)
    await job.cancel()
    await _finished(job, "cancelled")


async def _attached(visit: Visit) -> None:
    """A job that goes with its connection."""
    async with visit.connect() as other:
        job = await other.submit(["sleep", _LONG_SECONDS], attached=True)
        await trio.sleep(visit.chance.random() * _CUT_WITHIN_SECONDS)
    await _finished(visit.client.job(job.id), "cancelled")


async def _signalled(visit: Visit) -> None:
    job = await visit.client.submit(["sh", "-c", f"echo ready; sleep {_LONG_SECONDS}; true"])
    await job.read(wait_seconds=_PATIENCE_SECONDS)
    try:
        await job.signal(signal.SIGKILL)
    except RefusedError:  # it does not run: its end says why
        await _ended(job)
        raise
    await _finished(job, "signaled")


class _Hostile(NamedTuple):
    """One of examples/hostile."""

    program: str
    verdict: str
    limits: Mapping[str, str] = {}
    output: bytes | None = None


_HOSTILE = (
    _Hostile("fork_bomb", "processes"),
    _Hostile("zombies", "processes"),
    _Hostile("thread_bomb", "processes"),
    _Hostile("memory_heap", "memory", {"memory": "32MiB"}),
    _Hostile("memory_children", "memory", {"memory": "64MiB"}),
    _Hostile("output_flood", "output", {"output": "100000"}),
    _Hostile("disk_fill", "disk", {"disk": "4MiB"}),
    _Hostile("inode_fill", "disk", {"disk": "4MiB:500"}),
    _Hostile("daemon", "exited", {}, b"daemon started\n"),
    _Hostile("kill_all", "exited", {}, b"alive\n"),
    _Hostile("stops_itself", "idle", {"idle": "300ms"}),
    _Hostile("closes_stdout", "wall_time", {"wall": "300ms"}),
    _Hostile("ignores_sigterm", "cpu_time", {"cpu_time": "200ms"}),
    _Hostile("overflows_stack", "signaled"),
    _Hostile("mounts", "violation"),
    _Hostile("user_namespace", "violation"),
    _Hostile("foreign_abi", "violation"),
)
PROGRAMS = tuple(case.program for case in _HOSTILE)


def _hostile(case: _Hostile) -> Callable[[Visit], Awaitable[None]]:
    async def run(visit: Visit) -> None:
        job = await visit.client.submit(
            ["/work/program"],
            limits=case.limits,
            ro=[{"blob": visit.programs[case.program], "destination": "/work/program"}],
            key=visit.key,
        )
        await _finished(job, case.verdict, case.output)

    return run


KINDS = (
    Kind("true", 24, _true),
    Kind("echo", 12, _echo),
    Kind("cut off", 12, _cut_off),
    Kind("stdin", 6, _stdin),
    Kind("written", 6, _written),
    Kind("terminal", 6, _terminal),
    Kind("compiled", 2, _compiled),
    Kind("pipeline", 6, _pipeline),
    Kind("cancelled", 6, _cancelled),
    Kind("attached", 6, _attached),
    Kind("signalled", 4, _signalled),
    *(Kind(case.program, 1, _hostile(case)) for case in _HOSTILE),
)


async def _ended(job: AsyncJobHandle) -> Any:
    status = await job.wait()
    if status.error is not None:
        raise status.error
    return status


def _result(status: Any) -> Result:
    return status.result


async def _finished(job: AsyncJobHandle, verdict: str, stdout: bytes | None = None) -> None:
    """Wait for its end, which must be this one; then have it forgotten."""
    status = await _ended(job)
    result = _result(status)
    if result.verdict != verdict:
        raise Wrong(f"{result.verdict} instead of {verdict}: {result.evidence}")
    if stdout is not None and status.stdout.data != stdout:
        raise Wrong(f"it printed {status.stdout.data!r} instead of {stdout!r}")
    await job.delete()
