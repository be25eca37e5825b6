"""How fast what a job writes comes to a client, and how soon."""

import subprocess
import time
from collections.abc import Sequence
from typing import Any

from bench.caller import Caller, notification, request, result_of
from bench.daemon import Daemon
from bench.jobs import job_of, program_of
from bench.ratios import Goal
from bench.rounds import Figure, Measure
from bench.stage import Stage
from bench.streams import STREAM_MIB, Clock, plain
from sandbox.wire.job import job_to_map

__all__ = ["live_figures", "stream_figures"]

_CREDIT_BYTES = 4 << 20
_GRANT_BYTES = 1 << 20
_PULL_BYTES = 256 << 10
_ECHOES = 50
_LINE = b"as long as a line that somebody types\n"


def stream_figures(daemon: Daemon, stage: Stage) -> list[Figure]:
    """A job that writes without end, pushed and pulled; needs the C programs."""
    caller = Caller(daemon.path)
    pour = job_to_map(program_of(stage.programs, "/programs/pour", str(STREAM_MIB)))
    pipe = plain(str(stage.programs / "pour"), str(STREAM_MIB))
    return [
        Figure(
            "stdout pushed to a client",
            _rate(caller, pour, _pushed),
            {"trio reads a pipe": pipe},
            Goal(0.25, 0.5, at_least=True),
        ),
        Figure(
            "stdout pulled by job.read", _rate(caller, pour, _pulled), {"trio reads a pipe": pipe}
        ),
    ]


def live_figures(daemon: Daemon) -> list[Figure]:
    """From job.write until what the job answers is pushed to the client."""
    caller = Caller(daemon.path)
    cat = job_to_map(job_of("/usr/bin/cat"))

    async def through_the_daemon() -> Sequence[float]:
        job = caller.call("job.submit", job=cat, stdin_open=True)["job"]
        caller.call("stream.open", job=job, stream="stdout", offset=0, credit_bytes=_CREDIT_BYTES)
        found = []
        for _ in range(_ECHOES + 1):
            start = time.perf_counter()
            # A response tells that it was written, a notification brings it back; in any order.
            caller.send(request("job.write", job=job, data=_LINE))
            seen = {caller.message()[0], caller.message()[0]}
            assert seen == {1, 2}
            found.append(time.perf_counter() - start)
        caller.call("job.write", job=job, end=True)
        _forget(caller, job)
        return found[1:]  # in the first one is the job's start

    return [
        Figure(
            "live echo, p50",
            through_the_daemon,
            {"cat at two pipes": _cat},
        ),
        Figure(
            "live echo, p99",
            through_the_daemon,
            {"their p50": None},
            Goal(6, 3),
            quantile=0.99,
        ),
    ]


async def _cat() -> Sequence[float]:
    found = []
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for _ in range(_ECHOES + 1):
            start = time.perf_counter()
            process.stdin.write(_LINE)
            process.stdout.read(len(_LINE))
            found.append(time.perf_counter() - start)
        process.stdin.close()
    return found[1:]


def _rate(caller: Caller, job: dict[str, Any], receive: Any) -> Measure:
    async def measure() -> Sequence[float]:
        clock = Clock()
        name = caller.call("job.submit", job=job)["job"]
        size = receive(caller, name, clock)
        if size != STREAM_MIB << 20:
            raise RuntimeError(f"{size} bytes came of a stream of {STREAM_MIB} MiB")
        _forget(caller, name)
        return [clock.rate()]

    return measure


def _pushed(caller: Caller, job: str, clock: Clock) -> int:
    caller.send(
        request("stream.open", job=job, stream="stdout", offset=0, credit_bytes=_CREDIT_BYTES)
    )
    offset = untold = 0
    while True:
        message = caller.message()
        if message[0] == 1:
            subscription = result_of(message)["subscription"]
            continue
        if message[1] == "stream.end":
            return offset
        size = len(message[2][0]["data"])
        clock.count(size)
        offset += size
        untold += size
        if untold >= _GRANT_BYTES:
            caller.send(
                notification("stream.grant", subscription=subscription, credit_bytes=untold)
            )
            untold = 0


def _pulled(caller: Caller, job: str, clock: Clock) -> int:
    offset, is_end = 0, False
    while not is_end:
        piece = caller.call(
            "job.read", job=job, stream="stdout", offset=offset, most_bytes=_PULL_BYTES,
            wait_seconds=60,
        )  # fmt: skip
        clock.count(len(piece["data"]))
        offset, is_end = offset + len(piece["data"]), piece["is_end"]
    return offset


def _forget(caller: Caller, job: str) -> None:
    caller.call("job.wait", job=job, wait_seconds=60)
    caller.call("job.delete", job=job)
