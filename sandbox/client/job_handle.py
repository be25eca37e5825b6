"""One job of the blocking client."""

from __future__ import annotations

import time

from sandbox.client import calls
from sandbox.client.operations import end_of, next_piece, result_of, write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sandbox.client.calls import Call
    from sandbox.client.replies import JobStats, Piece, Status
    from sandbox.client.sync import Client
    from sandbox.spec.result import Result

__all__ = ["JobHandle"]


class JobHandle:
    """One job, by its `id`. Every method raises NotFoundError if the server knows none.

    >>> job = client.submit(["sh", "-c", "read name; echo hello $name"], stdin_open=True)
    >>> job.write(b"reader\\n")
    >>> job.close_stdin()
    >>> job.result().verdict
    'exited'
    >>> job.read("stdout").data
    b'hello reader\\n'
    >>> job.delete()
    """

    def __init__(self, client: Client, job: str, options: Mapping[str, Any]) -> None:
        """Made by a client; `options`: those of its submit, none where it is not known."""
        self.id = job
        self._client = client
        self._is_lasting = not options.get("attached") and bool(options.get("keep", True))
        # Of the byte of stdin that comes next; whoever has not submitted it has to ask.
        self._stdin_offset: int | None = 0 if options.get("stdin_open") else None

    def __repr__(self) -> str:
        return f"JobHandle({self.id!r})"

    def status(self) -> Status:
        """What is known of it now."""
        return self._ask(calls.status(self.id))

    def wait(self, most_seconds: float | None = None) -> Status:
        """Wait for its end, or at most so long: what is known of it then."""
        return self._client.do(end_of(self.id, time.monotonic, most_seconds))

    def result(self) -> Result:
        """Wait for its end: the result. Raises its own error where it could not be run."""
        return self._client.do(result_of(self.id, time.monotonic))

    def read(
        self,
        stream: str = "stdout",
        offset: int = 0,
        *,
        most_bytes: int = calls.PIECE_BYTES,
        wait_seconds: float = 0.0,
    ) -> Piece:
        """What it has written from `offset` on, as far as one call brings it.

        With `wait_seconds` (at most 60) it waits so long for the first byte, or the end.
        """
        call = calls.read(self.id, stream, offset, most_bytes, wait_seconds)
        return next_piece(self._ask(call), offset)

    def stream(self, stream: str = "stdout", offset: int = 0) -> Iterator[bytes]:
        """What it writes, from `offset` on and until its end, as it comes."""
        is_end = False
        while not is_end:
            piece = self.read(stream, offset, wait_seconds=calls.WAIT_SECONDS)
            if piece.data:
                yield piece.data
            offset, is_end = offset + len(piece.data), piece.is_end

    def write(self, data: bytes) -> None:
        """Write to its stdin, which is to be open; as fast as it reads. What it does not read any
        more is dropped.
        """
        self._write(data, end=False)

    def close_stdin(self) -> None:
        """Let its stdin end."""
        self._write(b"", end=True)

    def signal(self, number: int) -> None:
        """Send a signal to the payload's first process."""
        self._ask(calls.signal(self.id, number))

    def resize(self, rows: int, columns: int) -> None:
        """Tell it how large its terminal is now."""
        self._ask(calls.resize(self.id, rows, columns))

    def cancel(self) -> None:
        """End it; its verdict is `cancelled`."""
        self._ask(calls.cancel(self.id))

    def artifact(self, path: str | bytes, offset: int = 0) -> Iterator[bytes]:
        """The content of a file that it has left and the server keeps, from `offset` on.

        `path`: absolute, one of those that the status names.
        """
        is_end = False
        while not is_end:
            answer = self._ask(calls.read_artifact(self.id, path, offset))
            piece = next_piece(answer, offset, must_move=True)
            if piece.data:
                yield piece.data
            offset, is_end = offset + len(piece.data), piece.is_end

    def stats(self) -> JobStats:
        """What it uses now. Raises NotFoundError if it is over, too."""
        return self._ask(calls.stats(self.id))[0]

    def delete(self) -> None:
        """Have the server forget it. Raises RefusedError: it has not ended."""
        self._ask(calls.delete(self.id))

    def _write(self, data: bytes, *, end: bool) -> None:
        offset, self._stdin_offset = self._stdin_offset, None  # not known if this is cut short
        self._stdin_offset = self._client.do(write_all(self.id, offset, data, end=end))

    def _ask(self, call: Call) -> Any:
        if not self._is_lasting:
            call = call._replace(is_repeatable=False)
        return self._client.ask(call)
