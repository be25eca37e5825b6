"""What a collector sends: names, sizes and counts of files that a job has left.

A collector is only as trustworthy as its job. An input is decisions: which artifacts were asked
for, what the stream is made of, and how it is cut.
"""

import os
import tempfile
from pathlib import Path

import trio

from fuzz.choices import Choices
from fuzz.driver import main
from fuzz.fds import all_closed
from sandbox.boundary.archive import HEADER_BYTES, Entry, EntryKind
from sandbox.spec.job import Artifact
from sandbox.supervisor import artifacts
from sandbox.supervisor.files import Destination

__all__ = ["TOKENS", "target"]

_MOST_BYTES = 256  # of all artifacts together
_PATHS = (
    b"/work/out", b"/work/../out", b"/work//out", b"/work/out\xff", b"/out", b"/work/" + b"n" * 300,
)  # fmt: skip
_OLD = b"what was there before"
TOKENS = (
    Entry(1, 9, 0o644, 5).pack(), Entry(3, 9, 2).pack(), Entry(4).pack(), *_PATHS,
    b"../../canary", b"/etc/passwd", b"canary",
)  # fmt: skip


def target(data: bytes) -> None:
    """Only destinations are written, each with the bytes of its own entry; the rest is refused."""
    choices = Choices(data)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as directory, all_closed():
        place = Path(directory)
        (place / "canary").write_bytes(_OLD)
        (place / "out").mkdir()
        asked = [_artifact(choices, place / "out", number) for number in range(choices.below(4))]
        for artifact in asked:
            if choices.flag():
                artifact.destination.write_bytes(_OLD)
        stream = _stream(choices, [artifact.path for artifact in asked])
        existed = {a.destination for a in asked if a.destination.exists()}
        outcome = _received(asked, stream, 1 + choices.below(64))
        assert outcome.keys() == {os.fsdecode(artifact.path) for artifact in asked}
        assert all(text.isprintable() for text in outcome.values())
        assert (place / "canary").read_bytes() == _OLD
        assert {path.name for path in place.iterdir()} == {"canary", "out"}
        _compare(asked, stream, outcome, existed)


def _artifact(choices: Choices, out: Path, number: int) -> Artifact:
    # Each path once: a job may ask for one file twice, and both are then told of by one name.
    return Artifact(_PATHS[choices.below(2) + 2 * number], out / f"{number}")


def _stream(choices: Choices, paths: list[bytes]) -> bytes:
    """Entries, mostly for those who wait for one, and mostly right."""
    stream = b""
    for path in paths:
        kind = choices.below(8)
        if kind == 0:
            stream += choices.data()
            continue
        name = path if kind < 6 else choices.one_of([b"", *_PATHS, b"../canary", path + b"/"])
        content = choices.data(_MOST_BYTES)
        mode = choices.one_of([0o644, 0o755, 2, choices.integer(32)])
        size = len(content) if kind % 2 else choices.integer(64)
        code = choices.one_of([1, 1, 1, 3, 4, choices.integer(8)])
        length = len(name) if kind < 7 else choices.integer(16)
        stream += Entry(code, length, mode, size).pack() + name + content
    return stream + choices.data()


def _received(asked: list[Artifact], stream: bytes, piece_bytes: int) -> dict[str, str]:
    destinations = tuple(map(Destination, asked))
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)

    async def send() -> None:
        for at in range(0, len(stream), piece_bytes):
            os.write(write_fd, stream[at : at + piece_bytes])
            await trio.lowlevel.checkpoint()
        os.close(write_fd)

    async def converse() -> dict[str, str]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            return await artifacts.receive(destinations, read_fd, _MOST_BYTES)

    try:
        return trio.run(converse)
    finally:
        os.close(read_fd)


def _compare(
    asked: list[Artifact], stream: bytes, outcome: dict[str, str], existed: set[Path]
) -> None:
    """Hold what was written to what a plain reading of the stream says."""
    at, left_bytes = 0, _MOST_BYTES
    is_alive = True
    for artifact in asked:
        content = None
        head = stream[at : at + HEADER_BYTES]
        is_alive = is_alive and len(head) == HEADER_BYTES
        if is_alive:
            kind, name_bytes, mode, size = Entry.unpack(head)
            at += HEADER_BYTES + name_bytes
            is_alive = stream[at - name_bytes : at] == artifact.path and at <= len(stream)
            is_true = size <= left_bytes if kind == EntryKind.FILE else mode < 4096
            is_alive = is_alive and is_true and kind in (EntryKind.FILE, EntryKind.REFUSED)
            if is_alive and kind == EntryKind.FILE:
                is_alive = at + size <= len(stream)
                content = stream[at : at + size] if is_alive else None
                at, left_bytes = at + size, left_bytes - size
        text = outcome[os.fsdecode(artifact.path)]
        if content is not None:
            assert text == f"collected {len(content)} bytes"
            assert artifact.destination.read_bytes() == content
        else:
            assert text.startswith("not collected: ")
            assert artifact.destination.exists() == (artifact.destination in existed)


if __name__ == "__main__":
    main("archive", target, TOKENS)
