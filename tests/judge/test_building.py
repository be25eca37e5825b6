"""From sources to a program that can be run: what is kept, what is told, what a package's are."""

import operator
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from judge.building import LANGUAGES, LIMITS, build_in, needed, run_built, write
from judge.local import LocalRunner, run

from sandbox.judge import building
from sandbox.judge.building import BuildCache, Built, NotBuilt, build, build_program
from sandbox.judge.language_file import language_from_mapping
from sandbox.judge.problem import Program, Submission
from sandbox.judge.toolchain import find_toolchain, language_lines, report_languages
from sandbox.spec.errors import HostError, SandboxError, SetupError

HELLO = "#include <stdio.h>\nint main(void) { puts(WORD); }\n"


DEEP = {f"{n}/" + "d/" * 6 + "it": "" for n in range(73)}  # a file for each seven directories


def test_the_same_sources_are_compiled_once_and_others_again(tmp_path: Path) -> None:
    needed("c")
    files = write(tmp_path / "it", {"a.c": HELLO, "word.h": '#define WORD "one"\n'})
    text = {"a.c": '#include "word.h"\n' + HELLO}
    one = Submission("one", write(tmp_path / "one", text | {"word.h": '#define WORD "one"\n'}))
    again = Submission(
        "again", write(tmp_path / "again", text | {"word.h": '#define WORD "one"\n'})
    )
    two = Submission("two", write(tmp_path / "two", text | {"word.h": '#define WORD "two"\n'}))
    renamed = Submission("it", (*one.files[:1], ("other.h", files[1][1])))

    async def main(runner: LocalRunner) -> None:
        first = await build_in(runner, tmp_path / "cache", one)
        assert len(runner.jobs) == 1
        assert await build_in(runner, tmp_path / "cache", again) == first
        assert len(runner.jobs) == 1
        second = await build_in(runner, tmp_path / "cache", two)
        assert len(runner.jobs) == 2
        assert isinstance(await build_in(runner, tmp_path / "cache", renamed), NotBuilt)
        for built, word in ((first, b"one\n"), (second, b"two\n")):
            assert (await run_built(runner, built, b"")).stdout == word

    run(main)


def test_a_changed_language_or_compiler_is_compiled_for_anew(tmp_path: Path) -> None:
    needed("c")
    submission = Submission("it", write(tmp_path / "it", {"a.c": "int main(void) { return 0; }\n"}))

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            for digest in (b"1", b"2", b"1"):
                language = LANGUAGES["c"]._replace(digest=digest)
                await build(submission, language, runner, cache, limits=LIMITS)
        assert len(runner.jobs) == 2

    run(main)


@pytest.mark.parametrize("step", ["stage", "shutil.rmtree"])
def test_nobody_waits_while_sources_are_copied_or_removed(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_at_it, is_seen = threading.Event(), threading.Event()
    real = operator.attrgetter(step)(building)

    def held(*arguments: Any, **more: Any) -> Any:
        is_at_it.set()
        assert is_seen.wait(30), "the loop ran nothing meanwhile"
        return real(*arguments, **more)

    monkeypatch.setattr(f"{building.__name__}.{step}", held)
    submission = Submission("it", write(tmp_path / "it", {"a.py": "print(1)\n"}))

    async def main(runner: LocalRunner) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(build_in, runner, tmp_path / "cache", submission)
            await trio.to_thread.run_sync(is_at_it.wait)
            is_seen.set()

    run(main)


def test_what_does_not_compile_is_not_kept(tmp_path: Path) -> None:
    needed("c")
    submission = Submission("it", write(tmp_path / "it", {"a.c": "int main(void) { retrn 0; }\n"}))

    async def main(runner: LocalRunner) -> None:
        for jobs in (1, 2):
            built = await build_in(runner, tmp_path / "cache", submission)
            assert isinstance(built, NotBuilt)
            assert built.why == "the compiler ended with exit code 1"
            assert "retrn" in built.output
            assert len(runner.jobs) == jobs

    run(main)


def test_includes_of_the_language_go_over_the_submission(tmp_path: Path) -> None:
    needed("python3")
    files = write(tmp_path / "it", {"part.py": "word = 'mine'\n", "main.py": "print('not run')\n"})
    driver = write(tmp_path / "driver", {"main.py": "import part\nprint(part.word, 'driven')\n"})
    other = write(tmp_path / "other", {"main.py": "print('other')\n"})

    async def main(runner: LocalRunner) -> None:
        for includes, said in (
            ({"python3": driver, "default": other}, b"mine driven\n"),
            ({"default": driver, "cpp": other}, b"mine driven\n"),
            ({"cpp": other}, b"not run\n"),
        ):
            submission = Submission("it", files)
            built = await build_in(runner, tmp_path / "cache", submission, includes=includes)
            assert (await run_built(runner, built, b"")).stdout == said

    run(main)


@pytest.mark.parametrize(
    ("code", "files", "entry_point", "why"),
    [
        ("python3", {"a.py": ""}, "b.py", 'the entry point "b.py" is no Python 3 source'),
        ("python3", {"a.py": ""}, "../a.py", "is no Python 3 source"),
        ("java", {"A.java": ""}, "A; rm -rf /", "is no name of a class"),
        ("java", {"A.java": "class A {}"}, "B", "exit code 1"),
        ("java", {"A.java": "class A {}"}, None, "exit code 1"),
        ("cpp", {"a.py": "", "b.py": ""}, None, "no file is C++ source (.cpp .cc .cxx .c++ .C)"),
        ("cpp", {}, None, "there is no file"),
        ("c", {"a.c": "", "a.c/b.c": ""}, None, '"a.c" is a file and a directory'),
        ("c", {"a.c": "", **DEEP}, None, "511 directories, over 500"),
    ],
)  # fmt: skip
def test_an_entry_point_or_file_that_is_not_there_is_a_compile_error(
    code: str, files: dict[str, str], entry_point: str | None, why: str, tmp_path: Path
) -> None:
    needed(code)
    submission = Submission("it", write(tmp_path / "it", files), code, entry_point)

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, NotBuilt)
        assert why in built.why

    run(main)


def test_a_link_among_the_sources_is_not_followed(tmp_path: Path) -> None:
    needed("c")
    (tmp_path / "a.c").symlink_to("/etc/passwd")

    async def main(runner: LocalRunner) -> None:
        built = await build_in(
            runner, tmp_path / "cache", Submission("it", (("a.c", tmp_path / "a.c"),), "c")
        )
        assert isinstance(built, NotBuilt)
        assert "a.c: cannot be read: Too many levels of symbolic links" in built.why

    async def inside(runner: LocalRunner) -> None:
        await main(runner)
        assert runner.jobs == []

    run(inside)


def test_a_failure_of_ours_is_no_compile_error(tmp_path: Path) -> None:
    needed("c")
    submission = Submission("it", write(tmp_path / "it", {"a.c": "int main(void) { return 0; }\n"}))

    class Broken(LocalRunner):
        async def run(self, order: object) -> None:
            raise SetupError("step 7 failed")

    async def main(runner: LocalRunner) -> None:
        with pytest.raises(SandboxError, match="step 7"):
            await build_in(Broken(runner), tmp_path / "cache", submission)
        assert list((tmp_path / "cache").iterdir()) == []

    run(main)


def test_a_compiler_that_is_not_here_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = {
        "name": "X",
        "extensions": [".x"],
        "tools": {"x": ["xc", "xcc"]},
        "run": {"policy": "native", "command": ["x"]},
    }
    language = language_from_mapping("x", file)
    submission = Submission("it", write(tmp_path, {"a.x": ""}))

    async def main(runner: LocalRunner) -> None:
        with (
            BuildCache.open(tmp_path / "cache") as cache,
            pytest.raises(
                HostError, match=r"X needs xc or xcc, which is not in .*; fix: install it"
            ),
        ):
            await build(submission, language, runner, cache, limits=LIMITS)
        (report,) = await report_languages({"x": language}, runner)
        assert (report.is_here, report.version) == (False, "")
        assert report.missing.startswith("X needs xc or xcc")
        (line,) = language_lines([report])
        assert line.startswith("x  X (.x): missing: X needs xc or xcc, which is not in")

    run(main)


def test_a_part_of_a_compiler_is_looked_for_by_a_pattern() -> None:
    c = LANGUAGES["c"]
    (found,) = find_toolchain(c._replace(tools={"x": ("/usr/bin/e*v", "ls")})).paths.values()
    assert found == "/usr/bin/env"
    with pytest.raises(HostError, match=r"C needs /usr/lib/no\*where, which is not here;"):
        find_toolchain(c._replace(tools={"x": ("/usr/lib/no*where",)}))


def test_a_report_has_the_version_of_what_is_here(tmp_path: Path) -> None:
    needed("python3")

    async def main(runner: LocalRunner) -> None:
        (report,) = await report_languages({"python3": LANGUAGES["python3"]}, runner)
        assert report.is_here and report.version.startswith("Python 3.")

    run(main)


CPP = '#include "validate.h"\nint main() { return ANSWER; }\n'
PROGRAMS = {
    "c++": ({"check.cc": CPP, "validate.h": "enum { ANSWER = 42 };\n"}, {}),
    "python": ({"check.py": "import sys\nsys.exit(42)\n"}, {}),
    "static": ({"check": "#!/bin/sh\nexit 42\n"}, {"is_static": True}),
    "run": (
        {"run": "#!/bin/sh\nexec python3 /program/x.py\n", "x.py": "exit(42)\n"},
        {"run": "run"},
    ),
    "build": (
        {"build": "#!/bin/sh\nmkdir bin; printf '#!/bin/sh\\nexit 42' >bin/x; ln -s bin/x run\n"},
        {"build": "build"},
    ),
    "build and run": (
        {
            "build": "#!/bin/bash\ng++ -O1 -o check check.cc\n",
            "check.cc": "int main() { return 42; }\n",
            "run": '#!/bin/sh\nexec /program/check "$@"\n',
        },
        {"build": "build", "run": "run"},
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_a_package_is_built_and_run(name: str, tmp_path: Path) -> None:
    needed("cpp")
    files, how = PROGRAMS[name]
    program = Program("output_validators/it", write(tmp_path / "it", files), **how)

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            built = await build_program(program, LANGUAGES, runner, cache, limits=LIMITS)
            assert isinstance(built, Built), built
            done = await run_built(runner, built, b"", b"word")
            assert (done.result.verdict, done.result.exit_code) == ("exited", 42), done
            jobs = len(runner.jobs)
            assert await build_program(program, LANGUAGES, runner, cache, limits=LIMITS) == built
            assert len(runner.jobs) == jobs

    run(main)


def test_a_build_script_that_is_not_there_is_named(tmp_path: Path) -> None:
    program = Program("it", write(tmp_path / "it", {"a": ""}), build="build")

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            built = await build_program(program, LANGUAGES, runner, cache, limits=LIMITS)
        assert built == NotBuilt('there is no file "build"', "")

    run(main)


def test_the_heap_of_a_runtime_is_the_memory_of_who_runs_it(tmp_path: Path) -> None:
    needed("javascript")
    files = write(tmp_path / "it", {"a.js": ""})

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            built = await build(
                Submission("it", files), LANGUAGES["javascript"], runner, cache, limits=LIMITS
            )
            program = Program("it", files)
            validator = await build_program(program, LANGUAGES, runner, cache, limits=LIMITS)
        assert b"--max-old-space-size=256" in built.command
        assert b"--max-old-space-size=512" in validator.command
        assert len(runner.jobs) == 1

    run(main)


def test_our_umask_is_not_the_programs(tmp_path: Path) -> None:
    needed("python3")
    files = {"main.py": "from inner.part import word\nprint(word)\n", "inner/part.py": "word = 7\n"}
    submission = Submission("it", write(tmp_path / "it", files))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert (await run_built(runner, built, b"")).stdout == b"7\n"

    before = os.umask(0o077)
    try:
        run(main)
    finally:
        os.umask(before)
