"""Problem packages: a Problem of files that are its own, or what is wrong in which file.

An input is a package: for each file a line "==== " and its path, then its text. "====@" makes a
link to what the next line says, "====|" a FIFO.
"""

import io
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fuzz.driver import main
from sandbox.judge.package import PackageError, matches, read_problem
from sandbox.judge.problem import Group, Problem, Program
from sandbox.judge.service.problem_text import problem_from_lines, problem_lines
from sandbox.judge.unpacking import name_problem

__all__ = ["TOKENS", "target"]

_PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_MOST_FILES = 60
_MOST_PATH = 200
TOKENS = (
    b"\n==== problem.yaml\n", b"\n==== domjudge-problem.ini\n", b"\n==== .timelimit\n",
    b"\n==== data/secret/1.in\n", b"\n==== data/secret/1.ans\n", b"\n==== data/secret/1.yaml\n",
    b"\n==== data/secret/a/1.in\n", b"\n==== data/secret/a/1.ans\n",
    b"\n==== data/secret/a/test_group.yaml\n", b"\n==== data/secret/test_group.yaml\n",
    b"\n==== data/testdata.yaml\n", b"\n==== data/sample/testdata.yaml\n",
    b"\n==== submissions/accepted/a.py\n", b"\n==== submissions/mixed/a/b.c\n",
    b"\n==== submissions/submissions.yaml\n", b"\n==== submissions.json\n",
    b"\n==== output_validators/v.cc\n", b"\n==== output_validator/build\n",
    b"\n==== graders/g.py\n", b"\n==== include/cpp/a.h\n", b"\n====@ data/secret/2.in\n",
    b"\n====| data/secret/3.in\n", b"../../etc/passwd", b"problem_format_version: 2025-09\n",
    b"problem_format_version: 2023-07-draft\n", b"type: scoring\n", b"type: [interactive, ",
    b"validation: custom interactive\n", b"limits: {time_limit: ", b"max_score: ", b"unbounded",
    b"score_aggregation: pass-fail\n", b"require_pass: ", b"scoring: {score: 5, aggregation: min}",
    b"grader_flags: min first_error ignore_sample\n", b"on_reject: continue\n", b"range: -inf +inf",
    b"permitted: [AC, TLE]\n", b"required: [RTE]\n", b"use_for_time_limit: lower\n", b"{{n}}",
    b"constants: {n: ", b"@EXPECTED_RESULTS@: CORRECT, TIMELIMIT", b"@EXPECTED_SCORE@: ", b"{a,b}",
    b"*/*", b"&a ", b"*a", b"!!int ", b"!!set ", b"!!omap ", b"<<: ", b"2025-99-99", b"1:30",
    b".inf", b"1e-6", b"0x_", b"? [a]\n: b", b"--- ", b"%YAML 1.1", b"\xff", b"\xe2\x80\xae",
    b"9" * 5000,
)  # fmt: skip


def target(data: bytes) -> None:
    """Every refusal is one printable line; what is read stays within the package."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_PLACE) as directory:
        package = Path(directory) / "package"
        package.mkdir()
        _write(package.resolve(), data)
        try:
            problem = read_problem(package)
        except PackageError as error:
            assert error.field and str(error).isprintable(), repr(str(error))
            return
        _require_contained(problem, package.resolve())
        _require_told_apart(problem)
        lines = "".join(problem_lines(problem)).encode()
        again = problem_from_lines(io.BytesIO(lines), problem.directory, name_problem)
        assert again == problem, "as a service is told of it"


def _write(package: Path, data: bytes) -> None:
    for part in (b"\n" + data).split(b"\n====")[1 : _MOST_FILES + 1]:
        line, _, content = part.partition(b"\n")
        kind, name = line[:1], os.fsdecode(line[1:].strip(b" /"))
        if not name or "\0" in name or ".." in name.split("/") or len(name) > _MOST_PATH:
            continue
        path = package / name
        try:
            if not path.resolve().is_relative_to(package) or path.exists():
                continue  # nothing is made through a link, nor written to a FIFO
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == b"@":
                path.symlink_to(os.fsdecode(content.partition(b"\n")[0][:_MOST_PATH]) or ".")
            elif kind == b"|":
                os.mkfifo(path)
            else:
                path.write_bytes(content)
        except (OSError, RuntimeError, ValueError):
            continue  # a path through a file, a loop of links, a name twice, a NUL in a link


def _require_contained(problem: Problem, package: Path) -> None:
    for path in _paths(problem):
        assert path.is_relative_to(package), path
        assert stat.S_ISREG(path.lstat().st_mode), path
        assert path == path.resolve()


def _paths(problem: Problem) -> Iterator[Path]:
    for test in problem.data.tests():
        yield from (path for path in (test.input, test.answer) if path)
        yield from (path for _, path in test.files)
    single = (problem.output_validator, problem.static_validator, problem.grader)
    programs: list[Program] = [one for one in single if one] + list(problem.input_validators)
    files = [program.files for program in programs]
    files += [submission.files for submission in problem.submissions]
    for name, path in itertools.chain(*files, *problem.includes.values()):
        assert name and not name.startswith("/") and ".." not in name.split("/")
        yield path


def _require_told_apart(problem: Problem) -> None:
    names = [test.name for test in problem.data.tests()]
    assert names and len(set(names)) == len(names)
    submissions = [submission.name for submission in problem.submissions]
    assert len(set(submissions)) == len(submissions)
    for submission in problem.submissions:
        assert submission.files
        for expectation in submission.expectations:
            matches(expectation.tests, names[0])
    assert all(note.isprintable() for note in problem.notes)
    limits = problem.limits
    assert limits.time_seconds is None or limits.time_seconds > 0
    assert limits.passes == 1 or limits.passes >= 2
    assert all(value > 0 for value in limits if value is not None)
    _require_graded(problem.data)


def _require_graded(group: Group) -> None:
    low, high = group.grading.score_range
    assert low <= high
    for member in group.members:
        assert member.name.startswith(f"{group.name}/" if group.name else "s"), member.name
        if isinstance(member, Group):
            _require_graded(member)


if __name__ == "__main__":
    main("problem", target, TOKENS)
