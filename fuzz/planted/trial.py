"""A bug that we plant ourselves: whether a target finds it, and after how much."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from fuzz.campaign import Outcome, run

__all__ = ["Planted", "clean_copy", "plant", "planted", "try_to_find"]

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_PARTS = ("sandbox", "fuzz", "policies", "bench")
_TRY_SEEDS = """
import sys
from fuzz.driver import corpus
from fuzz.targets import load
target, _ = load(sys.argv[1])
for path in corpus(sys.argv[1]):
    try:
        target(path.read_bytes())
    except Exception:
        path.unlink()
        print(path.name)
"""


class Planted(NamedTuple):
    """One patch; its head says what is wrong then, for whom it is, and after how much."""

    path: Path
    why: str
    target: str
    inputs: int  # that our own driver may need

    @property
    def name(self) -> str:
        return self.path.stem


def planted() -> list[Planted]:
    """All of them."""
    return [_read(path) for path in sorted(_HERE.glob("*.patch"))]


def _read(path: Path) -> Planted:
    why, *lines = path.read_text().split("\n--- ")[0].strip().splitlines()
    fields = dict(line.split(": ") for line in lines if line)
    return Planted(path, why, fields["Target"], int(fields["Inputs"]))


@contextmanager
def clean_copy() -> Iterator[Path]:
    """A copy of what the targets need, to be changed."""
    with TemporaryDirectory(prefix="planted-") as directory:
        for name in _PARTS:
            ignored = shutil.ignore_patterns("__pycache__", "*-crash-*")
            shutil.copytree(_ROOT / name, Path(directory) / name, ignore=ignored)
        yield Path(directory)


def plant(bug: Planted, root: Path) -> None:
    """Have it in that copy. Raises CalledProcessError: it does not fit any more."""
    command = ["patch", "--batch", "--fuzz=0", "--strip=1", f"--input={bug.path}"]
    subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)


def try_to_find(bug: Planted, options: list[str], root: Path) -> tuple[Outcome, list[str]]:
    """Fuzz a copy that has it; what became of that, and the kept inputs that were left out.

    They would find it at once: the target must find it without them.
    """
    settings = {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    tried = subprocess.run(
        [sys.executable, "-c", _TRY_SEEDS, bug.target],
        cwd=root, env={**os.environ, **settings}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    (outcome,) = run([bug.target], options, 1, lambda _: None, root=root)
    return outcome, tried.stdout.splitlines()
