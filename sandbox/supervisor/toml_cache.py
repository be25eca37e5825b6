"""TOML documents as parsed before, kept beside the compiled filters.

Loading tomllib and parsing a policy takes as long as a job. A document says what a job may do, so
it is kept as a filter is: see filter_cache.py for what is trusted.
"""

import contextlib
import marshal
import sys
from typing import Any

from sandbox.spec.toml_file import parse_toml
from sandbox.supervisor.filter_cache import digest, load, store

__all__ = ["parse"]


def parse(text: bytes) -> dict[str, Any]:
    """What `parse_toml` does, and raises."""
    # marshal's format is that of one Python, and what is TOML may be a matter of its version too.
    key = digest(b"toml", sys.version.encode(), text)
    kept = load(key)
    if kept is not None:
        document: dict[str, Any] = marshal.loads(kept)
        return document
    document = parse_toml(text)
    with contextlib.suppress(ValueError):  # it holds a date or a time, which marshal does not take
        store(key, marshal.dumps(document))
    return document
