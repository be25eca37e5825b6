"""Jobs connected by pipes: started together, and then each a job like any other.

The bytes go through the supervisor, so that output limits and counts hold as for any job, and so
that a parked sandbox can be used, whose own pipes were made long before.
"""

import os
import select
from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from sandbox.spec.errors import RefusedError, SandboxError, SpecError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import Policy
from sandbox.supervisor.files import Files
from sandbox.supervisor.joint import Joint, carry
from sandbox.supervisor.lifecycle import Caller, Run

__all__ = ["Member", "Pipe", "Pipeline", "check_pipes"]

_MOST_MEMBERS = 16


class Member(NamedTuple):
    """One job, with all that it takes to run it."""

    job: Job
    policy: Policy
    limits: Limits
    files: Files
    caller: Caller


class Pipe(NamedTuple):
    """What one member writes, another reads; both are indices, and may be the same."""

    source: int
    stream: str  # of the source: "stdout" or "stderr"
    target: int  # whose stdin it is
    is_recorded: bool = True  # the source's sink is given the bytes too


def check_pipes(members: Sequence[Member], pipes: Sequence[Pipe]) -> None:
    """Raise SpecError for what cannot be connected."""
    if not 1 <= len(members) <= _MOST_MEMBERS:
        raise SpecError("jobs", f"{len(members)} of them; a pipeline has 1 to {_MOST_MEMBERS}")
    for number, pipe in enumerate(pipes):
        field = f"pipes[{number}]"
        for end, index in (("from", pipe.source), ("to", pipe.target)):
            if not 0 <= index < len(members):
                raise SpecError(f"{field}.{end}", f"there is no job {index}")
            if members[index].job.tty:
                raise SpecError(f"{field}.{end}", f"job {index} has a terminal in place of pipes")
        if pipe.stream not in ("stdout", "stderr"):
            raise SpecError(f"{field}.stream", f'"{pipe.stream}" is neither stdout nor stderr')
        if members[pipe.target].caller.stdin is not None:
            raise SpecError(f"{field}.to", f"job {pipe.target} has a stdin of its own")
        for earlier in pipes[:number]:
            if (earlier.source, earlier.stream) == (pipe.source, pipe.stream):
                problem = f"the {pipe.stream} of job {pipe.source} goes elsewhere already"
                raise SpecError(f"{field}.from", problem)
            if earlier.target == pipe.target:
                problem = f"the stdin of job {pipe.target} comes from elsewhere already"
                raise SpecError(f"{field}.to", problem)


class Pipeline:
    """The members of one pipeline, from where the first is ready to where all may execute."""

    def __init__(
        self,
        members: Sequence[Member],
        pipes: Sequence[Pipe],
        nursery: trio.Nursery,
        closed: Callable[[int], None],
    ) -> None:
        """`nursery`: where the bytes are carried, from the start until all of it has ended.

        `closed`: is told of each pipe which member closed its end.
        """
        self._closed = closed
        self.members = members
        self.joints: dict[Pipe, Joint] = {}
        self.runs: dict[int, Run] = {}  # those that are ready, or run
        self._pipes = pipes
        self._nursery = nursery
        self._absent: set[int] = set()
        self._refusal: RefusedError | None = None
        self.started = trio.Event()  # or will never be

    async def start(self, index: int, run: Run) -> None:
        """A member's sandbox stands: wait until all do.

        Raises RefusedError: one could not be built, so none of them is to execute.
        """
        self.runs[index] = run
        self._start_if_all()
        await self.started.wait()
        if self._refusal is not None:
            raise self._refusal

    def leave(self, index: int, error: SandboxError | None) -> None:
        """A member has ended; or will not run, as its caller cancelled it or for this `error`."""
        self.runs.pop(index, None)
        if self.started.is_set():
            return
        self._absent.add(index)
        if error is not None:
            self._refusal = RefusedError(
                f"not started: job {index} of its pipeline could not be: {error}",
                getattr(error, "retry_after_seconds", None),
            )
            self._refusal.__cause__ = error
            self.started.set()
        else:
            self._start_if_all()

    def _start_if_all(self) -> None:
        is_all = len(self.runs) + len(self._absent) == len(self.members)
        if is_all and not self.started.is_set():  # else they are refused
            events = select.epoll()
            try:
                for pipe in self._pipes:
                    self._connect(pipe, events)
            except BaseException:
                for joint in self.joints.values():
                    joint.close()
                events.close()
                raise
            self._nursery.start_soon(carry, list(self.joints.values()), events)
            self.started.set()

    def _connect(self, pipe: Pipe, events: select.epoll) -> None:
        source, target = self.runs.get(pipe.source), self.runs.get(pipe.target)
        if source is not None and target is not None:
            self.joints[pipe] = Joint(
                source,
                pipe.stream,
                target,
                events,
                is_recorded=pipe.is_recorded,
                closed=lambda end: self._closed(getattr(pipe, end)),
            )
        elif source is not None:  # as of a job that has ended at once
            os.close(source.take_output(pipe.stream))
        elif target is not None:
            os.close(target.take_stdin())
