"""data/ beside its tests: inputs and outputs that only validators are shown ("Validation test data"
of the format), and what they must say of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sandbox.judge.package.cases import VALIDATION_FOLDERS, Case, cases_of
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.files import Folder
from sandbox.judge.package.group_data import GroupData
from sandbox.judge.package.group_settings import GroupSettings, read_settings
from sandbox.judge.package.metadata import Metadata
from sandbox.judge.problem import Test, ValidationCase

__all__ = ["read_validation_cases"]

_SAMPLE = "sample"
_WITHOUT_OUTPUTS = frozenset({"interactive", "multi-pass"})


def read_validation_cases(
    data: Folder, tests: GroupData, metadata: Metadata, notes: list[str]
) -> tuple[ValidationCase, ...]:
    """All of them, and the samples' own outputs. Raises PackageError: one lacks a file."""
    root = read_settings(data, GroupSettings("data"), metadata, [])
    found = []
    for name in (*VALIDATION_FOLDERS, _SAMPLE):
        folder = data.folders.get(name)
        if folder is None:
            continue
        if name != "invalid_input" and metadata.types & _WITHOUT_OUTPUTS:
            if name != _SAMPLE:
                notes.append(f"{folder.where}: is for other types of problems; it is left out")
            continue
        for case, test in _walk(folder, root, tests, metadata):
            if (made := _case(name, case, test)) is not None:
                found.append(made)
    return tuple(found)


def _walk(
    folder: Folder, above: GroupSettings, tests: GroupData, metadata: Metadata
) -> Iterator[tuple[Case, Test]]:
    settings = read_settings(folder, above, metadata, [])
    for case in cases_of(folder, "submit-answer" in metadata.types):
        yield case, tests.test(case, settings)
    for name, inner in folder.folders.items():
        if not name.endswith(".files"):
            yield from _walk(inner, settings, tests, metadata)


def _case(folder: str, case: Case, test: Test) -> ValidationCase | None:
    if folder == "invalid_input":
        return ValidationCase(test, accepts_input=False)
    if case.output is None and folder == _SAMPLE:
        return None
    for suffix, path in ((".in", case.input), (".ans", case.answer), (".out", case.output)):
        if path is None:
            raise PackageError(case.where + suffix, f"is missing, and its test is in {folder}")
    # Whatever it scores: it is in no group that has a most.
    test = test._replace(accept_score=math.inf)
    return ValidationCase(test, output=case.output, accepts_output=folder != "invalid_output")
