"""Files in and out of a sandbox, as archives on pipes: the supervisor's side of both."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trio

from sandbox.boundary.archive import HEADER_BYTES, Entry, EntryKind
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job

__all__ = ["Destination", "Files", "Source", "receive", "send"]

_PIECE_BYTES = 1 << 18


class Source(NamedTuple):
    """One file or directory to be copied in."""

    path: Path
    destination: bytes
    fd: int | None  # opened ahead, where we are about to lose the right to


class Destination(NamedTuple):
    """One host file that waits for its artifact."""

    artifact: Artifact
    fd: int
    is_new: bool


def _open_sources(inputs: tuple[Input, ...]) -> tuple[Source, ...]:
    """Every file of the copied inputs, directories walked. Raises SpecError naming the file.

    Started as root we drop before anything is sent, so files are opened now; else on their turn,
    because a workspace may have more of them than there are fds.
    """
    sources = []
    for item in inputs:
        if not item.copied:
            continue
        for path in _walk(item.source):
            below = os.fsencode(path)[len(os.fsencode(item.source)) :]
            sources.append(Source(path, item.destination + below, None))
    if os.geteuid() == 0:
        return tuple(s._replace(fd=_open_source(s.path)) for s in sources)
    return tuple(sources)


def _open_destinations(artifacts: tuple[Artifact, ...]) -> tuple[Destination, ...]:
    """Open where the artifacts go, before anything runs. Raises SpecError naming the file."""
    opened: list[Destination] = []
    for artifact in artifacts:
        try:
            is_new = not artifact.destination.exists()
            # Executable, because root can take that back only now, and others later too.
            fd = os.open(artifact.destination, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o777)
        except OSError as error:
            for destination in opened:
                _close_destination(destination, was_collected=False)
            raise SpecError("collect", f"{artifact.destination}: {error.strerror}") from error
        opened.append(Destination(artifact, fd, is_new))
    return tuple(opened)


def _close_destination(destination: Destination, *, was_collected: bool) -> None:
    """Close it; a file that we made and nothing came for goes again."""
    os.close(destination.fd)
    if destination.is_new and not was_collected:
        try:
            destination.artifact.destination.unlink()
        except OSError:
            return  # root gave up the right to; an empty file stays


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
            with contextlib.suppress(OSError):
                _close_destination(destination, was_collected=False)
        for source in self.sources:
            if source.fd is not None:
                with contextlib.suppress(OSError):
                    os.close(source.fd)


async def send(sources: tuple[Source, ...], fd: int) -> None:
    """Write the archive of `sources` to the non-blocking `fd`. A reader that is gone ends it."""
    try:
        for source in sources:
            await _send_one(source, fd)
        await _write(fd, Entry(EntryKind.END).pack())
    except BrokenPipeError:
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
                _close_destination(unmet, was_collected=False)
            break
        _close_destination(destination, was_collected=outcome[name].startswith("collected"))
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
                _write_all(destination.fd, piece)
        except OSError as error:  # the host's disk is full: told, and the next one may still fit
            failure = f"not collected: {destination.artifact.destination}: {error.strerror}"
    if failure:
        return failure
    os.ftruncate(destination.fd, entry.size)  # what was there before may have been longer
    if destination.is_new and not entry.mode & 0o111:
        with contextlib.suppress(PermissionError):  # root has dropped, and it is root's file
            os.fchmod(destination.fd, 0o666 & ~_umask())
    return f"collected {entry.size} bytes"


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _walk(top: Path) -> Iterator[Path]:
    yield top
    if top.is_dir():
        for directory, names, files in os.walk(top, onerror=_raise):
            yield from (Path(directory) / name for name in (*names, *files))


def _raise(error: OSError) -> None:
    raise SpecError("copy", f"{error.filename}: {error.strerror}") from error


def _open_source(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SpecError("copy", f"{path}: {error.strerror}") from error


async def _send_one(source: Source, pipe_fd: int) -> None:
    fd = _open_source(source.path) if source.fd is None else source.fd
    try:
        found = os.fstat(fd)
        name = source.destination
        if stat.S_ISDIR(found.st_mode):
            await _write(pipe_fd, Entry(EntryKind.DIRECTORY, len(name)).pack() + name)
            return
        if not stat.S_ISREG(found.st_mode):
            raise SpecError("copy", f"{source.path} is neither a file nor a directory")
        mode = found.st_mode & 0o777
        await _write(pipe_fd, Entry(EntryKind.FILE, len(name), mode, found.st_size).pack() + name)
        left = found.st_size
        while left:
            piece = os.read(fd, min(left, _PIECE_BYTES))
            if not piece:
                raise SpecError("copy", f"{source.path} became shorter while it was read")
            await _write(pipe_fd, piece)
            left -= len(piece)
    finally:
        os.close(fd)


async def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(fd)


class _Reader:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    async def exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                piece = os.read(self._fd, count - len(data))
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._fd)
                continue
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
