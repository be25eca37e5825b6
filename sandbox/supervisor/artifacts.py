"""Files in and out of a sandbox, as archives on pipes: the supervisor's side of both."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sandbox.boundary.archive import HEADER_BYTES, Entry, EntryKind, write_all
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job
from sandbox.supervisor.streams import read, write

__all__ = ["Destination", "Files", "Source", "receive", "send"]

_PIECE_BYTES = 1 << 18


class Source:
    """One file or directory to be copied in."""

    def __init__(self, path: Path, destination: bytes, *, ahead: bool) -> None:
        """`ahead`: open it now, because we are about to lose the right to."""
        self.path, self.destination = path, destination
        self._fd = self._open() if ahead else -1

    def take(self) -> int:
        """Its fd, the caller's to close. Raises SpecError naming the file."""
        fd, self._fd = self._fd, -1
        return fd if fd >= 0 else self._open()

    def close(self) -> None:
        """Close it, unless it was taken."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        try:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise SpecError("copy", f"{self.path}: {error.strerror}") from error


class Destination:
    """One host file that waits for its artifact."""

    def __init__(self, artifact: Artifact) -> None:
        """Raises OSError."""
        self.artifact = artifact
        self.is_new = not artifact.destination.exists()
        # Executable, because root can take that back only now, and others later too.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self.fd = os.open(artifact.destination, flags, 0o777)

    def close(self, *, was_collected: bool) -> None:
        """Close it, once; a file that we made and nothing came for goes again."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        if self.is_new and not was_collected:
            with contextlib.suppress(OSError):  # root gave up the right to; an empty file stays
                self.artifact.destination.unlink()


def _open_sources(inputs: tuple[Input, ...]) -> tuple[Source, ...]:
    """Every file of the copied inputs, directories walked. Raises SpecError naming the file.

    Started as root we drop before anything is sent, so files are opened now; else on their turn,
    because a workspace may have more of them than there are fds.
    """
    ahead = os.geteuid() == 0
    sources = []
    for item in inputs:
        if not item.copied:
            continue
        for path in _walk(item.source):
            below = os.fsencode(path)[len(os.fsencode(item.source)) :]
            sources.append(Source(path, item.destination + below, ahead=ahead))
    return tuple(sources)


def _open_destinations(artifacts: tuple[Artifact, ...]) -> tuple[Destination, ...]:
    """Open where the artifacts go, before anything runs. Raises SpecError naming the file."""
    opened: list[Destination] = []
    for artifact in artifacts:
        try:
            opened.append(Destination(artifact))
        except OSError as error:
            for destination in opened:
                destination.close(was_collected=False)
            raise SpecError("collect", f"{artifact.destination}: {error.strerror}") from error
    return tuple(opened)


class Files(NamedTuple):
    """The caller's files, opened while the caller's rights are still there."""

    sources: tuple[Source, ...]
    destinations: tuple[Destination, ...]

    @classmethod
    def open(cls, job: Job) -> "Files":
        """Raises SpecError naming the file."""
        sources = _open_sources(job.inputs)
        return cls(sources, _open_destinations(job.artifacts))

    def close(self) -> None:
        """Close what no job took: after a failure, our new and empty files go again."""
        for destination in self.destinations:
            destination.close(was_collected=False)
        for source in self.sources:
            source.close()


async def send(sources: tuple[Source, ...], fd: int) -> None:
    """Write the archive of `sources` to the non-blocking `fd`. A reader that is gone ends it."""
    try:
        for source in sources:
            await _send_one(source, fd)
        await write(fd, Entry(EntryKind.END).pack())
    except ConnectionError:
        return  # the stub is dead, and whoever waits for it knows


async def receive(destinations: tuple[Destination, ...], fd: int) -> dict[str, str]:
    """Read the collector's archive; what became of each artifact. `fd` does not block.

    The collector is only as trustworthy as the job: names and sizes are checked here again.
    """
    outcome = {}
    reader = _Reader(fd)
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
                unmet.close(was_collected=False)
            break
        destination.close(was_collected=outcome[name].startswith("collected"))
    return outcome


async def _receive_one(destination: Destination, reader: "_Reader") -> str:
    entry = Entry.unpack(await reader.exactly(HEADER_BYTES))
    if await reader.exactly(entry.name_bytes) != destination.artifact.path:
        raise EOFError
    if entry.kind != EntryKind.FILE:
        return f"not collected: {os.strerror(entry.mode)}"
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


def _walk(top: Path) -> Iterator[Path]:
    yield top
    if top.is_dir():
        for directory, names, files in os.walk(top, onerror=_raise):
            yield from (Path(directory) / name for name in (*names, *files))


def _raise(error: OSError) -> None:
    raise SpecError("copy", f"{error.filename}: {error.strerror}") from error


async def _send_one(source: Source, pipe_fd: int) -> None:
    fd = source.take()
    try:
        found = os.fstat(fd)
        name = source.destination
        if stat.S_ISDIR(found.st_mode):
            await write(pipe_fd, Entry(EntryKind.DIRECTORY, len(name)).pack() + name)
            return
        if not stat.S_ISREG(found.st_mode):
            raise SpecError("copy", f"{source.path} is neither a file nor a directory")
        mode = found.st_mode & 0o777
        await write(pipe_fd, Entry(EntryKind.FILE, len(name), mode, found.st_size).pack() + name)
        left = found.st_size
        while left:
            piece = os.read(fd, min(left, _PIECE_BYTES))
            if not piece:
                raise SpecError("copy", f"{source.path} became shorter while it was read")
            await write(pipe_fd, piece)
            left -= len(piece)
    finally:
        os.close(fd)


class _Reader:
    def __init__(self, fd: int) -> None:
        self._fd = fd

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
