"""Languages: which there are, and which of them a submission is written in."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sandbox.judge.language_file import Language, read_languages
from sandbox.judge.problem import Submission
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown, suggestion

__all__ = [
    "Language",
    "detect",
    "detect_file",
    "find_language",
    "is_known",
    "load_languages",
    "preferred_entry",
]

_HEAD_BYTES = 65536  # of a file: what its shebang and its content are looked for in
_SHEBANG = re.compile(rb"#![ \t]*([^ \t\r\n]+)(?:[ \t]+([^\r\n]+))?")
# Told from the rest of env's command line: options of env(1), and variables that it sets.
_OF_ENV = re.compile(r"-\S*|\w+=.*")


def load_languages() -> dict[str, Language]:
    """The languages that come with the package, by code. Raises SpecError: a broken file."""
    return read_languages(Path(__file__).parent / "languages")


def find_language(word: str, languages: Mapping[str, Language]) -> Language:
    """The language of this code, or of one that other systems use: "cpp", "c++", "py3", "hs".

    Raises SpecError: there is none.
    """
    wanted = word.lower()
    for language in languages.values():
        if wanted in (language.code, language.name.lower()) or wanted in language.codes:
            return language
    claiming = [one for one in languages.values() if f".{wanted}" in one.extensions]
    if len(claiming) == 1:
        return claiming[0]
    known = [*languages, *(code for one in languages.values() for code in one.codes)]
    near = suggestion(wanted, known) or f"; there are {', '.join(languages)}"
    raise SpecError("language", f"{shown(word)} is none that is known here{near}")


def detect(submission: Submission, languages: Mapping[str, Language]) -> Language:
    """What it says itself, or the language that most of its files are in.

    Raises SpecError: none is known, or as many files are in one as in another.
    """
    if submission.language is not None:
        return find_language(submission.language, languages)
    counts: Counter[str] = Counter()
    for name, path in submission.files:
        language = detect_file(name, path, languages)
        if language is not None:
            counts[language.code] += 1
    if not counts:
        names = ", ".join(sorted(name for name, _ in submission.files)[:5]) or "no file"
        known = {extension for one in languages.values() for extension in one.extensions}
        suffixes = sorted(PurePosixPath(name).suffix for name, _ in submission.files)
        near = next(
            (f"; did you mean {one.lower()}?" for one in suffixes if one.lower() in known), ""
        )
        raise SpecError(submission.name, f"in no language that is known here: {names}{near}")
    most = max(counts.values())
    best = [code for code, count in counts.items() if count == most]
    if len(best) > 1:
        raise SpecError(
            submission.name,
            f"could be {' or '.join(sorted(best))}, {most} file{'s' if most > 1 else ''} each;"
            " name its language",
        )
    return languages[best[0]]


def is_known(submission: Submission, languages: Mapping[str, Language]) -> bool:
    """Whether it says what it is in, or a file of it is in a language of these."""
    if submission.language is not None:
        return True
    try:
        files = (detect_file(name, path, languages) for name, path in submission.files)
        return any(language is not None for language in files)
    except SpecError:  # of one of several
        return True


def detect_file(name: str, path: Path, languages: Mapping[str, Language]) -> Language | None:
    """By its shebang if it has one that is known, by its extension, by its content; or None.

    Raises SpecError: several languages have this extension, and none knows the content.
    """
    extension = PurePosixPath(name).suffix
    claiming = [one for one in languages.values() if extension in one.extensions]
    head = _head(path)
    if head.startswith(b"#!"):
        interpreter = _interpreter(head)
        for language in languages.values():
            if any(fnmatchcase(interpreter, glob) for glob in language.shebangs):
                return language
    if len(claiming) < 2:
        return claiming[0] if claiming else None
    found = [one for one in claiming if one.content is not None and one.content.search(head)]
    found = found or [one for one in claiming if one.content is None]
    if len(found) != 1:
        codes = ", ".join(one.code for one in claiming)
        raise SpecError(name, f"{extension} is of {codes}, and the content tells none of them")
    return found[0]


def preferred_entry(sources: Sequence[str]) -> str:
    """The file that is started where none is named: the only one, the one called main, the first
    by name: so the problem package format has it."""
    mains = [name for name in sources if PurePosixPath(name).stem.lower() in ("main", "__main__")]
    return min(mains or sources)


def _head(path: Path) -> bytes:
    try:
        # Without waiting for the writer of a FIFO, which nobody should take for a source.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            return os.read(fd, _HEAD_BYTES)
        finally:
            os.close(fd)
    except OSError as error:
        raise SpecError(str(path), error.strerror or str(error)) from error


def _interpreter(head: bytes) -> str:
    match = _SHEBANG.match(head)
    if match is None:
        return ""
    name = PurePosixPath(os.fsdecode(match[1])).name
    if name == "env":
        words = os.fsdecode(match[2] or b"").split()
        name = next((PurePosixPath(word).name for word in words if not _OF_ENV.fullmatch(word)), "")
    return name
