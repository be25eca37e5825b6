"""SECURITY.md names tests for what it promises: each of them is there."""

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parent
DOCUMENT = TESTS.parent / "SECURITY.md"
_FILE = re.compile(r"`((?:\w+/)*\w+\.py)(?:::(\w+))?`")
_NAME = re.compile(r"`(test_\w+)`")
_DIRECTORY = re.compile(r"`((?:\w+/)+)`")


def defined(path: Path) -> set[str]:
    return set(re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE))


def missing(text: str) -> Iterator[str]:
    """What the text names, and nobody finds."""
    for name, test in _FILE.findall(text):
        path = TESTS / name
        if not path.is_file():
            yield name
        elif test and test not in defined(path):
            yield f"{name}::{test}"
    known = set().union(*map(defined, TESTS.rglob("test_*.py")))
    yield from (name for name in _NAME.findall(text) if name not in known)
    for name in _DIRECTORY.findall(text):
        if not ((TESTS / name).is_dir() or (TESTS.parent / name).is_dir()):
            yield name


def test_each_test_that_the_document_names_is_there() -> None:
    text = DOCUMENT.read_text()
    assert len(_FILE.findall(text)) > 20, "control: it names many"
    assert not list(missing(text))


def test_a_test_that_is_not_there_is_missed() -> None:
    text = "`containment/test_walls.py::test_no`, `test_none`, `no/test_x.py`, `nowhere/`"
    text += ", `containment/test_walls.py`, `test_a_test_that_is_not_there_is_missed`, `guest/`"
    assert list(missing(text)) == [
        *("containment/test_walls.py::test_no", "no/test_x.py", "test_none", "nowhere/")
    ]
