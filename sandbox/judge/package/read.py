"""read_problem: a package on disk, in whichever format, as the judge needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from sandbox.judge.package.cases import GROUP_FILES, unread_files
from sandbox.judge.package.document import read_document
from sandbox.judge.package.domjudge import Extension, read_extension
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import Folder, PackageFiles
from sandbox.judge.package.group_data import GroupData
from sandbox.judge.package.legacy_data import GRADING_KEYS, LegacyData
from sandbox.judge.package.metadata import DRAFT, Metadata, read_metadata
from sandbox.judge.package.programs import (
    read_grader,
    read_includes,
    read_input_validators,
    read_output_validator,
    read_static_validator,
)
from sandbox.judge.package.submissions import expects_scores, read_submissions
from sandbox.judge.package.validation_data import read_validation_cases
from sandbox.judge.problem import Group, Problem, Program, Submission, ValidationCase
from sandbox.spec.fields import printable, suggestion

__all__ = ["read_problem"]

# The published format has accept_score of each test, and score.txt where validation says score.
_DOMJUDGES = (
    "data: accept_score is that of a whole group, and a validator may write score.txt: so DOMjudge"
    " reads packages whose submissions say @EXPECTED_SCORE@, which is its own"
)
_METADATA_FILES = ("problem.yaml", "domjudge-problem.ini")
_FOLDERS = (
    "data", "submissions", "input_validators", "output_validators", "output_validator",
    "static_validator", "graders", "include",
)  # fmt: skip
# Near to one of those by their letters, and meant as they are.
_OTHER_FOLDERS = (
    "answer_validators", "input_format_validators", "input_visualizer", "output_visualizer",
    "solution", "solutions",
)  # fmt: skip


def read_problem(path: Path, links_into: Path | None = None) -> Problem:
    """The problem package in the directory `path`.

    Its links stay within it, or in the directory `links_into` where no name begins with a dot.
    Raises PackageError that names the file and the rule for whatever is no package, or has no
    plain meaning as one. What is left out is in the Problem's notes.
    """
    package = PackageFiles(path, links_into)
    if not any(package.file(name) for name in _METADATA_FILES):
        near = suggestion("problem.yaml", [n for n in package.names() if n.startswith("problem.")])
        raise PackageError("problem.yaml", f"is missing, so this is no problem package{near}")
    package.notes.extend(_misspelt(package.names()))
    metadata = read_metadata(package)
    if not metadata.is_legacy:
        package.ignore_odd_names()
    elif metadata.is_scoring and expects_scores(package):
        metadata = metadata._replace(is_domjudges=True, validator_sees_score=True)
        package.notes.append(_DOMJUDGES)
    extension = read_extension(package)
    validator = _output_validator(package, metadata, extension)
    grader = read_grader(package)
    static_validator = _static_validator(package, metadata)
    data, validation_cases = _read_data(
        package,
        metadata,
        has_grader=grader is not None,
        has_static_validator=static_validator is not None,
    )
    if static_validator and all(test.static_arguments is None for test in data.tests()):
        unused = "is not used; no group has a static_validation_score"
        package.notes.append(f"static_validator: {unused}")
        static_validator = None
    submissions = read_submissions(package, metadata, data)
    _check_answers(data, submissions, metadata, package.notes)
    is_lazy = not metadata.is_scoring and _all_break(data)
    return Problem(
        directory=package.directory,
        name=metadata.name or extension.name or package.directory.name,
        format=metadata.format,
        is_scoring=metadata.is_scoring,
        is_interactive="interactive" in metadata.types,
        is_submit_answer="submit-answer" in metadata.types,
        limits=metadata.limits._replace(time_seconds=_time_limit(metadata, extension)),
        data=data,
        output_validator=validator,
        output_validator_flags=metadata.validator_flags,
        input_validators=read_input_validators(package),
        grader=grader,
        includes=read_includes(package),
        submissions=submissions,
        languages=metadata.languages,
        is_lazy=is_lazy,
        validator_sees_score=metadata.validator_sees_score
        and (validator or static_validator) is not None,
        scores_rejected=metadata.is_domjudges,
        notes=tuple(map(printable, package.notes)),
        constants=metadata.constants,
        may_write_files=metadata.may_write_files,
        static_validator=static_validator,
        validation_cases=validation_cases,
    )


def _misspelt(names: Collection[str]) -> Iterator[str]:
    """What is called almost as a directory that is not there."""
    for name in names:
        near = suggestion(name, [one for one in _FOLDERS if one not in names])
        if near and name not in (*_FOLDERS, *_OTHER_FOLDERS):
            yield f"{name}: is not looked at{near}"


def _output_validator(
    package: PackageFiles, metadata: Metadata, extension: Extension
) -> Program | None:
    program = read_output_validator(package, metadata.is_legacy)
    where = program.name if program else "output_validators"
    if metadata.has_custom_validator is False and program:
        package.notes.append(f"{where}: is not used; problem.yaml says validation: default")
        program = None
    elif metadata.has_custom_validator and not program:
        raise PackageError(where, "has no program, and problem.yaml says validation: custom")
    if not program:
        for kind in ("interactive", "multi-pass"):
            if kind in metadata.types:
                raise PackageError(
                    "problem.yaml", f"type: {kind} problems need an output validator of their own"
                )
        if extension.programs:
            name = extension.programs[0]
            raise PackageError(
                "domjudge-problem.ini", f"the program {name} is on a DOMjudge server, not in here"
            )
    return program


def _static_validator(package: PackageFiles, metadata: Metadata) -> Program | None:
    program = None if metadata.is_legacy else read_static_validator(package)
    if program and "submit-answer" in metadata.types:
        raise PackageError(program.name, "has nothing to look at: submissions are no programs here")
    return program


def _read_data(
    package: PackageFiles, metadata: Metadata, *, has_grader: bool, has_static_validator: bool
) -> tuple[Group, tuple[ValidationCase, ...]]:
    folder = package.folder("data")
    if folder is None:
        raise PackageError("data", f"is missing, and with it every test{_to_generate(package)}")
    why_legacy = ""
    if metadata.is_legacy:
        why_legacy = "problem.yaml has no later problem_format_version"
    elif metadata.format == DRAFT and _has_legacy_groups(folder):
        why_legacy = "some group has keys of it"
    package.notes.extend(unread_files(folder, why_legacy))
    if why_legacy:
        return LegacyData(metadata, has_grader, package.notes).read(folder), ()
    if "secret" not in folder.folders:
        problem = f"is missing; the format asks for it{_to_generate(package)}"
        raise PackageError("data/secret", problem)
    tests = GroupData(metadata, package.notes, has_static_validator=has_static_validator)
    return tests.read(folder), read_validation_cases(folder, tests, metadata, package.notes)


def _to_generate(package: PackageFiles) -> str:
    """What BAPCtools makes before a package is one, and its authors do not keep beside it."""
    generators = package.folder("generators")
    if generators and "generators.yaml" in generators.files:
        return "; generators/generators.yaml makes it: bt generate"
    return ""


def _has_legacy_groups(folder: Folder) -> bool:
    """Whether groups are told as in legacy: there are packages of the draft that do."""
    path = folder.files.get(GROUP_FILES[1])
    if path is not None:
        where = f"{folder.where}/{GROUP_FILES[1]}"
        fields = Fields(where, read_document(path, where))
        if any(key in fields for key in GRADING_KEYS):
            return True
    return any(_has_legacy_groups(inner) for inner in folder.folders.values())


def _check_answers(
    data: Group, submissions: tuple[Submission, ...], metadata: Metadata, notes: list[str]
) -> None:
    """A missing answer can be made by a model solution, or is empty where a validator asks."""
    if metadata.types & {"interactive", "multi-pass"}:
        return
    tests = [test for test in data.tests() if test.static_arguments is None]
    missing = [f"data/{test.name}.ans" for test in tests if test.answer is None]
    if not missing:
        return
    if not any(one.name.startswith("accepted/") for one in submissions):
        raise PackageError(missing[0], "is missing, and no accepted submission could make it")
    more = f", with {len(missing) - 1} more" if len(missing) > 1 else ""
    notes.append(f"{missing[0]}: is missing{more}; an accepted submission makes it")


def _time_limit(metadata: Metadata, extension: Extension) -> float | None:
    said = metadata.limits.time_seconds
    if said is None or extension.time_seconds in (None, said):
        return extension.time_seconds if said is None else said
    raise PackageError(
        "problem.yaml",
        f"limits.time_limit: is {said:g} s, and DOMjudge's file says {extension.time_seconds:g} s",
    )


def _all_break(group: Group) -> bool:
    return group.breaks_on_reject and all(
        _all_break(member) for member in group.members if isinstance(member, Group)
    )
