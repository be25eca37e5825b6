"""Judgings on disk: their sources, and of each run what the jury may ask for later."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from sandbox.judge.domjudge.files import SentFile, write_files
from sandbox.judge.domjudge.report import bounded, run_metadata, system_text
from sandbox.judge.domjudge.shelf import Shelf
from sandbox.judge.verdict import Outcome

__all__ = ["Kept"]

_MOST_SHARE = 0.5  # of the room: what one judging may take with whole outputs
_LEAST_BYTES = 4096  # of each output, where it has taken that


class Kept:
    """By the name of the judging; the oldest ones go when there is no more room."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def begin(self, job: str, sources: Sequence[SentFile]) -> tuple[tuple[str, Path], ...]:
        """A new judging, with nothing left of an old one: names and paths of its sources."""

        def fill(directory: Path) -> None:
            (directory / "source").mkdir()
            write_files(sources, directory / "source")

        place = self._shelf.put(job, fill) / "source"
        return tuple((file.name, place / file.name) for file in sources)

    def add_compilation(self, job: str, output: bytes) -> None:
        """What the compiler said."""
        self._add(job, "compilation", {"output": output})

    def add_run(self, job: str, test: str, outcome: Outcome) -> None:
        """All of one run."""
        self._add(job, f"test-{test}", {
            "stdout": outcome.stdout,
            "stderr": outcome.stderr,
            "judgemessage.txt": outcome.judge_message.encode(errors="backslashreplace"),
            "system": system_text(outcome),
            "metadata": run_metadata(outcome),
        })  # fmt: skip

    def output(self, job: str, test: str) -> bytes | None:
        """stdout of that run; None: it is not there any more."""
        place = self._shelf.find(job)
        path = place and place / f"test-{test}" / "stdout"
        return path.read_bytes() if path and path.exists() else None

    def package(self, job: str) -> bytes | None:
        """All that there is of a judging, as tar.gz; None: nothing is there any more."""
        if (place := self._shelf.find(job)) is None:
            return None
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            archive.add(place, job)
        return packed.getvalue()

    def _add(self, job: str, name: str, files: dict[str, bytes]) -> None:
        if (place := self._shelf.find(job)) is None:
            return  # more was judged meanwhile than there is room for
        if self._shelf.share_of(job) > _MOST_SHARE:  # by a flood on each of a thousand tests
            files = {file: bounded(content, _LEAST_BYTES) for file, content in files.items()}
        (place / name).mkdir(exist_ok=True)
        for file, content in files.items():
            (place / name / file).write_bytes(content)
        self._shelf.grown(job)
