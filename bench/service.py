"""What the daemon costs: a call, a job through its socket, jobs a second, and the command."""

import hashlib
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from bench.caller import Caller, request, run_jobs
from bench.daemon import Daemon, serving
from bench.echo import echoing
from bench.jobs import job_of
from bench.peers import BWRAP, timed
from bench.ratios import Goal
from bench.resident import Resident
from bench.rounds import Figure, Measure
from bench.stage import Stage
from sandbox.wire.job import job_to_map

__all__ = ["TENANTS", "TRUE", "Service", "open_service", "service_figures"]

TRUE = job_to_map(job_of("/usr/bin/true"))
TENANTS = ("one", "other")
_CALLS = 50
_JOBS = {1: 48, 8: 96, 64: 192}  # by how many clients
_LOOK_SECONDS = 0.005
_LOOKS = 4  # that see the same, and then nothing is being parked


class Service(NamedTuple):
    """A daemon, and a bare echo beside it."""

    daemon: Daemon
    caller: Caller  # of this user
    echo: Path
    tokens: dict[str, str]  # of each tenant on TCP

    def idle_sandboxes(self) -> int:
        """How many it has parked."""
        text = self.caller.call("server.metrics")["text"]
        return int(text.partition("\nsandbox_pool_idle ")[2].partition("\n")[0])

    async def settled(self) -> None:
        """Wait until it parks no more, or that would disturb whoever is next."""
        seen = [self.idle_sandboxes()]
        while len(seen) < _LOOKS or len(set(seen[-_LOOKS:])) > 1:
            await trio.sleep(_LOOK_SECONDS)
            seen.append(self.idle_sandboxes())


@contextmanager
def open_service(stage: Stage) -> Iterator[Service]:
    """Both, for as long as this lasts. OSError: they do not start."""
    tokens = {name: secrets.token_hex() for name in TENANTS}
    config = '[listen]\ntcp = "127.0.0.1:0"\nclear = true\n' + "".join(
        f'[tenants.{name}]\ntokens = ["sha256:{hashlib.sha256(token.encode()).hexdigest()}"]\n'
        for name, token in tokens.items()
    )
    echo = stage.scratch / "echo"
    with serving(stage.package, stage.scratch / "daemon", config) as daemon, echoing(echo):
        caller = Caller(daemon.path)
        try:
            yield Service(daemon, caller, echo, tokens)
        finally:
            caller.close()


def service_figures(
    service: Service, stage: Stage, warm: Resident, in_process: Measure, bwrap: Measure
) -> list[Figure]:
    """`in_process`: a lone warm job of `warm`."""
    calls = Figure(
        "server.hello, round trip",
        _calls(service.caller, request("server.hello")),
        {"a bare msgpack echo": _calls(Caller(service.echo), request("server.hello"))},
        Goal(4, 2),
    )
    one = _lone(service)
    lone = [
        Figure(
            "job through the socket, warm",
            one,
            {"bwrap": bwrap, "in-process": in_process},
            Goal(0.5, 0.4),
        ),
        *(
            Figure(
                f"the same, durability {level}",
                _lone(service, durability=level),
                {"durability process": one},
            )
            for level in ("memory", "power")
        ),
    ]
    command = Figure(
        "`sandbox run -- true` by the daemon",
        timed(
            *(sys.executable, "-m", "sandbox", "run", "--host", service.daemon.address),
            *("--", "true"),
            cwd=stage.package,
        ),
        {
            "`python3 -I -c pass`": timed(sys.executable, "-I", "-c", "pass"),
            "bwrap": bwrap,
        },
        Goal(3, 2),
    )
    return [calls, *lone, command, *(_many(service, warm, clients) for clients in _JOBS)]


def _calls(caller: Caller, call: bytes) -> Measure:
    async def measure() -> Sequence[float]:
        found = []
        for _ in range(_CALLS):
            start = time.perf_counter()
            caller.send(call)
            caller.message()
            found.append(time.perf_counter() - start)
        return found

    return measure


def _lone(service: Service, **options: Any) -> Measure:
    async def measure() -> Sequence[float]:
        await service.settled()
        start = time.perf_counter()
        service.caller.run(TRUE, **options)
        seconds = time.perf_counter() - start
        await service.settled()
        return [seconds]

    return measure


def _many(service: Service, warm: Resident, clients: int) -> Figure:
    jobs = _JOBS[clients]
    callers = [Caller(service.daemon.path) for _ in range(clients)]
    bwraps = timed("xargs", "-n1", f"-P{clients}", *BWRAP, "true", stdin="1 " * jobs)

    async def through_the_socket() -> Sequence[float]:
        await service.settled()
        parked = service.idle_sandboxes()
        start = time.perf_counter()
        run_jobs(callers, jobs, TRUE)
        while service.idle_sandboxes() < parked:  # what the pool lent for the run is paid back
            await trio.sleep(_LOOK_SECONDS)
        return [jobs / (time.perf_counter() - start)]

    async def in_process() -> Sequence[float]:
        await warm.filled()
        start = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(_one_after_the_other, warm, jobs // clients)
        await warm.filled()
        return [jobs / (time.perf_counter() - start)]

    async def by_bwrap() -> Sequence[float]:
        (seconds,) = await bwraps()
        return [jobs / seconds]

    return Figure(
        f"jobs a second through the socket, clients: {clients}",
        through_the_socket,
        {"bwrap": by_bwrap, "in-process": in_process},
    )


async def _one_after_the_other(here: Resident, jobs: int) -> None:
    for _ in range(jobs):
        await here.run(job_of("/usr/bin/true"))
