"""The caller's files of a job: what is copied in, and where its artifacts go."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job

__all__ = ["Destination", "Files", "Source"]


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
        # Executable, because root can take that back only now, and others later too. Not to wait
        # for the reader of a FIFO: others wait for us.
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
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


def _walk(top: Path) -> Iterator[Path]:
    yield top
    if top.is_dir():
        for directory, names, files in os.walk(top, onerror=_raise):
            yield from (Path(directory) / name for name in (*names, *files))


def _raise(error: OSError) -> None:
    raise SpecError("copy", f"{error.filename}: {error.strerror}") from error
