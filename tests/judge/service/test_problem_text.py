"""A Problem as lines: the same when it is read again, and never one of files elsewhere."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.package import read_problem
from sandbox.judge.service.problem_text import problem_from_lines, problem_lines
from sandbox.judge.unpacking import name_problem

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "problems"
PACKAGES = sorted(
    path.parent
    for path in EXAMPLES.glob("*/*/problem.yaml")
    if path.parent.parent.name != "hostile"
)
HERE = Path("/package")


def taken(lines: bytes, directory: Path = HERE):
    return problem_from_lines(io.BytesIO(lines), directory, name_problem)


def small() -> list[list]:
    """The lines of a problem of one test, to be changed."""
    lines = "".join(problem_lines(read_problem(PACKAGES[0]))).splitlines()
    found = [json.loads(line) for line in lines]
    assert found[0][1].startswith("data/"), "the input of a test"
    return found


def lines_of(found: list) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in found).encode()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_problem_is_the_same_when_it_is_read_again(package: Path) -> None:
    problem = read_problem(package)
    assert taken("".join(problem_lines(problem)).encode(), problem.directory) == problem


@pytest.mark.parametrize(
    "name", ["/etc/shadow", "../../blobs/x", "data/../../x", "data//x", "data/\0", "\udc80", ""]
)
def test_a_file_elsewhere_is_refused(name: str) -> None:
    lines = small()
    assert taken(lines_of(lines)), "control"
    lines[0][1] = name
    with pytest.raises(ValueError):
        taken(lines_of(lines))


@pytest.mark.parametrize("value", [7, None, [], {}, True, "x", 1.5, [None], [[]]])
def test_a_value_of_another_type_is_refused_or_fits(value: object) -> None:
    for place in range(len(small()[-2])):
        lines = small()
        lines[-2][place] = value
        try:
            problem = taken(lines_of(lines))
        except ValueError:
            continue
        assert isinstance(problem.limits.memory_bytes, int)
        assert problem.directory.is_relative_to(HERE)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines.pop(0),
        lambda lines: lines.pop(),
        lambda lines: lines.insert(0, lines[0]),
        lambda lines: lines[-2].pop(),
        lambda lines: lines.__setitem__(-1, 0),
    ],
)
def test_what_is_not_whole_is_refused(change) -> None:
    lines = small()
    change(lines)
    with pytest.raises(ValueError):
        taken(lines_of(lines))


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_by_one_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        taken(data)
