"""A collector that lies: what it sends beyond what was asked for is not taken."""

import os
from pathlib import Path

import pytest
import trio

from sandbox.boundary.archive import Entry, EntryKind
from sandbox.spec.job import Artifact
from sandbox.supervisor import artifacts
from sandbox.supervisor.files import Destination

NAME = b"/work/out"
FILE, REFUSED, END = EntryKind.FILE, EntryKind.REFUSED, EntryKind.END


def received(tmp_path: Path, stream: bytes, most_bytes: int = 100) -> tuple[str, Path]:
    destination = tmp_path / "out"
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.write(write_fd, stream)
    os.close(write_fd)
    try:
        waiting = (Destination(Artifact(NAME, destination)),)
        (text,) = trio.run(artifacts.receive, waiting, read_fd, most_bytes).values()
    finally:
        os.close(read_fd)
    return text, destination


def test_an_entry_of_the_size_that_is_allowed_is_taken(tmp_path: Path) -> None:
    text, file = received(tmp_path, Entry(FILE, len(NAME), 0o644, 100).pack() + NAME + bytes(100))
    assert (text, file.read_bytes()) == ("collected 100 bytes", bytes(100))


def test_a_refusal_tells_its_errno(tmp_path: Path) -> None:
    text, file = received(tmp_path, Entry(REFUSED, len(NAME), 2).pack() + NAME)
    assert text == "not collected: No such file or directory" and not file.exists()


@pytest.mark.parametrize(
    "entry",
    [
        Entry(FILE, len(NAME), 0o644, 101),  # over what it was told to send
        Entry(FILE, len(NAME), 0o644, (1 << 64) - 1),
        Entry(REFUSED, len(NAME), 0xFFFFFFFF),  # strerror(3) takes an int
        Entry(END, len(NAME)),
        Entry(0xFF, len(NAME)),
    ],
)
def test_a_lie_ends_the_collection(entry: Entry, tmp_path: Path) -> None:
    text, file = received(tmp_path, entry.pack() + NAME + bytes(1000))
    assert text == "not collected: the collector died" and not file.exists()
