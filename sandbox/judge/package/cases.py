"""Test cases: which files of a directory of data are one, by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import Folder, read_text
from sandbox.spec.fields import suggestion

__all__ = [
    "GROUP_FILES", "VALIDATION_FOLDERS", "Case", "ValidatorFlags", "below_data", "cases_of",
    "read_note", "read_words", "unread_files", "validator_flags", "without_flags",
]  # fmt: skip

GROUP_FILES = ("test_group.yaml", "testdata.yaml")
VALIDATION_FOLDERS = ("invalid_input", "invalid_output", "valid_output")  # not for judging
_MOST_NOTE_BYTES = 64 << 10
_NEEDS_INPUT = (".ans", ".files")  # others may be for the statement only

_SUFFIXES = (".in", ".ans", ".out", ".yaml", ".args", ".hint", ".desc")

# For every input validator, or by the name of one.
ValidatorFlags = tuple[str, ...] | dict[str, tuple[str, ...]]


class Case(NamedTuple):
    """The files of one test case; which of them count is for the format to say."""

    name: str  # "secret/group1/03"
    where: str  # below the package, no suffix
    input: Path | None
    answer: Path | None
    output: Path | None  # .out: what somebody might write
    settings: Path | None  # .yaml
    arguments: Path | None  # .args
    hint: Path | None
    description: Path | None
    files: tuple[tuple[str, Path], ...]


def cases_of(folder: Folder, is_submit_answer: bool) -> Iterator[Case]:
    """The test cases directly in `folder`, in order. Raises PackageError for files of none."""
    suffixes = (".in", ".ans") if is_submit_answer else (".in",)
    names = sorted({name[: -len(s)] for name in folder.files for s in suffixes if name.endswith(s)})
    for name in (*folder.files, *folder.folders):
        for suffix in _NEEDS_INPUT:
            if name.endswith(suffix) and name.removesuffix(suffix) not in names:
                wanted = name.removesuffix(suffix) + ".in"
                raise PackageError(f"{folder.where}/{name}", f"belongs to no test: no {wanted}")
    for name in names:
        if not name:
            raise PackageError(f"{folder.where}/.in", "a test without a name")
        files = folder.folders.get(f"{name}.files")
        found = {suffix: folder.files.get(name + suffix) for suffix in _SUFFIXES}
        where = f"{folder.where}/{name}"
        yield Case(below_data(where), where, *found.values(), tuple(files.walk()) if files else ())


def unread_files(folder: Folder, why_legacy: str = "") -> Iterator[str]:
    """What in `folder` and below looks like a file of a test or of a group, and by its name is
    none: without it there are fewer tests, or other points, and no error.

    `why_legacy`: why it is read as of the legacy format; "": it is not.
    """
    told, known = ("legacy has", GROUP_FILES[1:]) if why_legacy else ("the format has", GROUP_FILES)
    for name in folder.files:
        path = PurePosixPath(name)
        suffix = path.suffix.lower()
        why = ""
        if suffix != path.suffix and suffix in _SUFFIXES:
            why = f"{told} {suffix}"
        elif suffix in (".yaml", ".yml") and name not in known:
            if why_legacy and name == GROUP_FILES[0]:
                why = f"{told} {GROUP_FILES[1]}, and {why_legacy}"
            elif f"{path.stem}.in" not in folder.files:
                why = suggestion(name, known).removeprefix("; ")
        if why:
            yield f"{folder.where}/{name}: is left out; {why}"
    for name, inner in folder.folders.items():
        if not name.endswith(".files"):  # which is a test's own
            yield from unread_files(inner, why_legacy)


def below_data(where: str) -> str:
    """The name of a test or group, from where it is in the package."""
    return where.removeprefix("data").removeprefix("/")


def read_note(path: Path | None, where: str) -> str | None:
    """A hint or a description."""
    return read_text(path, where, _MOST_NOTE_BYTES).strip() if path else None


def read_words(path: Path | None, where: str) -> tuple[str, ...]:
    """Arguments, between spaces and lines."""
    return tuple(read_text(path, where, _MOST_NOTE_BYTES).split()) if path else ()


def validator_flags(fields: Fields, key: str, inherited: ValidatorFlags) -> ValidatorFlags:
    """Flags for input validators: the same for each, or a table of name -> flags.

    Legacy has one entry of such a table, as name and flags.
    """
    if key not in fields:
        return inherited
    if not isinstance(fields.raw(key), dict):
        return fields.words(key)
    table = fields.fields(key)
    if {*table} == {"name", "flags"}:
        return {table.text("name") or "": table.words("flags")}
    return {name: table.words(name) for name in table}


def without_flags(
    flags: ValidatorFlags,
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]] | None]:
    """As a Test has them: the flags of all, and those by name."""
    return ((), flags) if isinstance(flags, dict) else (flags, None)
