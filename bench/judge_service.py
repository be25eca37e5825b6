"""Judgings over RPC against the same ones in a process of our own: what the service costs.

Small submissions to a problem of few tests, compiled before; so many clients have one judged after
the other. In process as many are judged at once, by one judge, on the same cores.
"""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import trio

from bench.daemon import Daemon
from bench.rounds import Figure, Measure
from sandbox import AsyncClient, AsyncJudgeClient
from sandbox.judge.engine import Judge

__all__ = ["judging_figures"]

_CLIENTS = (1, 4, 16)
_SUBMISSIONS = 32  # of all clients, in one try


@asynccontextmanager
async def judging_figures(
    daemon: Daemon, judge: Judge, limit_seconds: float
) -> AsyncIterator[list[Figure]]:
    """For as long as this lasts: a figure for each number of clients."""
    submission = judge.problem.submissions[0]
    files = {name: path.read_bytes() for name, path in submission.files}
    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(AsyncClient(daemon.address))
            for _ in range(max(_CLIENTS))
        ]
        clients = [AsyncJudgeClient(client) for client in opened]
        sha256 = await opened[0].blob(_zipped(judge.problem.directory))

        async def over_rpc(number: int) -> str:
            handle = await clients[number].submit(sha256, files, time_limit_seconds=limit_seconds)
            return (await handle.result()).verdict

        async def in_process(_number: int) -> str:
            return (await judge.judge(submission, limit_seconds)).verdict

        yield [
            Figure(
                f"judgings over RPC, clients: {count}",
                _judgings(over_rpc, count),
                {"in process": _judgings(in_process, count)},
            )
            for count in _CLIENTS
        ]


def _judgings(judge: Callable[[int], Awaitable[str]], count: int) -> Measure:
    """How long one judging takes of the time, with `count` at once."""

    async def one(number: int, left: Iterator[int]) -> None:
        for _ in left:
            if (verdict := await judge(number)) != "AC":
                raise RuntimeError(f"it was judged {verdict}")

    async def measure() -> Sequence[float]:
        start, left = time.perf_counter(), iter(range(_SUBMISSIONS))
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number, left)
        return [(time.perf_counter() - start) / _SUBMISSIONS]

    return measure


def _zipped(directory: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(directory))
    return data.getvalue()
