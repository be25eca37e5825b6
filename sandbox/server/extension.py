"""A layer above the service, which it is given at its start: methods, and what they work on.

Nothing here knows of any: whoever starts the service names them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import trio

from sandbox.server.method import Method
from sandbox.server.service import Service

__all__ = ["Extension"]


class Extension(Protocol):
    """One layer."""

    methods: Mapping[str, Method]

    async def start(self, service: Service, state: Path, nursery: trio.Nursery) -> None:
        """Begin, before anybody is let in, and return: what goes on is in `nursery`, and is
        cancelled at the end. `state`: the service's directory, in which one may be made.
        """
        ...
