"""The judge as `sandbox serve` is given it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import trio

from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods import METHODS
from sandbox.server.extension import Extension
from sandbox.server.method import Method
from sandbox.server.service import Service

__all__ = ["JudgeExtension"]


class JudgeExtension(Extension):
    """judge.*: see methods/."""

    methods: Mapping[str, Method] = METHODS

    async def start(self, service: Service, state: Path, nursery: trio.Nursery) -> None:
        """Take up what an earlier process has left of its judgings."""
        directory = state / "judge"
        directory.mkdir(mode=0o700, exist_ok=True)
        service.parts[Judgings] = judgings = Judgings(service, directory, nursery)
        await judgings.start()
