"""Packages for the tests, written from a table of files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from judge.packages import Files, written

from sandbox.judge.package import PackageError, read_problem
from sandbox.judge.problem import Problem

Read = Callable[[Files], Problem]

LEGACY: Files = {
    "problem.yaml": "name: Sums\n",
    "data/sample/1.in": "1 2\n",
    "data/sample/1.ans": "3\n",
    "data/secret/1.in": "3 4\n",
    "data/secret/1.ans": "7\n",
    "submissions/accepted/sum.py": "print(sum(map(int, input().split())))\n",
}
NEW: Files = {
    **LEGACY,
    "problem.yaml": "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\n",
}
SCORING: Files = {
    **NEW,
    "problem.yaml": "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\ntype: scoring\n",
}


@pytest.fixture
def legacy(tmp_path: Path) -> Read:
    """Reads a package of the legacy format with these files more."""
    return lambda files: read_problem(written(tmp_path / "sums", {**LEGACY, **files}))


@pytest.fixture
def new(tmp_path: Path) -> Read:
    """Reads a package of 2025-09 with these files more."""
    return lambda files: read_problem(written(tmp_path / "sums", {**NEW, **files}))


@pytest.fixture
def scoring(tmp_path: Path) -> Read:
    """Reads a scoring package of 2025-09 with these files more."""
    return lambda files: read_problem(written(tmp_path / "sums", {**SCORING, **files}))


@pytest.fixture
def refusal() -> Callable[[Read, Files], str]:
    """What a package is refused with, as people see it."""

    def refused(read: Read, files: Files) -> str:
        with pytest.raises(PackageError) as caught:
            read(files)
        assert caught.value.field and str(caught.value).isprintable()
        return str(caught.value)

    return refused
