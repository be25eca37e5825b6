"""One run of some targets: each in a process of its own, so many at once, watched from here."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

__all__ = ["Moment", "Outcome", "run"]

_ROOT = Path(__file__).resolve().parents[1]
# As libFuzzer tells, and our own driver too: "#4096 pulse cov: 343 …".
_TOLD = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")
_TRIED = re.compile(r"(?:Done|found after|#) ?(\d+)")  # the last word of either
_MOST_LINES = 40  # of what a finding says


class Moment(NamedTuple):
    """What a target had reached, and when."""

    seconds: float  # since its process was started
    inputs: int
    reached: int  # lines of sandbox; with atheris edges


class Outcome(NamedTuple):
    """What became of one target."""

    target: str
    inputs: int
    seconds: float
    moments: tuple[Moment, ...]
    finding: str  # the last lines of it; "" where nothing was found

    def reached_at(self, seconds: float) -> int:
        """What was reached by then."""
        return max((m.reached for m in self.moments if m.seconds <= seconds), default=0)


def run(
    targets: Sequence[str],
    options: Sequence[str],
    at_once: int,
    tell: Callable[[Outcome], None],
    *,
    root: Path = _ROOT,
) -> list[Outcome]:
    """Run each with the options of `python -m fuzz.TARGET`; `tell` hears of each that has ended.

    Findings are written to the current directory. `root`: another copy of the checkout, which is
    also where its findings go.
    """

    def one(target: str) -> Outcome:
        outcome = _run_one(target, options, root)
        tell(outcome)
        return outcome

    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(one, targets))


def _run_one(target: str, options: Sequence[str], root: Path) -> Outcome:
    # -c and not -m, which would look for the package in the current directory.
    command = [sys.executable, "-c", f"import fuzz.{target} as t; t.main(t.__name__[5:], t.target"]
    command[-1] += ", getattr(t, 'TOKENS', ()))"
    settings = {"PYTHONPATH": str(root), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **settings}
    started = time.monotonic()
    moments = [Moment(0.0, 0, 0)]
    told: list[str] = []
    inputs = 0
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,  # atheris tells what was raised on both
        text=True, errors="replace", env=environment, cwd=None if root == _ROOT else root,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if found := _TOLD.match(line):
                inputs, reached = int(found[1]), int(found[2])
                if reached > moments[-1].reached:
                    moments.append(Moment(time.monotonic() - started, inputs, reached))
            else:
                told = [*told, line][-_MOST_LINES:]
                if found := _TRIED.match(line):
                    inputs = int(found[1])
    seconds = time.monotonic() - started
    finding = "".join(told) if process.returncode else ""
    return Outcome(target, inputs, seconds, tuple(moments), finding)
