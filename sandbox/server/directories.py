"""Directories of the state: what a tenant's is called, and how one gets to the disk."""

import hashlib
import os
from pathlib import Path

__all__ = ["directory_name", "sync_directory"]


def directory_name(tenant: str) -> str:
    """What a tenant's directory is called: never the tenant's own text, which may be any."""
    return hashlib.sha256(tenant.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def sync_directory(directory: Path) -> None:
    """Return once the names in it are on the disk, fsync(2). Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
