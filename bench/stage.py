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
    """Two directories that a job's own uid can read."""

    programs: Path
    package: Path  # where `python -m sandbox` is to be started


@contextmanager
def stage() -> Iterator[Stage]:
    """Compile it all into a temporary directory."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        place.chmod(0o755)
        made = Stage(place / "programs", place / "package")
        made.programs.mkdir()
        for source in (_HERE / "programs").glob("*.c"):
            program = made.programs / source.stem
            subprocess.run(["gcc", "-O2", "-static", "-o", program, source], check=True)
        # A checkout of somebody else's keeps no bytecode for us, and each start would compile it.
        for name in ("sandbox", "policies"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(_CHECKOUT / name, made.package / name, ignore=ignored)
        compileall.compile_dir(made.package, quiet=1)
        yield made
