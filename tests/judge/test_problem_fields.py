"""What is read of a package is used: a field that nobody asks for is a rule that nobody keeps."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from sandbox.judge import problem

ROOM = Path(problem.__file__).parent
# For people, in what is told of a package; no rule of judging.
FOR_READERS = {"Test.hint", "Test.description"}
FIELDS = [
    f"{name}.{field}"
    for name in problem.__all__
    for field in getattr(problem, name)._fields
    if f"{name}.{field}" not in FOR_READERS
]


@pytest.fixture(scope="module")
def asked() -> frozenset[str]:
    """Every attribute that is looked up outside of the reader."""
    sources = [path for path in ROOM.rglob("*.py") if "package" not in path.relative_to(ROOM).parts]
    sources.remove(ROOM / "problem.py")
    return frozenset(
        node.attr
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_is_used_where_packages_are_judged(field: str, asked: frozenset[str]) -> None:
    assert field.partition(".")[2] in asked
