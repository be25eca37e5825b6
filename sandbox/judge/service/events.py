"""What happens in one judging, in order, in a file that outlives us: msgpack maps, end to end.

An event's number is that of its first byte, so whoever asks for what comes behind it needs no
index, and the same numbers do where the bytes are pushed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgpack

from sandbox.server.growing import Growing
from sandbox.spec.errors import HostError
from sandbox.wire.errors import InvalidParamsError

__all__ = ["Events"]

_MOST_BYTES = 256 << 10  # of one event, by far


class Events(Growing):
    """They are added while the judging runs, and read at any time."""

    def __init__(self, path: Path, *, is_complete: bool = False) -> None:
        """Take up what an earlier process has written there, but for half an event at its end."""
        super().__init__()
        self._path = path
        self._is_left = False
        with contextlib.suppress(FileNotFoundError):
            self.size_bytes = path.stat().st_size
            if not is_complete:
                self._cut()
        self.is_complete = is_complete

    def add(self, event: str, **fields: Any) -> None:
        """Another one has happened. Raises HostError: it cannot be written."""
        document = {"number": self.size_bytes, "event": event, **fields}
        data = msgpack.packb(document, unicode_errors="backslashreplace")
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.pwrite(fd, data, self.size_bytes) < len(data):
                    raise _unwritten(self._path, "the disk is full")
            finally:
                os.close(fd)
        except OSError as error:
            raise _unwritten(self._path, error.strerror) from error
        self._grow(len(data))

    def sync(self) -> None:
        """Have what there is on the disk, fsync(2). Blocks. Raises HostError."""
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            except OSError as error:
                raise _unwritten(self._path, error.strerror) from error
            finally:
                os.close(fd)

    def leave(self) -> None:
        """Those that come are of another process: whoever waits for one is told."""
        self._is_left = True
        self._readers.unpark_all()

    async def readable(self, offset: int) -> None:
        """Wait until there is one at `offset`, or it is the end, or there will be none here."""
        while offset >= self.size_bytes and not (self.is_complete or self._is_left):
            await self._readers.park()

    def after(self, number: int, most_bytes: int) -> tuple[list[Mapping[str, Any]], int]:
        """Those from `number` on, one at least if there is one, and the number that comes next.

        Raises InvalidParamsError: none has that number, nor will; HostError.
        """
        if number > self.size_bytes:
            raise InvalidParamsError("after", f"{number} is beyond {self.size_bytes}, the last one")
        found: list[Mapping[str, Any]] = []
        if number == self.size_bytes:
            return found, number
        unpacker = msgpack.Unpacker(max_buffer_size=_MOST_BYTES + most_bytes)
        unpacker.feed(self.read(number, _MOST_BYTES + most_bytes))
        taken = 0
        try:
            while not found or taken < most_bytes:
                event = unpacker.unpack()
                if not isinstance(event, Mapping) or event.get("number") != number + taken:
                    raise ValueError
                found.append(event)
                taken = unpacker.tell()
        except msgpack.OutOfData:
            if not found:
                raise _no_number(number) from None
        except (ValueError, msgpack.UnpackException):
            raise _no_number(number) from None
        return found, number + taken

    def read(self, offset: int, most_bytes: int) -> bytes:
        """The bytes of them, from there on. Raises HostError, also where there will be none."""
        if self._is_left and offset >= self.size_bytes and not self.is_complete:
            raise HostError("the server is about to end; the next one goes on with it")
        try:
            with self._path.open("rb", buffering=0) as file:
                size = min(most_bytes, max(0, self.size_bytes - offset))
                return os.pread(file.fileno(), size, offset)
        except FileNotFoundError:
            if not self.size_bytes:
                return b""
            raise HostError(f"{self._path} was removed; the events are lost") from None

    def _cut(self) -> None:
        whole = 0
        with self._path.open("rb") as file:
            unpacker = msgpack.Unpacker(file, max_buffer_size=_MOST_BYTES)
            with contextlib.suppress(ValueError, msgpack.UnpackException):
                while True:
                    event = unpacker.unpack()
                    if not isinstance(event, Mapping) or event.get("number") != whole:
                        break
                    whole = unpacker.tell()
        fd = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, whole)  # truncate(2) is not behind our filter
        finally:
            os.close(fd)
        self.size_bytes = whole


def _unwritten(path: Path, problem: str | None) -> HostError:
    return HostError(f"{path} cannot be written: {problem}; fix: free some of that disk")


def _no_number(number: int) -> InvalidParamsError:
    return InvalidParamsError(
        "after", f"{number} is the number of no event; take `next` of an answer"
    )
