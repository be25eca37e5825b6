"""The shelf: whole entries or none, and room for new ones."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.judge.domjudge.shelf import Shelf


def holding(size: int) -> Callable[[Path], None]:
    def fill(directory: Path) -> None:
        (directory / "content").write_bytes(bytes(size))

    return fill


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_longest_unused_go_and_those_in_use_stay(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100)
    for n in range(10):
        os.utime(shelf.put(f"{n}", holding(10)), (n, n))
    assert shelf.find("0") is not None  # used now
    shelf.put("new", holding(20))
    assert names(tmp_path) == ["0", "3", "4", "5", "6", "7", "8", "9", "new"]
    shelf.put("large", holding(1000))
    assert names(tmp_path) == ["0", "9", "large", "new"], "the last four used are in use"


def test_an_entry_that_cannot_be_filled_is_not_there(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        (directory / "half").write_bytes(b"half")
        raise OSError("no space")

    shelf = Shelf(tmp_path, 100)
    with pytest.raises(OSError, match="no space"):
        shelf.put("a", fail)
    assert shelf.find("a") is None and names(tmp_path) == []


def test_what_a_killed_worker_had_begun_is_swept_and_what_it_had_done_is_found(
    tmp_path: Path,
) -> None:
    Shelf(tmp_path, 100).put("a", holding(60))
    (tmp_path / ".draft-xyz").mkdir()
    (tmp_path / ".draft-xyz" / "half").write_bytes(b"half")
    shelf = Shelf(tmp_path, 100)
    assert names(tmp_path) == ["a"] and shelf.find("a") == tmp_path / "a"


def test_a_name_has_one_entry(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, 100)
    shelf.put("a", holding(1))
    path = shelf.put("a", holding(2))
    assert (path / "content").read_bytes() == bytes(2) and names(tmp_path) == ["a"]
