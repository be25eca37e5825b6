"""The caller's files of a job: what is copied in, and where its artifacts go."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from sandbox.kernel.mounts import RESOLVE_BENEATH_WITHOUT_LINKS, openat2
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job

__all__ = ["Destination", "Files", "Source"]

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY


class Source:
    """One file, directory or symbolic link to be copied in."""

    def __init__(self, top: Path, below: bytes, destination: bytes, *, ahead: bool) -> None:
        """`top`: what the caller has named, `below`: from there on. `ahead`: open it now, because
        we are about to lose the right to.
        """
        self.path = Path(os.fsdecode(os.path.join(os.fsencode(top), below)))
        self.destination = os.path.join(destination, below) if below else destination
        self._top, self._below = top, below
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
            if not self._below:
                return os.open(self._top, _READ | os.O_CLOEXEC)
            top_fd = os.open(self._top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return _open_below(top_fd, self._below)
            finally:
                os.close(top_fd)
        except OSError as error:
            raise SpecError("copy", f"{self.path}: {error.strerror}") from error


def _open_below(top_fd: int, path: bytes) -> int:
    """A link is opened itself: who has filled the directory may have it lead anywhere on the host,
    and a directory on the way may have become one."""
    try:
        return openat2(top_fd, path, _READ, RESOLVE_BENEATH_WITHOUT_LINKS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return openat2(top_fd, path, os.O_PATH | os.O_NOFOLLOW, RESOLVE_BENEATH_WITHOUT_LINKS)


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
        """Close it, once; a file that we made and nothing came for goes again.

        Raises OSError: what was written is not all there, as a file system finds that writes it
        back now. close(2); the fd is closed in any case.
        """
        if self.fd < 0:
            return
        fd, self.fd = self.fd, -1
        try:
            os.close(fd)
        except OSError:
            was_collected = False
            raise
        finally:
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
        for below in _walk(os.fsencode(item.source)):
            sources.append(Source(item.source, below, item.destination, ahead=ahead))
    return tuple(sources)


def _open_destinations(artifacts: tuple[Artifact, ...]) -> tuple[Destination, ...]:
    """Open where the artifacts go, before anything runs. Raises SpecError naming the file."""
    opened: list[Destination] = []
    for artifact in artifacts:
        try:
            opened.append(Destination(artifact))
        except OSError as error:
            for destination in opened:
                with contextlib.suppress(OSError):
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

    def new_directories(self) -> list[str]:
        """Where files were made that go again if nothing comes for them."""
        new = (one.artifact.destination for one in self.destinations if one.is_new)
        return [os.path.dirname(os.path.abspath(path)) for path in new]

    def close(self) -> None:
        """Close what no job took: after a failure, our new and empty files go again."""
        for destination in self.destinations:
            with contextlib.suppress(OSError):  # nothing is to be there
                destination.close(was_collected=False)
        for source in self.sources:
            source.close()


def _walk(top: bytes) -> Iterator[bytes]:
    yield b""
    try:
        is_directory = stat.S_ISDIR(os.stat(top).st_mode)
    except OSError as error:
        _raise(error)
    if is_directory:
        for directory, names, files in os.walk(top, onerror=_raise):
            below = os.path.relpath(directory, top)
            for name in (*names, *files):
                yield os.path.normpath(os.path.join(below, name))


def _raise(error: OSError) -> NoReturn:
    raise SpecError("copy", f"{os.fsdecode(error.filename)}: {error.strerror}") from error
