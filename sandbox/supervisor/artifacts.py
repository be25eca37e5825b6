"""Files in and out of a sandbox: inputs as scripts that write them, artifacts as an archive."""

import contextlib
import os
import stat

from sandbox.boundary.archive import HEADER_BYTES, Entry, EntryKind, write_all
from sandbox.inside.late import write_input_script, write_last_input_script
from sandbox.spec.errors import SpecError
from sandbox.supervisor.files import Destination, Source
from sandbox.supervisor.streams import read, write

__all__ = ["Destination", "Source", "receive", "send"]

_PIECE_BYTES = 1 << 18
_MOST_ERRNO = 4095  # MAX_ERRNO of the kernel; strerror(3) takes an int


async def send(sources: tuple[Source, ...], cwd: bytes, fd: int) -> None:
    """Write to the non-blocking `fd` what has the stub make these, and be in `cwd`. A stub that is
    gone ends it."""
    try:
        for source in sources:
            await _send_one(source, fd)
        await write(fd, write_last_input_script(cwd))
    except ConnectionError:
        return  # the stub is dead, and whoever waits for it knows


async def receive(
    destinations: tuple[Destination, ...], fd: int, most_bytes: int
) -> dict[str, str]:
    """Read the collector's archive; what became of each artifact. `fd` does not block.

    `most_bytes`: what the collector was told to send of all files together. It is only as
    trustworthy as the job: names and sizes are checked here again, and one that lies is not heard
    any more.
    """
    outcome = {}
    reader = _Reader(fd, most_bytes)
    waiting = list(destinations)
    while waiting:
        destination = waiting.pop(0)
        name = os.fsdecode(destination.artifact.path)
        try:
            outcome[name] = await _receive_one(destination, reader)
        except EOFError:
            for unmet in (destination, *waiting):
                name = os.fsdecode(unmet.artifact.path)
                outcome[name] = "not collected: the collector died"
                with contextlib.suppress(OSError):  # nothing is to be there
                    unmet.close(was_collected=False)
            break
        try:
            destination.close(was_collected=outcome[name].startswith("collected"))
        except OSError as error:
            outcome[name] = f"not collected: {destination.artifact.destination}: {error.strerror}"
    return outcome


async def _receive_one(destination: Destination, reader: "_Reader") -> str:
    entry = Entry.unpack(await reader.exactly(HEADER_BYTES))
    if await reader.exactly(entry.name_bytes) != destination.artifact.path:
        raise EOFError
    if entry.kind == EntryKind.REFUSED and entry.mode <= _MOST_ERRNO:
        return f"not collected: {os.strerror(entry.mode)}"
    if entry.kind != EntryKind.FILE or entry.size > reader.left_bytes:
        raise EOFError
    reader.left_bytes -= entry.size
    failure = ""
    left = entry.size
    while left:
        piece = await reader.exactly(min(left, _PIECE_BYTES))
        left -= len(piece)
        try:
            if not failure:
                write_all(destination.fd, piece)
        except OSError as error:  # the host's disk is full: told, and the next one may still fit
            failure = f"not collected: {destination.artifact.destination}: {error.strerror}"
    if failure:
        return failure
    os.ftruncate(destination.fd, entry.size)  # what was there before may have been longer
    if destination.is_new and not entry.mode & 0o111:
        with contextlib.suppress(PermissionError):  # root has dropped, and it is root's file
            os.fchmod(destination.fd, 0o666 & ~_umask())
    return f"collected {entry.size} bytes"


async def _send_one(source: Source, stub_fd: int) -> None:
    fd = source.take()
    try:
        found = os.fstat(fd)
        if stat.S_ISDIR(found.st_mode):
            await write(stub_fd, write_input_script(source.destination, 0, None))
            return
        if stat.S_ISLNK(found.st_mode):
            link = os.readlink(b"", dir_fd=fd)
            await write(stub_fd, write_input_script(source.destination, 0, None, link))
            return
        if not stat.S_ISREG(found.st_mode):
            raise SpecError("copy", f"{source.path} is neither a file nor a directory")
        mode = found.st_mode & 0o777
        await write(stub_fd, write_input_script(source.destination, mode, found.st_size))
        left = found.st_size
        while left:
            piece = os.read(fd, min(left, _PIECE_BYTES))
            if not piece:
                raise SpecError("copy", f"{source.path} became shorter while it was read")
            await write(stub_fd, piece)
            left -= len(piece)
    finally:
        os.close(fd)


class _Reader:
    def __init__(self, fd: int, left_bytes: int) -> None:
        self._fd = fd
        self.left_bytes = left_bytes  # of files

    async def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = await read(self._fd, count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
