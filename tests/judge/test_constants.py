"""Constants of a package: in which of its files they stand, and in which of nobody else's."""

import subprocess
import sys
from pathlib import Path

import pytest
from judge.building import LANGUAGES, LIMITS, build_in, needed, run_built, write
from judge.local import LocalRunner, run
from judge.packages import package
from judge.real import judge_here

from sandbox.judge.building import BuildCache, Built, NotBuilt, build_program
from sandbox.judge.constants import with_constants
from sandbox.judge.problem import Program, Submission

pytestmark = pytest.mark.usefixtures("cache")

CONSTANTS = {"n": "10", "n.value": "10", "n.tex": "1{,}0", "empty": "", "loop": "{{n}}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        (b"{{n}}+{{n.value}}={{n.tex}}", b"10+10=1{,}0"),
        (b"{{m}} {{n.}} {{n.c}} {{.n}} {{1n}} {n} {{ n }} {{n}", b"same"),
        (b"{{{n}}}", b"{10}"),
        (b"[{{empty}}]", b"[]"),
        (b"{{loop}}", b"{{n}}"),  # once
        (b"\xff{{n}}", b"same"),  # no text
        (b"", b"same"),
    ],
)
def test_a_sequence_that_names_a_constant_is_its_value(text: bytes, filled: bytes) -> None:
    assert with_constants(text, CONSTANTS, 1000) == (text if filled == b"same" else filled)


def test_what_constants_make_of_a_text_is_bounded() -> None:
    assert len(with_constants(b"{{n}}" * 20, CONSTANTS, 100)) == 40
    long = {"a": "x" * 1000}
    assert len(with_constants(b"{{a}}" * 10, long, 10_000)) == 10_000
    with pytest.raises(ValueError, match="is over 10000 bytes with its constants"):
        with_constants(b"{{a}}" * 1_000_000, long, 10_000)


SOURCE = "print('{{n}}', '{{m}}')\n"


def test_constants_stand_in_includes_and_in_submissions_of_the_package(tmp_path: Path) -> None:
    needed("python3")
    given = Submission("it", write(tmp_path / "it", {"main.py": f"import part\n{SOURCE}"}))
    part = write(tmp_path / "part", {"part.py": SOURCE})

    async def main(runner: LocalRunner) -> None:
        for is_of_package, said in ((True, b"10 {{m}}\n" * 2), (False, b"10 {{m}}\n{{n}} {{m}}\n")):
            built = await build_in(
                runner, tmp_path / "cache", given, includes={"default": part},
                constants=CONSTANTS, is_of_package=is_of_package,
            )  # fmt: skip
            assert (await run_built(runner, built, b"")).stdout == said

    run(main)


def test_another_constant_is_another_program(tmp_path: Path) -> None:
    needed("python3")
    files = write(tmp_path / "it", {"check.py": SOURCE})
    scripted = write(tmp_path / "script", {"run": "#!/bin/sh\necho {{n}}\n", "build": "true"})
    for _, path in scripted:
        path.chmod(0o755)

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            for program, said in (
                (Program("check", files), b" {{m}}\n"),
                (Program("script", scripted, build="build", run="run"), b"\n"),
            ):
                for value in ("1", "2", "1"):
                    built = await build_program(
                        program, LANGUAGES, runner, cache, constants={"n": value}, limits=LIMITS
                    )
                    assert isinstance(built, Built), built
                    assert (await run_built(runner, built, b"")).stdout == value.encode() + said

    run(main)


def test_sources_that_constants_make_too_long_are_refused(tmp_path: Path) -> None:
    many = Submission("it", write(tmp_path / "it", {"a.py": "#" + "{{n}}" * 1000}))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(
            runner, tmp_path / "cache", many, constants={"n": "x" * 100_000}, is_of_package=True
        )
        assert isinstance(built, NotBuilt) and "with its constants" in built.why
        assert not runner.jobs

    run(main)


METADATA = """\
problem_format_version: 2025-09
name: Made up
uuid: a-b
limits: {time_limit: 1}
constants: {word: 'yes', other: {value: 5, long: five}}
"""
FILES = {
    "problem.yaml": METADATA,
    "data/secret/1.in": "{{word}}\n",
    "data/secret/1.ans": "{{word}} yes\n",
    "submissions/accepted/a.py": "print(input(), '{{word}}')\n",
}


def test_a_submission_from_outside_is_compiled_as_it_is(tmp_path: Path) -> None:
    directory = package(tmp_path / "p", FILES)
    mine = (directory / "submissions" / "accepted" / "a.py").read_text()
    (outside,) = judge_here(directory, mine)
    assert outside.verdict == "WA", "and test data is never replaced"


def test_the_same_file_is_an_example_whoever_names_it(tmp_path: Path) -> None:
    directory = package(tmp_path / "p", FILES)
    (tmp_path / "link").symlink_to(directory)
    source = tmp_path / "link" / "submissions" / "accepted" / "a.py"
    command = [sys.executable, "-m", "sandbox", "judge", "--jobs=1", directory, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_constants_stand_in_an_output_validator(tmp_path: Path) -> None:
    check = "import sys\nsys.exit(42 if sys.stdin.read() == '{{other.long}}\\n' else 43)\n"
    directory = package(tmp_path / "p", {**FILES, "output_validator/check.py": check})
    right, wrong = judge_here(directory, "print('five')", "print('{{other.long}}')")
    assert (right.verdict, wrong.verdict) == ("AC", "WA")
