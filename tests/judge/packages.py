"""Packages that a test writes, and submissions of one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox.judge.problem import Submission

__all__ = ["ECHO", "cases", "one_test", "package", "submission", "written"]

Files = Mapping[str, str | bytes | None]

ECHO = "import sys\nsys.stdout.write(sys.stdin.read())\n"


def written(directory: Path, files: Files) -> Path:
    """The files, at their paths below `directory`; none is made of None."""
    for name, content in files.items():
        if content is not None:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return directory


def package(directory: Path, files: Files) -> Path:
    """One of those files. What every package has need not be told."""
    common = {"problem.yaml": "name: Made up\n", "domjudge-problem.ini": "timelimit = 1\n"}
    return written(directory, {**common, **files})


def cases(*names: str, answer: str = "yes\n") -> dict[str, str]:
    """So many tests, whose inputs are their names."""
    inputs = {f"data/{name}.in": name for name in names}
    return {**inputs, **{f"data/{name}.ans": answer for name in names}}


def one_test(
    directory: Path, files: Mapping[str, str | bytes | None] = {}, *, yaml: str = ""
) -> Path:
    """A problem of one secret test, whose input is its answer, with `files` over it."""
    limits = "limits: {time_limit: 1, memory: 256, output: 1, validation_time: 5}\n"
    return written(directory, {
        "problem.yaml": yaml if "limits:" in yaml else yaml + limits,
        "data/secret/1.in": "17\n",
        "data/secret/1.ans": "17\n",
        **files,
    })  # fmt: skip


def submission(directory: Path, name: str, source: str | bytes) -> Submission:
    """Of one file."""
    path = written(directory, {name: source}) / name
    return Submission(name, ((name, path),))
