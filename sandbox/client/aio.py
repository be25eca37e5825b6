"""The client for trio, and for anyio on trio: many tasks share one connection."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from sandbox.client import calls
from sandbox.client.address import Address, Credentials, choose
from sandbox.client.aio_job_handle import AsyncJobHandle
from sandbox.client.aio_link import AsyncLink
from sandbox.client.backoff import Backoff
from sandbox.client.calls import Call
from sandbox.client.errors import DisconnectedError
from sandbox.client.operations import Done, advance, complete, submit_job, upload
from sandbox.client.replies import Blob, JobStats, Summary
from sandbox.client.sources import open_source
from sandbox.spec.errors import RefusedError, SandboxError
from sandbox.spec.job import Job
from sandbox.spec.result import Completed

if TYPE_CHECKING:
    from sandbox.client.operations import Steps

__all__ = ["AsyncClient"]

_MOST_LINKS = 64
_LAST_SECONDS = 1.0  # for the server to hear of what it is to forget

T = TypeVar("T")


class AsyncClient:
    """A server, for thousands of trio tasks at once: they share connections, which are made as
    they are needed.

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
        self._address, self._credentials = choose(address, token, credentials)
        self._reconnect_seconds, self.answer_seconds = reconnect_seconds, answer_seconds
        self._links: list[AsyncLink] = []
        self._was_connected = False
        self._connecting = trio.Lock()

    async def __aenter__(self) -> AsyncClient:
        """Connect. Raises DisconnectedError: what is not there, and what to do; UntrustedError."""
        await self._linked()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            for link in self._links:
                await link.settle(_LAST_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections; calls in flight end with DisconnectedError. Jobs go on, but for
        those that are attached.
        """
        links, self._links = self._links, []
        for link in links:
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
        except BaseException as error:
            # Whoever is interrupted wants none of it any more; an error of the job is its end.
            is_over = isinstance(error, SandboxError)
            if not is_over or not is_kept:
                self.hint(calls.delete(handle.id) if is_over else calls.cancel(handle.id))
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

    async def jobs(self, state: str | None = None) -> AsyncIterator[Summary]:
        """Every job that the server knows of us, or those in a state, in brief; oldest first."""
        after = None
        while found := await self.ask(calls.jobs(state, after)):
            for summary in found:
                yield summary
            after = found[-1].job

    async def stats(self) -> Sequence[JobStats]:
        """What each queued or running job uses now."""
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

    async def blobs(self) -> AsyncIterator[Blob]:
        """What the server holds for us."""
        after = None
        while found := await self.ask(calls.blob_list(after)):
            for blob in found:
                yield blob
            after = found[-1].sha256

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
            nonlocal call
            asked, call = call, call.again()
            return await link.ask(asked, self.answer_seconds)

        return await self.connected(ask, is_repeatable=call.is_repeatable)

    def hint(self, call: Call) -> None:
        """Make a call whose outcome is of no interest, on the connection that there is."""
        links = [link for link in self._links if link.is_open]
        if links:
            with contextlib.suppress(SandboxError):  # whoever waits for it is told
                # The server refuses too many calls at once on a connection, hints among them.
                min(links, key=lambda link: link.conversation.calls).send(call)

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
            self._links = [link for link in self._links if link.is_open]
            for link in self._links:
                if link.has_room and link.is_alive():
                    return link
            if len(self._links) >= _MOST_LINKS:
                raise RefusedError(f"{_MOST_LINKS} connections of this client are full", 1.0)
            link = await AsyncLink.connect(self._address, self._credentials, self.answer_seconds)
            self._links.append(link)
            self._was_connected = True
            return link
