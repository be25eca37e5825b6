"""Archives from a job: its files come out, and nothing else ever does."""

import contextlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.judge.archive import unpack


def archive(*members: tuple[str, bytes, dict[str, object]]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content, more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return whole.getvalue()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[bytes], Path]:
    def unpack_bytes(data: bytes) -> Path:
        (tmp_path / "a.tar").write_bytes(data)
        (tmp_path / "out").mkdir()
        unpack(tmp_path / "a.tar", tmp_path / "out")
        return tmp_path / "out"

    return unpack_bytes


def test_files_come_out_with_their_right_to_be_executed(unpacked: Callable[[bytes], Path]) -> None:
    long = "d" * 90 + "/" + "f" * 90
    out = unpacked(
        archive(
            ("./run", b"x" * 1000, {"mode": 0o755}),
            ("./d", b"", {"type": tarfile.DIRTYPE}),
            ("./d/empty", b"", {"mode": 0o4644}),
            (long, b"y" * 512, {}),
        )
    )
    found = {str(path.relative_to(out)): path for path in out.rglob("*") if path.is_file()}
    assert set(found) == {"run", "d/empty", long}
    assert found["run"].read_bytes() == b"x" * 1000
    assert found["run"].stat().st_mode & 0o7777 == 0o755
    assert found["d/empty"].stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archive(("../x", b"", {})), "is no path below"),
        (archive(("/x", b"", {})), "is no path below"),
        (archive(("a/../../x", b"", {})), "is no path below"),
        (archive(("x", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc"})), "is no regular file"),
        (archive(("x", b"", {"type": tarfile.LNKTYPE, "linkname": "/x"})), "is no regular file"),
        (archive(("x", b"", {"type": tarfile.FIFOTYPE})), "is no regular file"),
        (archive(("x", b"", {"type": tarfile.CHRTYPE})), "is no regular file"),
        (archive(("x", b"", {}), ("x", b"", {})), "is there twice"),
        (archive(("x", b"", {}), ("x/y", b"", {})), "is there twice"),
        (archive(("x\n", b"", {})), "holds what no name"),
        (archive(("x", b"1" * 600, {}))[:1000], "it ends too early"),
        (archive(("x", b"1" * 600, {}))[:512], "it ends too early"),
        (archive(*((f"{n}/" + "d/" * 14 + "x", b"", {}) for n in range(34))), "over 500 direct"),
        (b"", "it ends too early"),
        (b"x" * 512, "is no regular file"),
    ],
)
def test_what_is_no_plain_file_is_refused(
    data: bytes, message: str, unpacked: Callable[[bytes], Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        unpacked(data)


@given(at=st.integers(0, 1535), byte=st.integers(0, 255))
def test_no_archive_writes_anywhere_else_or_raises_another_error(
    at: int, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("any")
    data = bytearray(archive(("d/x", b"1" * 100, {})))
    data[at] = byte
    (place / "a.tar").write_bytes(data)
    (place / "out").mkdir()
    with contextlib.suppress(ValueError):
        unpack(place / "a.tar", place / "out")
    assert {path.name for path in place.iterdir()} == {"a.tar", "out"}
