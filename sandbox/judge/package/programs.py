"""Validators, graders and included files: which files of the package are one program."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.files import Folder, PackageFiles
from sandbox.judge.problem import Program

__all__ = [
    "read_grader", "read_includes", "read_input_validators", "read_output_validator",
    "read_static_validator",
]  # fmt: skip

# What lies beside programs of one file and is none: headers that they include, and notes.
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".inc"})
_NOTES = frozenset({".md", ".txt", ".pdf", ".class", ".pyc", ".o", ".bak"})
_NO_PROGRAMS = frozenset({"readme", "license", "makefile", "cmakelists.txt"})
_SCRIPTS = ("build", "run")


def read_output_validator(package: PackageFiles, is_legacy: bool) -> Program | None:
    """The package's own output validator. Raises PackageError where it has several."""
    # One format's name of the directory is met in packages of the other, and means the same.
    several, one = package.folder("output_validators"), package.folder("output_validator")
    if several and one:
        raise PackageError(one.where, f"stands beside {several.where}; keep one")
    if one:
        return _only_program(one)
    if several and not is_legacy:
        package.notes.append(f"{several.where}: the format calls it output_validator")
    programs = _programs(several)
    if len(programs) > 1:
        names = ", ".join(program.name for program in programs)
        raise PackageError("output_validators", f"holds several programs, and one can run: {names}")
    return programs[0] if programs else None


def read_static_validator(package: PackageFiles) -> Program | None:
    """The program that judges sources, of which legacy has none."""
    folder = package.folder("static_validator")
    return _only_program(folder) if folder else None


def read_input_validators(package: PackageFiles) -> tuple[Program, ...]:
    """All of them, those in the directory of the old name too. What cannot be read of them is a
    note: nobody is judged by them."""
    programs: list[Program] = []
    for name in ("input_validators", "input_format_validators"):
        try:
            programs += _programs(package.folder(name))
        except PackageError as error:
            package.notes.append(f"{error}; what is in {name} is not run")
    return tuple(programs)


def read_grader(package: PackageFiles) -> Program | None:
    """The package's own grader. Raises PackageError where it has several."""
    programs = _programs(package.folder("graders"))
    if len(programs) > 1:
        raise PackageError("graders", "holds several programs; the format allows one")
    return programs[0] if programs else None


def read_includes(package: PackageFiles) -> dict[str, tuple[tuple[str, Path], ...]]:
    """Language, or "default" -> files that are put beside a submission's own."""
    folder = package.folder("include")
    if folder is None:
        return {}
    for name in folder.files:
        package.notes.append(f"include/{name}: is in no directory of a language; it is left out")
    return {language: tuple(inner.walk()) for language, inner in folder.folders.items()}


def _only_program(folder: Folder) -> Program | None:
    """The program that a directory is, or that the one directory in it is."""
    if len(folder.folders) == 1 and not any(_is_program(name) for name in folder.files):
        folder = next(iter(folder.folders.values()))
    return _of_directory(folder)


def _programs(folder: Folder | None) -> list[Program]:
    """Each file or directory is one."""
    if folder is None:
        return []
    headers = tuple(item for item in folder.files.items() if _suffix(item[0]) in _HEADERS)
    if any(name in folder.files for name in _SCRIPTS):
        raise PackageError(
            f"{folder.where}/{next(name for name in _SCRIPTS if name in folder.files)}",
            "belongs in a directory of its own, with the program that it is for",
        )
    programs = [
        Program(f"{folder.where}/{name}", ((name, path), *headers), _is_executable(name, path))
        for name, path in folder.files.items()
        if _is_program(name)
    ]
    inner = (_of_directory(directory) for directory in folder.folders.values())
    return [*programs, *(program for program in inner if program)]


def _of_directory(folder: Folder) -> Program | None:
    files = tuple(folder.walk())
    if not files:
        return None
    scripts = (name if name in folder.files else None for name in _SCRIPTS)
    build, run = scripts
    if build:
        run = "run"  # which it makes, if it is not there
    programs = [(name, path) for name, path in files if _is_program(name)]
    is_static = len(programs) == 1 and not run and _is_executable(*programs[0])
    return Program(folder.where, files, is_static, build, run)


def _is_program(name: str) -> bool:
    suffix = _suffix(name)
    stem = PurePosixPath(name).stem.lower()
    return suffix not in _HEADERS | _NOTES and stem not in _NO_PROGRAMS


def _is_executable(name: str, path: Path) -> bool:
    """Whether it is run as it stands: no ending says which language it would be."""
    return not _suffix(name) and os.access(path, os.X_OK)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
