"""What reads a problem package in a sandbox: `main(PACKAGE)`, of an archive of these sources.

Writes the lines of problem_text.py to stdout. What is wrong with the package is told on stderr, and
3 is the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sandbox.judge.package import PackageError, read_problem
from sandbox.judge.service.problem_text import problem_lines

__all__ = ["main"]


def main(package: str) -> int:
    """The exit code."""
    try:
        problem = read_problem(Path(package))
    except PackageError as error:
        sys.stderr.write(str(error))
        return 3
    except MemoryError:
        sys.stderr.write("takes too much memory to read")
        return 3
    sys.stdout.writelines(problem_lines(problem))
    sys.stdout.flush()
    return 0
