"""Where a submission is run that may write no files: a read-only directory with those of its test.

"Allow file writing" of the format is about the working directory. What runtimes put into /tmp is
theirs, and gone with the run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import trio

__all__ = ["WorkingDirectories"]

Files = tuple[tuple[str, Path], ...]


class WorkingDirectories:
    """One for each set of files, made when it is asked for."""

    def __init__(self, scratch: Path) -> None:
        """`scratch`: below it they are, and stay."""
        self._scratch = scratch
        self._made: dict[Files, Path] = {}
        self._making = trio.Lock()

    async def of(self, files: Files) -> Path:
        """The directory that holds copies of these. Raises OSError: there is no room for them."""
        async with self._making:
            if files not in self._made:
                # In a thread: they may be large.
                self._made[files] = await trio.to_thread.run_sync(_filled, self._scratch, files)
            return self._made[files]


def _filled(scratch: Path, files: Sequence[tuple[str, Path]]) -> Path:
    top = Path(tempfile.mkdtemp(prefix="working-", dir=scratch))
    for name, path in files:
        place = top / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place, follow_symlinks=False)
    for directory, _, names in os.walk(top):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            path.chmod(0o755)  # whatever our umask is: jobs read it as somebody else
    return top
