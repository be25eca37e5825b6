"""One job of the trio client, and its streams, which the server pushes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import trio

from sandbox.client import calls
from sandbox.client.aio_stream import Stream
from sandbox.client.calls import Call
from sandbox.client.operations import end_of, next_piece, result_of, write_all
from sandbox.client.replies import JobStats, Piece, Status
from sandbox.spec.result import Result

if TYPE_CHECKING:
    from sandbox.client.aio import AsyncClient

__all__ = ["AsyncJobHandle"]


class AsyncJobHandle:
    """One job, by its `id`; as JobHandle, and its methods are awaited.

    >>> async def main():
    ...     async with AsyncClient() as client:
    ...         job = await client.submit(["cat"], stdin_open=True)
    ...         await job.write(b"through a job")
    ...         await job.close_stdin()
    ...         async for piece in job.stream("stdout"):
    ...             print(piece)
    ...         return await job.result()
    >>> trio.run(main).verdict
    b'through a job'
    'exited'
    """

    def __init__(self, client: AsyncClient, job: str, options: Mapping[str, Any]) -> None:
        """Made by a client; `options`: those of its submit, none where it is not known."""
        self.id = job
        self._client = client
        self._is_lasting = not options.get("attached") and bool(options.get("keep", True))
        # Of the byte of stdin that comes next; whoever has not submitted it has to ask.
        self._stdin_offset: int | None = 0 if options.get("stdin_open") else None
        self._writing = trio.Lock()

    def __repr__(self) -> str:
        return f"AsyncJobHandle({self.id!r})"

    async def status(self) -> Status:
        """What is known of it now."""
        return await self._ask(calls.status(self.id))

    async def wait(self, most_seconds: float | None = None) -> Status:
        """Wait for its end, or at most so long: what is known of it then."""
        return await self._client.do(end_of(self.id, trio.current_time, most_seconds))

    async def result(self) -> Result:
        """Wait for its end: the result. Raises its own error where it could not be run."""
        return await self._client.do(result_of(self.id, trio.current_time))

    async def read(
        self,
        stream: str = "stdout",
        offset: int = 0,
        *,
        most_bytes: int = calls.PIECE_BYTES,
        wait_seconds: float = 0.0,
    ) -> Piece:
        """What it has written from `offset` on, as far as one call brings it. As JobHandle.read."""
        call = calls.read(self.id, stream, offset, most_bytes, wait_seconds)
        return next_piece(await self._ask(call), offset)

    def stream(self, stream: str = "stdout", offset: int = 0) -> Stream:
        """What it writes, from `offset` on and until its end, as it comes: to be iterated over."""
        return Stream(self._client, self.id, stream, offset, is_lasting=self._is_lasting)

    async def write(self, data: bytes) -> None:
        """Write to its stdin, which is to be open; as fast as it reads. What it does not read any
        more is dropped. If this is cancelled, some of it may have been written.
        """
        await self._write(data, end=False)

    async def close_stdin(self) -> None:
        """Let its stdin end."""
        await self._write(b"", end=True)

    async def signal(self, number: int) -> None:
        """Send a signal to the payload's first process."""
        await self._ask(calls.signal(self.id, number))

    async def resize(self, rows: int, columns: int) -> None:
        """Tell it how large its terminal is now."""
        await self._ask(calls.resize(self.id, rows, columns))

    async def cancel(self) -> None:
        """End it; its verdict is `cancelled`."""
        await self._ask(calls.cancel(self.id))

    async def artifact(self, path: str | bytes, offset: int = 0) -> AsyncIterator[bytes]:
        """The content of a file that it has left and the server keeps, from `offset` on."""
        is_end = False
        while not is_end:
            answer = await self._ask(calls.read_artifact(self.id, path, offset))
            piece = next_piece(answer, offset, must_move=True)
            if piece.data:
                yield piece.data
            offset, is_end = offset + len(piece.data), piece.is_end

    async def stats(self) -> JobStats:
        """What it uses now. Raises NotFoundError if it is over, too."""
        return (await self._ask(calls.stats(self.id)))[0]

    async def delete(self) -> None:
        """Have the server forget it. Raises RefusedError: it has not ended."""
        await self._ask(calls.delete(self.id))

    async def _write(self, data: bytes, *, end: bool) -> None:
        async with self._writing:
            offset, self._stdin_offset = self._stdin_offset, None  # not known if this is cut short
            self._stdin_offset = await self._client.do(write_all(self.id, offset, data, end=end))

    async def _ask(self, call: Call) -> Any:
        if not self._is_lasting:
            call = call._replace(is_repeatable=False)
        return await self._client.ask(call)
