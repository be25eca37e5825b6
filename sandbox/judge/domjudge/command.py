"""`sandbox judge worker`."""

from __future__ import annotations

from pathlib import Path

import trio

from sandbox.judge.cores import Cores
from sandbox.judge.domjudge.config import load_config
from sandbox.judge.domjudge.local_engine import LocalEngine
from sandbox.judge.here import opened
from sandbox.spec.errors import SpecError

__all__ = ["run_worker"]


def run_worker(path: Path, jobs: int | None) -> int:
    """Judge for the DOMjudge server that the file names, until SIGTERM. Raises SandboxError."""
    config = load_config(path)
    try:
        from sandbox.judge.domjudge.worker import work
    except ModuleNotFoundError as error:
        raise SpecError(
            "worker", f"needs {error.name}; fix: pip install '.[domjudge]' in a checkout"
        ) from error

    async def main() -> None:
        async with opened(Cores(jobs)) as here:
            await work(config, LocalEngine(here))

    trio.run(main)
    return 0
