"""Options as words: where they end, what they take, and what a spec file adds to them."""

from pathlib import Path

import pytest

from sandbox.cli.document import read_document
from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.cli.options import (
    Given,
    Option,
    help_lines,
    parse_options,
    parse_options_anywhere,
)
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job, job_from_mapping

OPTIONS = {
    "--size": Option("a size", "SIZE"),
    "--switch": Option("a switch"),
    "--json": Option("a file, or not", "FILE", may_stand_alone=True),
}
SIZE, SWITCH, BARE = ("--size", "1"), ("--switch", None), ("--json", None)
FILE = ("--json", "f")


@pytest.mark.parametrize(
    ("line", "given", "rest"),
    [
        ("", [], ""),
        ("cmd", [], "cmd"),
        ("-- cmd", [], "cmd"),
        ("-- --size 1", [], "--size 1"),
        ("--size 1 cmd --switch", [SIZE], "cmd --switch"),
        ("--size=1 --switch -- -x", [SIZE, SWITCH], "-x"),
        ("--size 1 --size=2 c", [SIZE, ("--size", "2")], "c"),
        ("--size -1 c", [("--size", "-1")], "c"),
        ("--size= c", [("--size", "")], "c"),
        ("--size=a=b c", [("--size", "a=b")], "c"),
        ("--json", [BARE], ""),
        ("--json cmd", [BARE], "cmd"),
        ("--json cmd -x", [BARE], "cmd -x"),
        ("--json cmd --help", [BARE], "cmd --help"),
        ("--json -- cmd", [BARE], "cmd"),
        ("--json --switch cmd", [BARE, SWITCH], "cmd"),
        ("--json=f cmd", [FILE], "cmd"),
        ("--json f -- cmd", [FILE], "cmd"),
        ("--json f --switch cmd", [FILE, SWITCH], "cmd"),
        ("--json f --size=1 cmd", [FILE, SIZE], "cmd"),
    ],
)
def test_options_end_where_the_command_begins(line: str, given: list[Given], rest: str) -> None:
    assert parse_options(line.split(), OPTIONS) == (given, rest.split())


@pytest.mark.parametrize(
    ("line", "given", "others"),
    [
        ("", [], ""),
        ("a --size 1 b --switch", [SIZE, SWITCH], "a b"),
        ("a b --size=1", [SIZE], "a b"),
        ("--json a --switch b", [BARE, SWITCH], "a b"),
        ("a --json=f b --json", [FILE, BARE], "a b"),
        ("a -- --size 1 --", [], "a --size 1 --"),
    ],
)
def test_options_may_stand_anywhere(line: str, given: list[Given], others: str) -> None:
    assert parse_options_anywhere(line.split(), OPTIONS) == (given, others.split())


@pytest.mark.parametrize("parse", [parse_options, parse_options_anywhere])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--siz 1", "--siz: no such option; did you mean --size?"),
        ("-x", "-x: no such option"),
        ("-", "-: no such option"),
        ("--size", "--size: needs a value: --size SIZE"),
        ("--size --switch", "--size: needs a value: --size SIZE"),
        ("--size -- cmd", "--size: needs a value: --size SIZE"),
        ("--switch=1", "--switch: takes no value"),
    ],
)
def test_an_option_is_refused_by_its_name(parse, line: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(line.split(), OPTIONS)
    assert str(caught.value) == message


def test_the_help_has_one_line_for_each_option() -> None:
    lines = help_lines(OPTIONS).splitlines()
    assert [line.split()[0] for line in lines] == ["--size", "--switch", "--json[=FILE]"]


def job(base: Path, line: str, spec: str | None = None) -> Job:
    if spec is not None:
        (base / "sub").mkdir(exist_ok=True)
        (base / "sub/job.toml").write_text(spec)
    given, command = parse_options(line.split(), {**SETTINGS, **LIMITS})
    name = None if spec is None else "sub/job.toml"
    document, origins = read_document(given, command, name, str(base))
    try:
        return job_from_mapping(document, base)
    except SpecError as error:
        raise origins.explain(error) from error


def complaint(base: Path, line: str, spec: str | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        job(base, line, spec)
    return str(caught.value)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The caller's directory; the spec file lies in one below it."""
    for name in ("a", "b", "sub/a", "sub/b"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


SPEC = """
command = ["from", "file"]
ro = ["a"]
collect = ["out=result"]
env = { A = "file", B = "file" }
require_grade = { memory = "kernel" }
limits = { memory = "16MiB", wall = "1s" }
"""


def test_a_spec_file_alone_is_a_job(base: Path) -> None:
    read = job(base, "", SPEC)
    assert read.command == (b"from", b"file")
    assert read.inputs == (Input(base / "sub/a", b"/work/a", copied=False),)
    assert read.artifacts == (Artifact(b"/work/out", base / "sub/result"),)


def test_options_override_the_file_and_add_to_its_arrays_and_tables(base: Path) -> None:
    read = job(
        base,
        "--wall 2s --env B=option --env C== --ro b --copy a:c --collect x=y"
        " --require-grade disk=kernel -- cmd",
        SPEC,
    )
    assert read.command == (b"cmd",)
    assert read.limits == {"memory_bytes": 16 << 20, "wall_seconds": 2.0}
    assert read.environment == {b"A": b"file", b"B": b"option", b"C": b"="}
    assert read.required_grades == {"memory": "kernel", "disk": "kernel"}
    assert read.inputs == (
        Input(base / "sub/a", b"/work/a", copied=False),
        Input(base / "b", b"/work/b", copied=False),
        Input(base / "a", b"/work/c", copied=True),
    )
    assert read.artifacts == (
        Artifact(b"/work/out", base / "sub/result"),
        Artifact(b"/work/x", base / "y"),
    )


@pytest.mark.parametrize(
    ("line", "attribute", "of_option"),
    [("--root a", "root", "a"), ("--policy x.toml", "policy", "x.toml")],
)
def test_a_path_is_relative_to_where_it_was_written(
    base: Path, line: str, attribute: str, of_option: str
) -> None:
    option, value = line.split()
    assert str(getattr(job(base, f"{line} c"), attribute)) == str(base / of_option)
    in_file = job(base, "c", f'{option[2:]} = "{value}"\n')
    assert str(getattr(in_file, attribute)) == str(base / "sub" / of_option)


def test_the_last_of_an_option_counts(base: Path) -> None:
    assert job(base, "--fds 8 --fds 9 c").limits == {"fds": 9}


@pytest.mark.parametrize(
    ("line", "spec", "start"),
    [
        ("--memory 256MB c", None, '--memory: "256MB" is no size'),
        ("--memory 256MB c", SPEC, '--memory: "256MB" is no size'),
        ("--disk 1MiB:x c", None, '--disk.inodes: "x" is no whole number'),
        ("--env K c", None, '--env: "K" has no =; write K=V'),
        ("--env =V c", None, "--env: "),
        ("--env A.B=\0 c", None, "--env: "),
        ("--ro nowhere c", None, "--ro: "),
        ("--ro b --ro nowhere c", SPEC, "--ro: "),
        ("--ro a c", SPEC, '--ro: "/work/a" is also where ro[0] goes'),
        ("--ro b --copy a:b/x c", None, "--copy: "),
        ("--collect x c", None, "--collect: "),
        ("--root nowhere c", None, "--root: "),
        ("--stdin nowhere c", None, "--stdin: "),
        ("--cwd /proc c", None, "--cwd: "),
        ("--disk-counts both c", None, "--disk-counts: "),
        ("--require-grade memory c", None, "--require-grade: "),
        ("--require-grade memory=x c", None, "--require-grade: "),
        ("--require-grade x=kernel c", None, "--require-grade: "),
        ("", None, "COMMAND: is empty"),
        ("", "tty = true", "command: is empty"),
        ("c", "memory = 1", "sub/job.toml: memory: no such key"),
        ("c", "limits = { memry = 1 }", "sub/job.toml: limits.memry: no such key"),
        ("c", "limits = 1", "sub/job.toml: limits: "),
        ("--memory 16MiB c", "limits = 1", "sub/job.toml: limits: "),
        ("--ro a c", "ro = 1", "sub/job.toml: ro: "),
        ("--ro a c", 'ro = ["nowhere"]', "sub/job.toml: ro[0]: "),
        ("--env K=V c", "env = []", "sub/job.toml: env: "),
        ("--tty c", 'cwd = "/sys"', "sub/job.toml: cwd: "),
        ("c", "x = ", "--spec: "),
    ],
)
def test_a_complaint_names_what_was_written(
    base: Path, line: str, spec: str | None, start: str
) -> None:
    assert complaint(base, line, spec).startswith(start)
