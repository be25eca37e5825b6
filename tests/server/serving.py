"""A server without sandboxes, in this process.

All of it is the real one but the supervisor: its jobs are coroutines named by their command, so a
test decides when they write, read and end. Time may be a MockClock: then it only passes by a test,
and how long the server computes is not counted.
"""

import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from server.peers import PATIENCE_SECONDS, TOKENS, Peer
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from sandbox.server import intake
from sandbox.server.admission import Admission, Demand, Share
from sandbox.server.assembly import assemble
from sandbox.server.blobs import BlobStore
from sandbox.server.config import config_from_mapping
from sandbox.server.connection import Connection
from sandbox.server.intake import Intake
from sandbox.server.journal import open_journal
from sandbox.server.listen import Doors, open_tcp
from sandbox.server.log import Log
from sandbox.server.metrics import Metrics
from sandbox.server.orders import Orders
from sandbox.server.policies import Policies
from sandbox.server.runner import Runner
from sandbox.server.service import Service
from sandbox.server.shelf import Retention
from sandbox.server.spool_files import SpoolFiles
from sandbox.server.tenants import Tenant, Tenants
from sandbox.spec.job import Job
from sandbox.spec.result import Result
from sandbox.supervisor.lifecycle import Caller, not_started
from sandbox.supervisor.pipeline import Member

__all__ = ["COUNTED_SECONDS", "Server", "jump", "numbered", "pass_time", "serving"]

GIB = 1 << 30
COUNTED_SECONDS = 100.0  # less time to compute is not counted on a MockClock


class Server:
    """The server's parts, and ways to connect to it."""

    def __init__(self, service: Service, nursery: trio.Nursery, log_path: Path) -> None:
        self.service, self._nursery = service, nursery
        self.connections: list[Connection] = []  # of `peer`
        self.doors = Doors(service, nursery)
        self.intake: Intake = self.doors.intake
        self._log_path = log_path

    def log_lines(self, event: str = "") -> list[str]:
        """What was logged, of one event or of all."""
        return [line for line in self._log_path.read_text().splitlines() if event in line]

    def peer(
        self, tenant: str | None = "local", *, lockstep: bool = False, strange: bool = False
    ) -> Peer:
        """A new connection in memory, whose peer nobody needs to introduce unless `strange`.

        `lockstep`: what one end sends waits until the other end takes it; else all is buffered.
        """
        pair = lockstep_stream_pair() if lockstep else memory_stream_pair()
        known = None if strange else self.tenant(tenant)
        connection = Connection(pair[0], self.service, known, "peer", self.intake)
        self.connections.append(connection)
        self._nursery.start_soon(self._serve, connection)
        return Peer(pair[1])

    def tenant(self, name: str | None) -> Tenant:
        """The tenant of one of TOKENS, or our own user."""
        tenants = self.service.tenants
        return tenants.of_uid(os.geteuid()) if name == "local" else Tenant(tenants.config_of(name))

    async def written(self, size_bytes: int, **fields: Any) -> str:
        """A job that has written so much, and is over."""
        peer = self.peer()
        job = await peer.submit("write", str(size_bytes), **fields)
        await peer.call("job.wait", job=job, wait_seconds=60.0)
        return job

    async def unix(self) -> Callable[[], Awaitable[Peer]]:
        """Let clients in by a unix socket; what connects to it."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("")  # any abstract address, unix(7)
        listener.listen(512)
        self._nursery.start_soon(self.doors.unix, listener)
        address = listener.getsockname()

        async def connect() -> Peer:
            return Peer(await trio.open_unix_socket(address))

        return connect

    async def tcp(self) -> Callable[[], Awaitable[Peer]]:
        """Let clients in by TCP in clear; what connects to it."""
        (listener,) = open_tcp("127.0.0.1", 0)
        self._nursery.start_soon(self.doors.tcp, listener, None)
        address = listener.getsockname()

        async def connect() -> Peer:
            return Peer(await trio.open_tcp_stream(*address))

        return connect

    async def _serve(self, connection: Connection) -> None:
        await connection.serve()
        self.connections.remove(connection)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Server]:
    """A server whose files are in `directory`."""
    for name in ("spool", "blobs"):
        (directory / name).mkdir(mode=0o700)
    log_path = directory / "log"
    tables = {name: {"tokens": [token_hash]} for name, (_, token_hash) in TOKENS.items()}
    tenants = Tenants(config_from_mapping({"tenants": tables}, directory).tenants)
    budget = Demand(1000, 1000 * GIB, 1000, 1 << 20, 1000, 1000 * GIB)
    admission = Admission(budget, lambda _: Share(), most_queued=1000, cores=())
    blobs = BlobStore(directory / "blobs", lambda _: GIB, 3600)
    metrics = Metrics()
    with log_path.open("wb") as log_file:
        log = Log(fd=log_file.fileno(), environ={})
    try:
        async with open_journal(directory / "journal.sqlite") as kept, trio.open_nursery() as runs:
            programs, policies = _Programs(), Policies(None)
            service, _ = assemble(
                Runner(programs, log),
                Orders(programs, admission, policies, log),
                admission,
                kept,
                blobs,
                SpoolFiles(directory / "spool"),
                policies,
                tenants,
                budget=budget,
                retention=Retention(3600, GIB, GIB, 1000),
                log=log,
                metrics=metrics,
                nursery=runs,
                drain=lambda _: None,
                reload=lambda: None,
            )
            with _patience():
                async with trio.open_nursery() as clients:
                    yield Server(service, clients, log_path)
                    clients.cancel_scope.cancel()
            for record in service.jobs._live:
                record.cancellation.set()
            runs.cancel_scope.cancel()
        blobs.close()
    finally:
        log.close()


@contextmanager
def _patience() -> Iterator[None]:
    """Real time: that of a test may stand still."""
    is_real = not isinstance(trio.lowlevel.current_clock(), MockClock)
    with pytest.MonkeyPatch.context() as patch, trio.CancelScope() as scope:
        if not is_real:
            patch.setattr(intake, "_HEAVY_SECONDS", COUNTED_SECONDS - 1)
        tell = trio.lowlevel.current_trio_token().run_sync_soon
        watch = threading.Timer(PATIENCE_SECONDS, tell, (scope.cancel,))
        watch.start()
        try:
            yield
        finally:
            watch.cancel()
    assert not scope.cancelled_caught, "the test waits for something that does not come"


class _Programs:
    """A supervisor whose jobs are the methods below, by the first word of their command."""

    async def run(
        self, job: Job, _policy: Any, _limits: Any, _files: Any, caller: Caller
    ) -> Result:
        name, *words = map(os.fsdecode, job.command)
        result = not_started(walls={}, grades={}, artifacts={}, identity={}, host={})
        with caller.cancellation.interrupts() as scope:
            await getattr(self, name)(caller, *words)
        ending = ("cancelled", None) if scope.cancelled_caught else ("exited", 0)
        return result._replace(verdict=ending[0], exit_code=ending[1], evidence=())

    async def run_pipeline(
        self, members: Sequence[Member], _pipes: Any, ended: Callable[[int, Result], None]
    ) -> list[Result]:
        results: dict[int, Result] = {}

        async def run(number: int, member: Member) -> None:
            results[number] = await self.run(*member)
            ended(number, results[number])

        async with trio.open_nursery() as nursery:
            for number, member in enumerate(members):
                nursery.start_soon(run, number, member)
        return [results[number] for number in range(len(members))]

    async def true(self, _caller: Caller, *_words: str) -> None:
        await trio.lowlevel.checkpoint()

    async def hold(self, _caller: Caller) -> None:
        await trio.sleep_forever()

    async def echo(self, caller: Caller) -> None:
        if caller.stdin is not None:
            async for piece in caller.stdin:
                await caller.sink("stdout", piece)

    async def write(self, caller: Caller, size_bytes: str) -> None:
        for piece in _pieces(int(size_bytes)):
            await caller.sink("stdout", piece)
            await trio.lowlevel.checkpoint()

    async def write_and_hold(self, caller: Caller, size_bytes: str) -> None:
        await self.write(caller, size_bytes)
        await self.hold(caller)


def _pieces(size_bytes: int) -> Iterator[bytes]:
    """Bytes of which each tells its place: so what is lost, doubled or moved is seen."""
    for start in range(0, size_bytes, 1 << 16):
        yield numbered(start, min(size_bytes, start + (1 << 16)))


def numbered(start: int, end: int) -> bytes:
    """The bytes from `start` to `end` of what `write` writes."""
    first, last = start // 8, -(-end // 8)
    words = b"".join(number.to_bytes(8, "big") for number in range(first, last))
    return words[start - 8 * first : end - 8 * first]


async def pass_time(seconds: float) -> None:
    """Move a MockClock on when everybody waits, and let everybody see it."""
    await wait_all_tasks_blocked()
    jump(seconds)
    await wait_all_tasks_blocked()


def jump(seconds: float) -> None:
    """Move a MockClock on."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    clock.jump(seconds)
