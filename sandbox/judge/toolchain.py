"""Compilers and interpreters: where this host has them, and which exactly they are."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sandbox.judge.language_file import Language, fill_in
from sandbox.judge.runner import Order, Runner
from sandbox.spec.errors import HostError
from sandbox.spec.fields import printable
from sandbox.spec.job import Job

__all__ = [
    "LanguageReport",
    "Toolchain",
    "find_toolchain",
    "identity_of_all",
    "language_lines",
    "report_language",
    "report_languages",
]

# As the policies have it: where a job looks for its programs.
_PATH = "/usr/local/bin:/usr/bin:/bin"
# What a job sees of the host's programs; /bin and its like lead there or are shown beside it.
_VISIBLE = ("/usr/", "/bin/", "/lib/", "/lib64/", "/sbin/")
_VERSION_SECONDS = 20.0
_MOST_VERSION_LENGTH = 120


class Toolchain(NamedTuple):
    """The programs of one language."""

    paths: Mapping[str, str]  # placeholder -> absolute path, the same in every job
    identity: tuple[tuple[str, int, int], ...]  # (what it resolves to, size, time of change)


class LanguageReport(NamedTuple):
    """What this host has for one language."""

    code: str
    name: str
    extensions: tuple[str, ...]
    is_here: bool
    version: str  # the first line that the compiler says of itself; "": not here, or not asked
    missing: str  # what is to be installed; "" if nothing is
    time_multiplier: float


def find_toolchain(language: Language) -> Toolchain:
    """Raises HostError: a program is missing, or is where no job sees it."""
    paths: dict[str, str] = {}
    identity = []
    for name, programs in language.tools.items():
        found = next((path for one in programs if (path := _find(one))), None)
        if found is None:
            where = "here" if all(one.startswith("/") for one in programs) else f"in {_PATH}"
            raise HostError(
                f"{language.name} needs {' or '.join(programs)}, which is not {where};"
                " fix: install it"
            )
        resolved = Path(found).resolve()
        if not str(resolved).startswith(_VISIBLE):
            raise HostError(
                f"{language.name}: {found} leads to {resolved}, which jobs do not see;"
                " fix: install it below /usr"
            )
        status = resolved.stat()
        paths[name] = found
        identity.append((str(resolved), status.st_size, status.st_mtime_ns))
    return Toolchain(paths, tuple(identity))


def _find(program: str) -> str | None:
    """`program`: a name to be looked for, or a pattern of absolute paths."""
    if not program.startswith("/"):
        return shutil.which(program, path=_PATH)
    return next((str(path) for path in sorted(Path("/").glob(program[1:]))), None)


def identity_of_all(languages: Mapping[str, Language]) -> tuple[tuple[str, int, int], ...]:
    """Of every program that is here: for what may have used any of them."""
    identity: list[tuple[str, int, int]] = []
    for language in languages.values():
        with contextlib.suppress(HostError):
            identity += find_toolchain(language).identity
    return tuple(identity)


async def report_languages(
    languages: Mapping[str, Language], runner: Runner
) -> tuple[LanguageReport, ...]:
    """What this host has of each; compilers are asked in jobs. Raises SandboxError as `runner`."""
    found = []
    for language in languages.values():
        report = report_language(language)
        version = await _version(language, runner) if report.is_here else ""
        found.append(report._replace(version=version))
    return tuple(found)


def report_language(language: Language, version: str = "") -> LanguageReport:
    """What this host has of one."""
    missing = ""
    try:
        find_toolchain(language)
    except HostError as error:
        missing = str(error)
    return LanguageReport(
        language.code, language.name, language.extensions, not missing, version, missing,
        language.time_multiplier,
    )  # fmt: skip


def language_lines(reports: Sequence[LanguageReport]) -> Iterator[str]:
    """The reports for people: what is here, then what is missing."""
    width = max((len(report.code) for report in reports), default=0)
    for report in sorted(reports, key=lambda report: not report.is_here):
        times = "" if report.time_multiplier == 1 else f", time x{report.time_multiplier:g}"
        said = printable(report.version) if report.is_here else f"missing: {report.missing}"
        yield f"{report.code:{width}}  {report.name} ({' '.join(report.extensions)}){times}: {said}"


async def _version(language: Language, runner: Runner) -> str:
    paths = find_toolchain(language).paths
    words = (fill_in(word, paths.__getitem__) for word in language.version)
    command = tuple(map(os.fsencode, words))
    limits = {"cpu_seconds": _VERSION_SECONDS, "wall_seconds": 2 * _VERSION_SECONDS}
    done = await runner.run(Order(Job(command, policy="compile", limits=limits)))
    lines = (done.stdout + b"\n" + done.stderr).decode("utf-8", "replace").splitlines()
    said = (line.strip() for line in lines if line.strip() and "warning" not in line)  # of the JVM
    line = next(said, "says nothing of itself")
    return line[:_MOST_VERSION_LENGTH]
