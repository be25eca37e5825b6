"""What comes out of the sandbox that unpacks: written as it should be, or refused with the rule."""

import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.unpacking import Entry, Unpacking, digest_of, name_problem
from sandbox.spec.errors import SpecError

HEADER = struct.Struct(">BHQ")


def stream(files: Iterable[tuple[bytes, bytes]], count: int | None = None, flags: int = 0) -> bytes:
    files = list(files)
    parts = [HEADER.pack(flags, len(name), len(data)) + name + data for name, data in files]
    return b"".join(parts) + HEADER.pack(255, 0, len(files) if count is None else count)


def refusal(directory: Path, data: bytes, most_bytes: int = 1000, most_files: int = 10) -> str:
    unpacking = Unpacking(directory, most_bytes, most_files)
    try:
        with pytest.raises(SpecError) as caught:
            unpacking.feed(data)
            unpacking.finish()
    finally:
        unpacking.close()
    assert caught.value.field == "problem"
    return caught.value.problem


FILES = [(b"a/b/c", b"content"), (b"a/empty", b""), (b"z", bytes(range(256)))]


@given(st.lists(st.integers(1, 40)))
def test_how_the_bytes_were_cut_never_shows(sizes: list[int]) -> None:
    data = stream(FILES)
    with tempfile.TemporaryDirectory() as name:
        unpacking = Unpacking(Path(name), 1000)
        for size in sizes:
            unpacking.feed(data[:size])
            data = data[size:]
        unpacking.feed(data)
        digest = unpacking.finish()
        assert [(e.name.encode(), e.size) for e in unpacking.entries] == [
            (name, len(content)) for name, content in FILES
        ]
        for path, content in FILES:
            assert (Path(name) / path.decode()).read_bytes() == content
        assert digest_of(Path(name), unpacking.entries) == digest


@given(st.binary(max_size=200))
def test_whatever_comes_is_unpacked_or_refused(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        unpacking = Unpacking(Path(name), 1000)
        try:
            unpacking.feed(data)
            unpacking.finish()
        except SpecError:
            pass
        finally:
            unpacking.close()


def test_files_are_for_everybody_to_read_and_may_be_executable(tmp_path: Path) -> None:
    unpacking = Unpacking(tmp_path, 1000)
    unpacking.feed(stream([(b"bin/run", b"#!/bin/sh\n")], flags=1))
    unpacking.finish()
    assert (tmp_path / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin").stat().st_mode & 0o777 == 0o755
    assert unpacking.entries == [Entry("bin/run", 10, True)]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (stream([(b"/etc/passwd", b"")]), "not below the top"),
        (stream([(b"../x", b"")]), "part that is empty, . or .."),
        (stream([(b"a/../../x", b"")]), "part that is empty, . or .."),
        (stream([(b"a//x", b"")]), "part that is empty, . or .."),
        (stream([(b"a/", b"")]), "part that is empty, . or .."),
        (stream([(b"a\nb", b"")]), "not printable"),
        (stream([(b"a\0b", b"")]), "not printable"),
        (stream([(b"data\\1.in", b"")]), "backslash"),
        (stream([(b"\xff", b"")]), "no UTF-8"),
        (stream([(b"a" * 256, b"")]), "255 bytes"),
        (stream([(b"a/" * 32 + b"a", b"")]), "32 levels"),
        (stream([(b"a" * 2000, b"")]), "a name of 2000 bytes"),
        (stream([(b"a", b""), (b"a", b"")]), "there twice"),
        (stream([(b"a", b""), (b"a/b", b"")]), "below a file"),
        (stream([(b"a/b", b""), (b"a", b"")]), "there twice"),
        (stream([(b"%d" % n, b"") for n in range(11)]), "over 10 entries"),
        (stream([(b"%d/a/a/a/x" % n, b"") for n in range(3)]), "over 10 entries"),
        (stream([(b"a", b"x" * 600), (b"b", b"x" * 600)]), "in sum"),
        (HEADER.pack(0, 1, 1 << 63) + b"a", "in sum"),
        (stream([(b"a", b"")], count=2), "not what was announced"),
        (stream([(b"a", b"")]) + b"x", "behind its last file"),
        (stream([(b"a", b"abc")])[:-12], "ends too early"),
        (stream([(b"a", b"")], flags=7), "a name of"),
        (b"", "ends too early"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused_by_it(tmp_path: Path, data: bytes, rule: str) -> None:
    assert rule in refusal(tmp_path, data)
    assert not {path.name for path in tmp_path.parent.iterdir()} & {"x", "passwd"}


def test_a_digest_tells_what_was_changed(tmp_path: Path) -> None:
    unpacking = Unpacking(tmp_path, 1000)
    unpacking.feed(stream(FILES))
    digest = unpacking.finish()
    (tmp_path / "z").write_bytes(bytes(256))
    assert digest_of(tmp_path, unpacking.entries) not in (None, digest)
    (tmp_path / "z").write_bytes(b"shorter")
    assert digest_of(tmp_path, unpacking.entries) is None


@given(st.text())
def test_a_name_that_may_be_stays_below_its_directory(name: str) -> None:
    if name_problem(name) is None:
        path = Path("/top") / name
        assert path.is_relative_to("/top") and ".." not in path.parts
        assert len(name.encode()) <= 1024
