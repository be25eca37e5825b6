"""A problem package as it is named on a command line: a directory, or a zip or tar of one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import trio

from sandbox.judge.here import Here
from sandbox.judge.language import Language, find_language, is_known
from sandbox.judge.package import read_problem, repository_of
from sandbox.judge.problem import Expectation, Problem
from sandbox.judge.unpacking import Unpacking, package_in, unpack_package
from sandbox.spec.errors import HostError, SpecError
from sandbox.spec.fields import printable

__all__ = ["as_known_here", "read_archive", "read_directory"]

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


def as_known_here(problem: Problem, languages: Mapping[str, Language]) -> Problem:
    """With notes of what is in no language that we know. What lies so among the submissions is none
    of them: what a compiler has left there, or a note; other tools pass over it too."""
    submissions, notes = [], list(problem.notes)
    for one in problem.submissions:
        if is_known(one, languages) or any(map(_permits_ce, one.expectations)):
            submissions.append(one)
        else:
            notes.append(f"submissions/{one.name}: is in no language that is known here; left out")
    for word in sorted(problem.languages or ()):
        try:
            find_language(word, languages)
        except SpecError as error:
            notes.append(f"problem.yaml: languages: {error.problem}")
    return problem._replace(submissions=tuple(submissions), notes=tuple(map(printable, notes)))


def _permits_ce(expectation: Expectation) -> bool:
    named = (expectation.permitted, expectation.required, expectation.verdicts)
    return any("CE" in verdicts for verdicts in named if verdicts)
