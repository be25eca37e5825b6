"""The files of subordinate ids, by table."""

from pathlib import Path

import pytest

from sandbox.supervisor.subids import Range, read_subids

UID = 4_000_000  # no account has it


@pytest.mark.parametrize(
    ("text", "entries", "ignored"),
    [
        ("a:1:2\n", 1, 0),
        ("a:1:2", 1, 0),
        ("# a:1:2\n\n  \n", 0, 0),
        ("a:1\n", 0, 1),
        (":1:2\n", 0, 1),
        ("a:1:0\n", 0, 1),
        ("a:-1:2\n", 0, 1),
        ("a:0x10:2\n", 0, 1),
        ("a:4294967294:1\n", 1, 0),
        ("a:4294967295:1\n", 0, 1),
        ("a:\u0661:2\n", 0, 1),
        ("a:1:2\nnonsense\nb:5:5\n", 2, 1),
    ],
)
def test_a_line_that_cannot_be_meant_is_ignored_and_named(
    tmp_path: Path, text: str, entries: int, ignored: int
) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    found = read_subids(file)
    assert (len(found.entries), len(found.ignored)) == (entries, ignored)
    assert all(str(file) in reason for reason in found.ignored)


def test_a_missing_file_grants_nothing_and_says_so(tmp_path: Path) -> None:
    found = read_subids(tmp_path / "subuid")
    assert found.entries == ()
    assert "No such file" in found.ignored[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{UID}:100000:65536\n", [Range(100000, 65536)]),
        (f"{UID}:100000:10\n{UID}:200000:20\n", [Range(200000, 20), Range(100000, 10)]),
        (f"{UID}:100000:65536\nother:165535:1\n", []),
        (f"{UID}:100000:65536\nother:165536:1\n", [Range(100000, 65536)]),
        (f"{UID}:0:10\n", []),
        (f"{UID}:{UID - 1}:10\n", []),
        ("other:100000:65536\n", []),
    ],
)
def test_only_ranges_that_nobody_else_can_act_as_are_usable(
    tmp_path: Path, text: str, expected: list[Range]
) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    ranges, problems = read_subids(file).usable(UID, UID)
    assert ranges == expected
    assert bool(problems) == (not expected and str(UID) in text)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", 100000),
        ("a:100000:65536\n", 165536),
        ("a:165536:65536\nb:100000:65536\n", 231072),
        ("a:1000:10\nb:300000:10\n", 100000),
        ("a:100000:10\nb:165000:10\n", 165010),
    ],
)
def test_a_free_range_is_the_lowest_that_overlaps_none(
    tmp_path: Path, text: str, start: int
) -> None:
    file = tmp_path / "subuid"
    file.write_text(text)
    found = read_subids(file).free_range(65536)
    assert found == Range(start, 65536)
    assert not any(range_.overlaps(found) for _, range_ in read_subids(file).entries)
