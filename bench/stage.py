"""What the figures need on disk: the C programs, and the package as an installer leaves it."""

import compileall
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Stage", "stage"]

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parent


class Stage(NamedTuple):
    """Directories that a job's own uid can read."""

    programs: Path  # empty where there is no compiler
    package: Path  # where `python -m sandbox` is to be started
    scratch: Path  # for what peers keep on disk
    floor: Path | None


@contextmanager
def stage() -> Iterator[Stage]:
    """Compile it all into a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o755)
        compiler = shutil.which("gcc") or shutil.which("cc")
        floor = place / "floor" if compiler else None
        made = Stage(place / "programs", place / "package", place / "scratch", floor)
        made.programs.mkdir()
        made.scratch.mkdir()
        if compiler and floor:
            for source in (_HERE / "programs").glob("*.c"):
                _compile(compiler, source, made.programs / source.stem)
            _compile(compiler, _HERE / "floor" / "floor.c", floor)
        # A checkout of somebody else's keeps no bytecode for us, and each start would compile it.
        for name in ("sandbox", "policies"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(_CHECKOUT / name, made.package / name, ignore=ignored)
        compileall.compile_dir(made.package, quiet=1)
        yield made


def _compile(compiler: str, source: Path, program: Path) -> None:
    subprocess.run([compiler, "-O2", "-static", "-o", program, source], check=True)
