"""The supervisor as a library: jobs in the caller's own process, without a service."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.policy import Policy, limits_for, load_policy
from sandbox.spec.result import Completed, Result
from sandbox.supervisor import supervisor as resident
from sandbox.supervisor.failures import first_failure
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.pipeline import Member, Pipe
from sandbox.supervisor.pool import Budget
from sandbox.supervisor.startup import start_keeper, take_ground
from sandbox.supervisor.streams import PIECE_BYTES, Sink

__all__ = ["HeldOrder", "Order", "Pipe", "Supervisor"]


class Order(NamedTuple):
    """One job of a pipeline, and its streams: as the arguments of `Supervisor.run`."""

    job: Job
    stdin: bytes | Path | AsyncIterator[bytes] | None = b""
    sink: Sink | None = None
    cancellation: Cancellation | None = None


class Supervisor:
    """Runs jobs for as long as the `async with` block lasts, under trio.

    >>> async def main():
    ...     async with Supervisor() as supervisor:
    ...         done = await supervisor.run(["tr", "a-z", "A-Z"], stdin=b"hello")
    ...         print(done.result.verdict, done.stdout)
    >>> trio.run(main)
    exited b'HELLO'

    It takes what the host gives to this user (see `sandbox doctor`) and gives it back at the end.
    It locks its helpers and not this process, which is yours and may have other things to do:
    `sandbox serve` and `sandbox run` lock their own (supervisor/confinement.py).
    Root must drop its privileges for good before anything runs: see `drops_root`.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        allow_degraded: bool = False,
        drops_root: bool = False,
    ) -> None:
        """`budget`: of sandboxes parked ahead of their jobs; None: the default one.

        `drops_root`: where this process is root's, it becomes an ordinary user for good.
        """
        self._budget = budget or Budget()
        self._allow_degraded = allow_degraded
        self._drops_root = drops_root
        self._policies: dict[str, Policy] = {}
        self._held = contextlib.AsyncExitStack()
        self._supervisor: resident.Supervisor

    async def __aenter__(self) -> "Supervisor":
        """Raises HostError: the host lacks something, or this is root."""
        if os.geteuid() == 0 and not self._drops_root:
            raise HostError(
                "a program that runs as root cannot run jobs in its own process, for it would have"
                " to give up root for good; fix: run it as an ordinary user, or use sandbox serve"
            )
        async with contextlib.AsyncExitStack() as held:
            keeper = start_keeper()
            held.callback(keeper.close_all)
            ground, _ = take_ground(keeper, allow_degraded=self._allow_degraded)
            held.callback(ground.close)
            opened = resident.open_supervisor(ground, self._budget)
            self._supervisor = await held.enter_async_context(opened)
            self._held = held.pop_all()
        return self

    async def __aexit__(self, *failure: Any) -> bool | None:
        try:
            return await self._held.__aexit__(*failure)
        except BaseExceptionGroup as group:
            # The block's own error comes out of our nurseries in a group for each.
            if first_failure(group) is failure[1] and group.split(type(failure[1]))[1] is None:
                return False
            raise

    async def run(
        self,
        job: Job | Sequence[str | bytes],
        *,
        stdin: bytes | Path | AsyncIterator[bytes] = b"",
        sink: Sink | None = None,
        cancellation: Cancellation | None = None,
        **settings: Any,
    ) -> Completed:
        """Run one job to its end: a Job, or a command with `settings` as a spec file has them.

        `sink` is called with "stdout" or "stderr" and bytes, as they come; what it takes is not in
        the Completed. Artifacts go where the job says. Raises SpecError naming the field,
        RefusedError, HostError, SetupError, ExecError; what the job does wrong is in its result.
        """
        if not isinstance(job, Job):
            job = job_from_mapping({"command": list(job), **settings}, Path.cwd())
        elif settings:
            raise TypeError("settings are in the Job already")
        with self._hold(Order(job, stdin, sink, cancellation)) as held:
            return held.completed(await self._supervisor.run(*held.member))

    async def run_pipeline(
        self,
        orders: Sequence[Order],
        pipes: Sequence[Pipe],
        closed: Callable[[int], None] = lambda _: None,
    ) -> list[Completed | SandboxError]:
        """Run jobs connected by pipes, started together: what came of each, in their order.

        The stdin of a pipe's target is to be None. `closed` is told which job closed its end of a
        pipe, as it is seen, and before the job at the other end can see it. Jobs that wait for each
        other for ever end as `idle`, with the deadlock as evidence. Raises SpecError: a job cannot
        be meant, or they cannot be connected so.
        """
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(self._hold(order)) for order in orders]
            members = [one.member for one in held]
            outcomes = await self._supervisor.run_pipeline(members, pipes, closed=closed)
            return [
                outcome if isinstance(outcome, SandboxError) else one.completed(outcome)
                for one, outcome in zip(held, outcomes, strict=True)
            ]

    def _hold(self, order: Order) -> "HeldOrder":
        name = order.job.policy
        if name.endswith(".toml"):  # a caller's own file, as it is now
            return HeldOrder(order, load_policy(name))
        # One of the package's takes as long to read as a job.
        if name not in self._policies:
            self._policies[name] = load_policy(name)
        return HeldOrder(order, self._policies[name])


class HeldOrder:
    """An order, while it is run: its files open, its outputs kept."""

    def __init__(self, order: Order, policy: Policy | None = None) -> None:
        """`policy`: what the job's name of one means; None: a policy of the package, or a file.

        Raises SpecError: the job cannot be meant.
        """
        self._outputs = {"stdout": bytearray(), "stderr": bytearray()}
        policy = policy or load_policy(order.job.policy)
        limits = limits_for(order.job, policy)
        source = order.stdin
        if isinstance(source, bytes):
            source = _once(source)
        elif isinstance(source, Path):
            source = _read(_open(source))
        caller = Caller(order.sink or self._keep, source, order.cancellation or Cancellation())
        self.member = Member(order.job, policy, limits, Files.open(order.job), caller)

    def __enter__(self) -> "HeldOrder":
        return self

    def __exit__(self, *failure: Any) -> None:
        self.member.files.close()

    def completed(self, result: Result) -> Completed:
        """All that its caller gets."""
        kept = (bytes(self._outputs[stream]) for stream in ("stdout", "stderr"))
        return Completed(result, *kept, {})

    async def _keep(self, stream: str, data: bytes) -> None:
        self._outputs[stream] += data


async def _once(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise SpecError("stdin", f"{path}: {error.strerror}") from error


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
