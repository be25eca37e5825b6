"""The directory of one job's files in the spool."""

import os
import shutil
from pathlib import Path

__all__ = ["remove_spooled", "spooled_bytes"]


def spooled_bytes(directory: Path) -> int:
    """What its files hold; 0: there is none, or nothing in it."""
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except FileNotFoundError:
        return 0


def remove_spooled(directory: Path) -> None:
    """Remove it, and what is in it."""
    shutil.rmtree(directory, ignore_errors=True)
