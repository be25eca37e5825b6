"""What is built how: all that decides what comes of sources."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from sandbox.judge.compilation import NotBuilt
from sandbox.judge.language import Language, detect, preferred_entry
from sandbox.judge.language_file import Running
from sandbox.judge.problem import ProblemLimits, Program, Submission
from sandbox.judge.sources import Files, digest_of, included, name_problem
from sandbox.judge.toolchain import Toolchain, find_toolchain, identity_of_all
from sandbox.spec.fields import shown

__all__ = ["NOTHING", "PROGRAM_PLACE", "Plan", "plan_program", "plan_submission"]

PROGRAM_PLACE = "/program"  # where a run sees the directory that was built
NOTHING: Mapping[str, str] = MappingProxyType({})
_CLASS = re.compile(r"[^\W\d][\w$]*(\.[^\W\d][\w$]*)*")
_FORMAT = b"2"  # of an entry in the cache: a new one when what is built from the same input changes
# A script says by its first line what runs it, and may start others: as ordinary programs may.
_SCRIPT = Language("script", "script", Running((f"{PROGRAM_PLACE}/{{entry}}",), "default"))


class Plan(NamedTuple):
    """Of one program."""

    language: Language
    toolchain: Toolchain
    files: tuple[tuple[str, Path], ...]
    sources: tuple[str, ...]
    entry: str
    memory_bytes: int  # of a run
    constants: Mapping[str, str] = NOTHING
    filled: frozenset[str] = frozenset()  # names of the files that constants stand in
    kept: tuple[str, ...] = ()  # of the files, those that are beside what is made of them
    build_script: str | None = None  # among the files

    def key(self, content: bytes) -> str:
        """In the cache; `content`: the digest of the files, as they are built."""
        identity = repr(self.toolchain.identity).encode()
        words = (self.language.code, self.entry, self.build_script or "", *self.sources, *self.kept)
        parts = (_FORMAT, self.language.digest, content, identity, *map(os.fsencode, words))
        return digest_of(*parts).hex()


def plan_submission(
    submission: Submission,
    language: Language,
    includes: Mapping[str, Files],
    constants: Mapping[str, str],
    *,
    is_of_package: bool,
    keeps_sources: bool,
    memory_bytes: int,
) -> Plan | NotBuilt:
    """The constants stand in what is included, and in a submission `is_of_package`: never in what
    somebody else has written. `keeps_sources`: they are beside what is made of them, and not only
    the other files, which a run may open. Raises HostError: this host lacks the compiler."""
    files = included(submission.files, language, includes)
    plan = _plan(files, submission.entry_point, language, memory_bytes)
    if isinstance(plan, NotBuilt):
        return plan
    others = () if is_of_package else submission.files
    filled = frozenset(name for name, _ in {*files}.difference(others))
    kept = (name for name, _ in files if keeps_sources or name not in plan.sources)
    return plan._replace(constants=constants, filled=filled, kept=tuple(kept))


def plan_program(
    program: Program,
    languages: Mapping[str, Language],
    constants: Mapping[str, str],
    limits: ProblemLimits,
) -> Plan | NotBuilt:
    """Of a package's: in a language that is known, by its build script, or as it stands. The
    constants stand in all of it. Raises SpecError as `detect`, HostError as above."""
    names = tuple(name for name, _ in program.files)
    if program.is_static or program.build or program.run:
        plan = _plan_script(program, names, languages, limits.validation_memory_bytes)
    else:
        language = detect(Submission(program.name, program.files), languages)
        plan = _plan(program.files, None, language, limits.validation_memory_bytes)
    if isinstance(plan, NotBuilt):
        return plan
    return plan._replace(constants=constants, filled=frozenset(names))


def _plan_script(
    program: Program, names: tuple[str, ...], languages: Mapping[str, Language], memory_bytes: int
) -> Plan | NotBuilt:
    entry = program.run or ("run" if program.build else preferred_entry(names or ("",)))
    needed = program.build or entry
    if why := name_problem(program.files):
        return NotBuilt(why, "")
    if needed not in names:
        return NotBuilt(f"there is no file {shown(needed)}", "")
    toolchain = Toolchain({}, identity_of_all(languages) if program.build else ())
    plan = Plan(_SCRIPT, toolchain, program.files, names, entry, memory_bytes)
    return plan._replace(build_script=program.build)


def _plan(
    files: Files, entry_point: str | None, language: Language, memory_bytes: int
) -> Plan | NotBuilt:
    if why := name_problem(files):
        return NotBuilt(why, "")
    names = sorted(name for name, _ in files)
    sources = [name for name in names if PurePosixPath(name).suffix in language.sources]
    if not sources and len(names) == 1:
        sources = names  # a script without an extension, or what the caller says it is
    if not sources:
        return NotBuilt(f"no file is {language.name} source ({' '.join(language.sources)})", "")
    entry = entry_point or ""
    if language.entry == "file":
        entry = entry or preferred_entry(sources)
        if entry not in sources:
            return NotBuilt(f"the entry point {shown(entry)} is no {language.name} source", "")
    elif language.entry == "class" and entry and not _CLASS.fullmatch(entry):
        return NotBuilt(f"the entry point {shown(entry)} is no name of a class", "")
    toolchain = find_toolchain(language)
    return Plan(language, toolchain, tuple(files), tuple(sources), entry, memory_bytes)
