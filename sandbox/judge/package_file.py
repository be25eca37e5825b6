"""A problem package as it is named on a command line: a directory, or a zip or tar of one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio

from sandbox.judge.here import Here
from sandbox.judge.package import read_problem, repository_of
from sandbox.judge.problem import Problem
from sandbox.judge.unpacking import Unpacking, package_in, unpack_package
from sandbox.spec.errors import HostError, SpecError

__all__ = ["read_archive", "read_directory"]

_MOST_BYTES = 4 << 30  # unpacked


def read_directory(path: Path) -> Problem | None:
    """The package; None: it is an archive, and a sandbox is to unpack it. Raises PackageError."""
    return None if path.is_file() else read_problem(path, repository_of(path))


async def read_archive(path: Path, here: Here) -> Problem:
    """The package in it, below `here.scratch`. Raises SpecError naming `path`, HostError."""
    # By the archive's name, which is that of a problem that has no other.
    directory = Path(tempfile.mkdtemp(prefix="package-", dir=here.scratch)) / path.stem
    try:
        directory.mkdir()
        for made in (directory.parent, directory):
            made.chmod(0o755)  # whatever our umask is: jobs read it as somebody else
        unpacking = Unpacking(directory, _MOST_BYTES)
        await unpack_package(here.runner.run, path.resolve(), unpacking, _MOST_BYTES)
        unpacking.finish()
        return await trio.to_thread.run_sync(read_problem, package_in(directory))
    except SpecError as error:
        if error.field != "problem":
            raise
        raise SpecError(str(path), error.problem) from error
    except OSError as error:
        raise HostError(f"{path} was not unpacked: {error}") from error
