"""What reads somebody's package in a sandbox: a program of ours, as a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from sandbox import Completed, Order
from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.spec.fields import printable
from sandbox.spec.job import Input, Job

__all__ = ["BROKEN", "Run", "run_sandboxed"]

Run = Callable[[Order], Awaitable[Completed]]

BROKEN = 3  # the exit code where what is read breaks a rule, which is told on stderr
_MOST_STDERR_BYTES = 4096
_LIMITS = {"memory_bytes": 512 << 20, "cpu_seconds": 300.0, "wall_seconds": 900.0, "cpus": 1.0}


async def run_sandboxed(
    run: Run,
    doing: str,
    command: Sequence[bytes],
    inputs: Sequence[Input],
    most_bytes: int,
    take: Callable[[bytes], None],
) -> None:
    """Run it to its end; `take` is given its output, up to `most_bytes`, in a thread.

    `doing`: what, for messages. Raises SpecError("problem", the rule that is broken), also as
    `take` does; HostError: there is no room for what `take` writes.
    """
    failure: list[SandboxError] = []
    stderr = bytearray()

    async def sink(stream: str, data: bytes) -> None:
        if stream == "stderr":
            stderr.extend(data[: _MOST_STDERR_BYTES - len(stderr)])
            return
        try:
            await trio.to_thread.run_sync(take, data)
        except SpecError as error:
            failure.append(error)
        except OSError as error:
            failure.append(HostError(f"no room for {doing}: {error.strerror}; fix: free some"))
        if failure:
            raise BrokenPipeError  # as one who has heard enough: the job ends

    limits = {**_LIMITS, "output_bytes": most_bytes}
    job = Job(command=tuple(command), policy="python", limits=limits, inputs=tuple(inputs))
    try:
        result = (await run(Order(job, None, sink))).result
    except SandboxError:
        if not failure:
            raise
    if failure:
        raise failure[0]
    if result.verdict != "exited":
        why = "; ".join(result.evidence)
        raise SpecError("problem", f"{doing} was ended: {result.verdict}: {why}")
    if result.exit_code:
        said = stderr.decode("utf-8", "replace").strip()
        if said and result.exit_code == BROKEN:
            raise SpecError("problem", printable(said))
        last = said.rpartition("\n")[2]
        raise SpecError("problem", f"{doing} ended with {result.exit_code}: {printable(last)}")
