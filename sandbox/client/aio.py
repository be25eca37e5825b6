"""The client for trio, and for anyio on trio: many tasks share one connection."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from sandbox.client import calls
from sandbox.client.address import (
    Address,
    Credentials,
    default_address,
    find_credentials,
    parse_address,
)
from sandbox.client.aio_job_handle import AsyncJobHandle
from sandbox.client.aio_link import AsyncLink
from sandbox.client.backoff import Backoff
from sandbox.client.calls import Call
from sandbox.client.errors import DisconnectedError
from sandbox.client.operations import Done, advance, complete, submit_job, upload
from sandbox.client.replies import Blob, JobStats, Status
from sandbox.client.sources import open_source
from sandbox.spec.errors import SandboxError
from sandbox.spec.job import Job
from sandbox.spec.result import Completed

if TYPE_CHECKING:
    from sandbox.client.operations import Steps

__all__ = ["AsyncClient"]

T = TypeVar("T")


class AsyncClient:
    """A connection to a server, for any number of trio tasks at once.

    As Client, and its methods are awaited. A call that is cancelled leaves the connection usable;
    a submit that is cancelled before its answer cancels its job.

    >>> import trio
    >>> from sandbox import AsyncClient
    >>> async def main():
    ...     async with AsyncClient() as client:
    ...         return await client.run(["echo", "hello"])
    >>> trio.run(main).stdout
    b'hello\\n'
    """

    def __init__(
        self,
        address: str | Address | None = None,
        *,
        token: str | None = None,
        credentials: Credentials | None = None,
        reconnect_seconds: float = 30.0,
        answer_seconds: float = 30.0,
    ) -> None:
        """As Client. Raises SpecError."""
        if not isinstance(address, Address):
            address = default_address() if address is None else parse_address(address)
        credentials = find_credentials() if credentials is None else credentials
        if token is not None:
            credentials = credentials._replace(token=token)
        self._address, self._credentials = address, credentials
        self._reconnect_seconds, self.answer_seconds = reconnect_seconds, answer_seconds
        self._link: AsyncLink | None = None
        self._was_connected = False
        self._connecting = trio.Lock()

    async def __aenter__(self) -> AsyncClient:
        """Connect. Raises DisconnectedError: what is not there, and what to do."""
        await self._linked()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight end with DisconnectedError. Jobs go on, but for
        those that are attached to it.
        """
        link, self._link = self._link, None
        if link is not None:
            link.close()

    # Jobs

    async def submit(self, job: Sequence[str | bytes] | Job, **options: Any) -> AsyncJobHandle:
        """Have a job run, and go on: a handle of it. Options as for Client.submit."""
        status = await self.do(submit_job(job, options))
        return AsyncJobHandle(self, status.job, options)

    async def run(
        self,
        job: Sequence[str | bytes] | Job,
        *,
        stdin: bytes | str | os.PathLike[str] = b"",
        **options: Any,
    ) -> Completed:
        """Have a job run, and wait for its end: its result, output and artifacts. As Client.run;
        if it is cancelled, so is the job.

        >>> async def main():
        ...     async with AsyncClient() as client:
        ...         return await client.run(["sort"], stdin=b"b\\na\\n", limits={"wall": "5s"})
        >>> trio.run(main).stdout
        b'a\\nb\\n'
        """
        is_kept = options.pop("keep", None)
        handle = await self.submit(job, stdin=stdin, **options)
        try:
            completed = await self.do(complete(handle.id, trio.current_time))
        except SandboxError:
            raise
        except BaseException:
            self.hint(calls.cancel(handle.id))
            raise
        if not is_kept:
            self.hint(calls.delete(handle.id))
        return completed

    async def pipeline(
        self, jobs: Sequence[Any], *, pipes: Sequence[Any] | None = None, **options: Any
    ) -> list[AsyncJobHandle]:
        """Have connected jobs run, started together: a handle of each. As Client.pipeline."""
        if pipes is None:
            pipes = [(number, number + 1) for number in range(len(jobs) - 1)]
        found = await self.ask(calls.pipeline(jobs, pipes, options))
        return [AsyncJobHandle(self, status.job, options) for status in found]

    def job(self, job: str) -> AsyncJobHandle:
        """A handle of a job by its id; whether there is one shows at its first use."""
        return AsyncJobHandle(self, job, {})

    async def jobs(self, state: str | None = None) -> AsyncIterator[Status]:
        """The status of every job that the server knows of us, or of those in a state."""
        after = None
        while found := await self.ask(calls.jobs(state, after)):
            for status in found:
                yield status
            after = found[-1].job

    async def stats(self) -> Sequence[JobStats]:
        """What each running job uses now."""
        return await self.ask(calls.stats(None))

    # Blobs

    async def blob(self, content: bytes | str | os.PathLike[str]) -> str:
        """Have the server hold bytes, or a file: the SHA-256, to be named in jobs. As Client.blob;
        the file is read in a thread.
        """
        with contextlib.ExitStack() as opened:
            source = await trio.to_thread.run_sync(opened.enter_context, open_source(content))
            steps = upload(source)
            step = await trio.to_thread.run_sync(advance, steps)
            while not isinstance(step, Done):
                answer = await self.ask(step)
                step = await trio.to_thread.run_sync(advance, steps, answer)
            return step.value

    async def blobs(self) -> Sequence[Blob]:
        """What the server holds for us."""
        return await self.ask(calls.blob_list())

    async def blob_status(self, sha256: str) -> Blob:
        """What it knows of one blob. Raises NotFoundError."""
        return await self.ask(calls.blob_stat(sha256))

    async def delete_blob(self, sha256: str) -> None:
        """Have a blob forgotten. Raises NotFoundError; RefusedError: a job needs it."""
        await self.ask(calls.blob_delete(sha256))

    # The server

    async def info(self) -> dict[str, Any]:
        """What the server is, has and does."""
        return await self.ask(calls.info())

    async def metrics(self) -> str:
        """Its metrics, in the text that Prometheus reads."""
        return await self.ask(calls.metrics())

    async def drain(self, deadline_seconds: float) -> None:
        """Have it take no more jobs, end those that run by then, and exit. Local peers only."""
        await self.ask(calls.drain(deadline_seconds))

    async def reload(self) -> None:
        """Have it read its policies and tenants again. Local peers only."""
        await self.ask(calls.reload())

    # What the methods here and of a handle are made of

    async def do(self, steps: Steps[T]) -> T:
        """Carry out an operation: its return value."""
        step = advance(steps)
        while not isinstance(step, Done):
            try:
                answer = await self.ask(step)
            except SandboxError as error:
                step = advance(steps, error=error)
            else:
                step = advance(steps, answer)
        return step.value

    async def ask(self, call: Call) -> Any:
        """Make one call, and wait for what its reply says; see the class."""

        async def ask(link: AsyncLink) -> Any:
            return await link.ask(call, self.answer_seconds)

        return await self.connected(ask, is_repeatable=call.is_repeatable)

    def hint(self, call: Call) -> None:
        """Make a call whose outcome is of no interest, on the connection that there is."""
        if self._link is not None and self._link.is_open:
            with contextlib.suppress(SandboxError):  # whoever waits for it is told
                self._link.send(call)

    async def connected(
        self, use: Callable[[AsyncLink], Awaitable[T]], *, is_repeatable: bool
    ) -> T:
        """What `use` returns of a connection, which is made again if it is lost."""
        backoff = None
        while True:
            link = None
            try:
                link = await self._linked()
                return await use(link)
            except DisconnectedError:
                may_repeat = is_repeatable or link is None
                if not may_repeat or not self._was_connected:
                    raise
                now = trio.current_time()
                backoff = backoff or Backoff(self._reconnect_seconds, now)
                delay_seconds = backoff.delay_seconds(now)
                if delay_seconds is None:
                    raise
            await trio.sleep(delay_seconds)

    async def _linked(self) -> AsyncLink:
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                self._link = await AsyncLink.connect(
                    self._address, self._credentials, self.answer_seconds
                )
                self._was_connected = True
            return self._link
