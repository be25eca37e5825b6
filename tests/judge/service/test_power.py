"""What a client was told of a judging outlives a loss of power: it was on the disk before."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from sandbox.judge.service.judging import Judging, Request
from sandbox.spec.errors import HostError

REQUEST = Request("0" * 64, ("a.py", "lib/b.py"), "fingerprint", key="k")
RESULT = {"verdict": "AC", "score": 1.0}


class Disk:
    """What is on it: the names in each directory, and the bytes of each file, as last synced."""

    def __init__(self) -> None:
        self.synced: dict[int, Any] = {}

    def fsync(self, fd: int) -> None:
        self.synced[os.fstat(fd).st_ino] = state(Path(f"/proc/self/fd/{fd}").readlink())

    def lost(self, top: Path) -> list[str]:
        """What a loss of power would take of `top`, and of what is below it."""
        return [
            str(path.relative_to(top))
            for path in (top, *top.rglob("*"))
            if self.synced.get(path.stat().st_ino) != state(path)
        ]


def state(path: Path) -> Any:
    if path.is_file():
        return path.read_bytes()
    return {(one.name, one.stat().st_ino) for one in path.iterdir()}


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    return disk


@pytest.fixture
def judging(disk: Disk, tmp_path: Path) -> Judging:
    return Judging.create(tmp_path / "judgings" / "1", REQUEST, [b"print(1)", b""])


def test_a_judging_is_on_the_disk_when_it_is_accepted(disk: Disk, judging: Judging) -> None:
    assert disk.lost(judging.directory.parent) == []
    (judging.directory / "files" / "0").write_bytes(b"other")
    assert disk.lost(judging.directory.parent) == ["1/files/0"], "control"


def test_its_end_and_all_tests_are_on_the_disk_before_they_are_told(
    disk: Disk, judging: Judging
) -> None:
    lost: list[str] = []

    async def watch() -> None:
        await judging.ended()
        lost.extend(disk.lost(judging.directory))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await judging.begin()
            assert disk.lost(judging.directory) == []
            judging.events.add("test", test="1")
            nursery.start_soon(watch)
            await judging.finish("ended", RESULT)
            # The last event is made again of the record, where it was lost.
            kept = disk.synced[(judging.directory / "events").stat().st_ino]
            assert kept and (judging.directory / "events").read_bytes().startswith(kept)

    trio.run(main)
    assert lost == ["events"]
    again = Judging.load(judging.directory)
    assert (again.state, again.status()["result"]) == ("ended", RESULT)


def test_one_whose_end_cannot_be_written_is_not_over(
    judging: Judging, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        await judging.begin()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(HostError, match="No space left"):
            await judging.finish("ended", RESULT)

    trio.run(main)
    assert (judging.state, judging.is_over) == ("running", False)
    assert Judging.load(judging.directory).state == "running"
