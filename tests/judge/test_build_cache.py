"""What was built is kept whole or not at all, for several processes, within a size."""

import contextlib
import fcntl
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from sandbox.judge.build_cache import BuildCache


def keep(cache: BuildCache, key: str, content: bytes = b"program", **note: object) -> Path:
    with cache.draft() as draft:
        (draft / "made").mkdir()
        (draft / "made" / "program").write_bytes(content)
        return cache.keep(draft, key, draft / "made", dict(note))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_is_kept_is_found_with_its_note_by_another_too(place: Path) -> None:
    with BuildCache.open(place) as cache:
        assert cache.find("a") is None
        files = keep(cache, "a", seconds=1.5)
        with BuildCache.open(place) as other:
            assert other.find("a") == (files, {"seconds": 1.5})
    assert (files / "program").read_bytes() == b"program"
    assert files.stat().st_mode & 0o777 == 0o755


def test_a_draft_that_is_not_kept_leaves_nothing(place: Path) -> None:
    with BuildCache.open(place) as cache, cache.draft() as draft:
        (draft / "x").write_text("half")
    assert list(place.iterdir()) == []


def test_who_comes_second_takes_what_is_there(place: Path) -> None:
    with BuildCache.open(place) as cache, BuildCache.open(place) as other:
        files = keep(cache, "a", b"first")
        assert keep(other, "a", b"second") == files
    assert (files / "program").read_bytes() == b"first"
    assert [path.name for path in place.iterdir()] == ["a"]


def damage_size(files: Path) -> None:
    (files / "program").write_bytes(b"")


def damage_names(files: Path) -> None:
    (files / "more").write_bytes(b"")


def damage_record(files: Path) -> None:
    (files.parent / "record.json").write_text('{"sizes"')


def damage_by_removing(files: Path) -> None:
    (files.parent / "record.json").unlink()


@pytest.mark.parametrize(
    "damage", [damage_size, damage_names, damage_record, damage_by_removing]
)  # fmt: skip
def test_an_entry_that_is_not_whole_is_a_miss_and_goes(damage: object, place: Path) -> None:
    with BuildCache.open(place) as cache:
        damage(keep(cache, "a"))
    with BuildCache.open(place) as cache:
        assert cache.find("a") is None
        assert list(place.iterdir()) == []
        keep(cache, "a")
        assert cache.find("a") is not None


def test_the_longest_unused_goes_first_and_what_is_used_stays(place: Path) -> None:
    with BuildCache.open(place) as cache:
        for number, key in enumerate("abc"):
            keep(cache, key, bytes(1000))
            os.utime(place / key, (number, number))
    with BuildCache.open(place, most_bytes=2500) as cache, BuildCache.open(place) as user:
        assert user.find("a") is not None
        os.utime(place / "a", (0, 0))
        keep(cache, "d", bytes(1000))
        assert {path.name for path in place.iterdir()} == {"a", "d"}
        user.release(place / "a" / "files")
        keep(cache, "e", bytes(1000))
    assert {path.name for path in place.iterdir()} == {"d", "e"}


def test_a_program_that_is_used_twice_is_released_twice(place: Path) -> None:
    with (
        BuildCache.open(place, most_bytes=0) as cache,
        BuildCache.open(place, most_bytes=0) as other,
    ):
        files = keep(cache, "a")
        assert cache.find("a") is not None
        cache.release(files)
        other.release(keep(other, "b"))
        assert files.exists()
        cache.release(files)
        cache.release(files)  # one too many is nobody's
        keep(other, "b")
        assert not files.exists()


def test_a_damaged_entry_is_replaced_even_while_others_hold_it(place: Path) -> None:
    with BuildCache.open(place) as cache, BuildCache.open(place) as other:
        files = keep(other, "a", b"first")
        (files / "program").write_bytes(b"")
        assert cache.find("a") is None
        assert (keep(cache, "a", b"second") / "program").read_bytes() == b"second"


def test_what_others_could_write_to_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for mode, place in ((0o777, shared), (0o775, shared), (0o777, shared / "own")):
        shared.mkdir(exist_ok=True)
        shared.chmod(mode)
        with BuildCache.open(place) as cache:
            assert cache.directory != place
            temporary = cache.directory
            assert temporary.stat().st_mode & 0o777 == 0o700
            keep(cache, "a")
        assert not temporary.exists()


def test_the_usual_place_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with BuildCache.open() as cache:
        assert cache.directory == tmp_path / "sandbox" / "judge"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with BuildCache.open() as cache:
        assert cache.directory == tmp_path / "home" / ".cache" / "sandbox" / "judge"
    monkeypatch.setenv("HOME", "/nowhere/at/all")
    with BuildCache.open() as cache:
        assert keep(cache, "a").exists()


def die_within_a_draft(place: Path) -> None:
    with BuildCache.open(place) as cache, cache.draft() as draft:
        (draft / "half").write_text("half")
        os._exit(9)


def test_what_a_killed_process_left_is_never_found_and_goes(place: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=die_within_a_draft, args=(place,))
    process.start()
    process.join()
    assert process.exitcode == 9
    (left,) = place.iterdir()  # control: it did leave something
    assert left.name.startswith(".draft-")
    with BuildCache.open(place):
        assert list(place.iterdir()) == []


def test_the_draft_of_a_living_process_stays(place: Path) -> None:
    with BuildCache.open(place) as cache, cache.draft() as draft, BuildCache.open(place):
        assert draft.exists()


def test_nobody_waits_for_the_room_that_another_makes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rmtree, seen = shutil.rmtree, []

    def watched(path: Path, *arguments: Any, **more: Any) -> None:
        if path.name.startswith(".gone-") and not seen:
            with contextlib.suppress(BlockingIOError):
                lock = os.open(place, os.O_RDONLY)
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.close(lock)
                with BuildCache.open(place):  # which sweeps, and leaves this to us
                    seen.append(path.exists())
        rmtree(path, *arguments, **more)

    monkeypatch.setattr(shutil, "rmtree", watched)
    with BuildCache.open(place, most_bytes=1000) as cache:
        cache.release(keep(cache, "a", b"a" * 900))
        keep(cache, "b", b"b" * 900)
    assert seen == [True]
    assert [path.name for path in place.iterdir()] == ["b"]


def build_often(place: Path, number: int) -> None:
    with BuildCache.open(place, most_bytes=3000) as cache:
        for turn in range(60):
            key = f"{(turn * 7 + number) % 5}"
            found = cache.find(key)
            files = found[0] if found else keep(cache, key, key.encode() * 1000)
            if (files / "program").read_bytes() != key.encode() * 1000:
                os._exit(1)
            cache.release(files)


def test_several_processes_at_once_each_find_whole_programs(place: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=build_often, args=(place, n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
