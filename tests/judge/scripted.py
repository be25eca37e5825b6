"""A judge whose jobs are played: a package of the test's own, and no process at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import trio
from judge.fakes import completed

from sandbox.judge.build_cache import BuildCache
from sandbox.judge.cores import Cores
from sandbox.judge.engine import open_judge
from sandbox.judge.here import Here
from sandbox.judge.language import load_languages
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Submission
from sandbox.judge.runner import Order, Pipe
from sandbox.judge.trial import Settings
from sandbox.judge.verdict import Judgement
from sandbox.spec.errors import SandboxError
from sandbox.spec.result import Completed

__all__ = ["Play", "Played", "ended", "judged", "validated"]

Play = Callable[[Order], Awaitable[Completed] | Completed]
_LANGUAGES = load_languages()
_FEEDBACK = b"/work/feedback/"


def ended(
    stdout: bytes = b"yes\n", verdict: str = "exited", stderr: bytes = b"", **fields: Any
) -> Completed:
    """A job that came to that, on a quiet host."""
    return completed(verdict, stdout, **fields)._replace(stderr=stderr)


def validated(order: Order, exit_code: int, **files: str | bytes) -> Completed:
    """What a validator's job comes to; `files`: nextpass for nextpass.in, the others for .txt."""
    for name, content in files.items():
        path = _FEEDBACK + (b"nextpass.in" if name == "nextpass" else name.encode() + b".txt")
        (wanted,) = (one for one in order.job.artifacts if one.path == path)
        wanted.destination.write_bytes(content.encode() if isinstance(content, str) else content)
    for one in order.job.artifacts:
        if one.path.endswith(b".tar"):
            one.destination.touch()
    return ended(b"", exit_code=exit_code)


class Played:
    """A Runner that asks a function what each job comes to, and remembers the orders.

    Programs are Python: whether one compiles is not asked.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self.orders: list[Order] = []
        self.inputs: list[str] = []  # of the submission's runs, in order: the names of their tests

    async def run(self, order: Order) -> Completed:
        if b"py_compile" in order.job.command:
            return ended(b"")
        self.orders.append(order)
        if isinstance(order.stdin, Path) and order.stdin.exists():
            self.inputs.append(order.stdin.read_text())
        await trio.lowlevel.checkpoint()
        found = self._play(order)
        return found if isinstance(found, Completed) else await found

    async def run_pipeline(
        self, orders: Sequence[Order], pipes: Sequence[Pipe], closed: Callable[[int], None]
    ) -> list[Completed | SandboxError]:
        raise NotImplementedError("who closed first is known of real processes only")


def judged(
    directory: Path,
    play: Play,
    scratch: Path,
    *,
    source: str = "print('yes')\n",
    name: str = "made.py",
    jobs: int = 1,
    settings: Settings | None = None,
    submission: Submission | None = None,
    **more: Any,
) -> tuple[Judgement, Played]:
    """One submission to that package; `more` as Judge.judge takes it."""
    scratch.mkdir(exist_ok=True)
    file = scratch / name
    file.write_text(source)
    asked = submission or Submission(name, ((name, file),))
    runner = Played(play)

    async def main() -> Judgement:
        with BuildCache.open(scratch / "cache") as cache:
            here = Here(runner, _LANGUAGES, cache, Cores(jobs), scratch)
            async with open_judge(read_problem(directory), here, settings or Settings()) as judge:
                return await judge.judge(asked, 1.0, **more)

    return trio.run(main), runner
