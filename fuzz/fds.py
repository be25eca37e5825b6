"""What a target opens is closed again, by whoever was told to."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

__all__ = ["all_closed"]


@contextlib.contextmanager
def all_closed() -> Iterator[None]:
    """Inside, everything that is opened is closed too; what was open stays open."""
    before = _open_fds()
    yield
    if _open_fds() != before:
        gc.collect()  # a connection of SQLite is closed once nobody has a statement of it any more
    assert _open_fds() == before, f"left open: {_open_fds() - before}; lost: {before - _open_fds()}"


def _open_fds() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}  # its own fd is always the same
