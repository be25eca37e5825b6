"""What a submission does to its compiler ends as a compile error with its reason, within limits."""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

import pytest
from judge.building import LANGUAGES, LIMITS, build_in, needed, write
from judge.local import LocalRunner, run

from sandbox.judge.building import BuildCache, Built, NotBuilt, build_program
from sandbox.judge.problem import Program, Submission

TIGHT = LIMITS._replace(compilation_seconds=3, compilation_memory_bytes=512 << 20)
BRIEF = TIGHT._replace(compilation_seconds=1)  # for what is to run out of time
TIME = ("CPU time", "not done after")  # the latter where the machine is busy
SPACE = ("memory", "exit code", "disk")


class Bomb(NamedTuple):
    name: str  # of its file
    source: str
    reasons: tuple[str, ...]  # one of which is in the answer
    code: str


BOMBS = {
    "templates": Bomb("a.cpp", """
        template <int N, int M> struct A { A<N - 1, M * 2> a; A<N - 1, M * 2 + 1> b; };
        template <int M> struct A<0, M> { int x; };
        int main() { return sizeof(A<28, 0>); }
    """, ("memory", *TIME), "cpp"),
    "constexpr": Bomb("a.cpp", """
        constexpr int f(int n) { int s = 0; for (int i = 0; i < n; i++) s ^= i; return s; }
        template <int N> struct F { enum { value = f(250000 + N) + F<N - 1>::value }; };
        template <> struct F<0> { enum { value = 0 }; };
        int main() { return F<800>::value; }
    """, TIME, "cpp"),
    "macros": Bomb("a.c", """
        #define A(x) x x x x x x x x
        #define B(x) A(A(A(A(x))))
        int main(void) { B(B(undeclared;)) }
    """, ("memory", *TIME), "c"),
    "messages": Bomb("a.c", """
        #warning once more once more once more once more once more once more once more once more
        #if __INCLUDE_LEVEL__ < 60
        #include "a.c"
        #include "a.c"
        #endif
    """, ("wrote more", *TIME), "c"),
    "random": Bomb("a.c", '#include "/dev/random"\n', ("exit code", "memory", *TIME), "c"),
    "zero": Bomb("a.c", '#include "/dev/zero"\n', ("exit code", "memory", *TIME), "c"),
    "stdin": Bomb("a.c", '#include "/dev/stdin"\n', ("exit code",), "c"),
    "shadow": Bomb("a.c", '#include "/etc/shadow"\n', ("exit code 1",), "c"),
    "incbin": Bomb("a.c", '__asm__(".incbin \\"/etc/shadow\\"");\n', ("exit code 1",), "c"),
    "array": Bomb("a.c", "int a[1 << 29] = {1};\nint main(void) { return a[5]; }\n", SPACE, "c"),
    "fill": Bomb("a.c", '__asm__(".fill 3000000000, 1, 7");\nint main() {}\n', SPACE, "c"),
    "begin": Bomb("a.pl", "BEGIN { 1 while fork || 1 }\n", ("processes", *TIME), "perl"),
    "cgo": Bomb("a.go", 'package main\nimport "C"\nfunc main() {}\n', ("exit code",), "go"),
    "include_str": Bomb(
        "a.rs", 'fn main() { print!("{}", include_str!("/etc/shadow")) }\n', ("exit code",), "rust"
    ),
    "bash": Bomb("a.sh", "if\n", ("exit code",), "bash"),
    "java": Bomb("A.java", "class A { int f() { return 1 } }\n", ("exit code 1",), "java"),
    "python": Bomb("a.py", "print((\n", ("exit code 1",), "python3"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_compile_error_within_the_limits(
    bomb: Bomb, tmp_path: Path, leftovers: None
) -> None:
    needed(bomb.code)
    submission = Submission("it", write(tmp_path / "it", {bomb.name: bomb.source}))
    limits = BRIEF if set(TIME) <= set(bomb.reasons) else TIGHT

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission, limits)
        assert isinstance(built, NotBuilt), built
        assert any(reason in built.why for reason in bomb.reasons), built.why
        assert "root:" not in built.output
        assert len(built.output) < 70000
        (job,) = runner.jobs
        assert job.result.cpu_seconds < limits.compilation_seconds + 1
        assert job.result.memory_peak_bytes <= limits.compilation_memory_bytes
        assert list((tmp_path / "cache").iterdir()) == []

    run(main)


NAMES = ["-o.c", "../../x.c", "a\nb.c", "/etc/x.c", "a//b.c", "@list.c", ".", "x" * 300 + ".c",
         "\udcff.c", "a/./b.c", "a\x1b[2J.c", ""]  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_is_no_plain_name_is_a_compile_error_before_any_job(
    name: str, tmp_path: Path
) -> None:
    files = write(tmp_path / "it", {"a.c": "int main(void) { return 0; }\n", name: "\n"})

    async def main(runner: LocalRunner) -> None:
        submission = Submission("it", files, "c")
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, NotBuilt)
        assert built.why.startswith('"')
        assert "\n" not in built.why and "\x1b" not in built.why
        assert runner.jobs == []

    run(main)


def test_odd_names_that_are_names_are_compiled(tmp_path: Path) -> None:
    needed("c")
    names = ["a b.c", "größe.c", "$(id).c", "'quote'.c", "a;b/x.c", "=.c", "#.c"]
    files = {name: f"int f{number};\n" for number, name in enumerate(names)}
    files["main.c"] = "int main(void) { return 0; }\n"
    submission = Submission("it", write(tmp_path / "it", files))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built

    run(main)


def test_an_annotation_processor_among_the_sources_is_not_run(tmp_path: Path) -> None:
    needed("java")
    service = "META-INF/services/javax.annotation.processing.Processor"
    files = {
        service: "Evil\n",
        "Evil.java": "import java.util.*; import javax.lang.model.element.*;\n"
        "public class Evil extends javax.annotation.processing.AbstractProcessor {\n"
        '  static { System.err.println("processed"); }\n'
        "  public boolean process(Set<? extends TypeElement> a,\n"
        "    javax.annotation.processing.RoundEnvironment r) { return false; }\n"
        "  public static void main(String[] words) {} }\n",
    }
    submission = Submission("it", write(tmp_path / "it", files))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        assert "processed" not in built.output

    run(main)


def test_what_a_compiler_reads_as_etc_passwd_is_not_the_hosts(tmp_path: Path) -> None:
    needed("c")
    text = '__asm__(".incbin \\"/etc/passwd\\"");\nint main(void) { return 0; }\n'
    submission = Submission("it", write(tmp_path / "it", {"a.c": text}))
    mine = pwd.getpwuid(os.getuid()).pw_name.encode()
    assert mine in Path("/etc/passwd").read_bytes()  # control

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        program = (built.directory / "program").read_bytes()
        assert b"root:" in program
        assert mine not in program

    run(main)


SCRIPTS = [
    pytest.param("bomb() { bomb | bomb & }; bomb; wait\n", "", id="fork"),
    pytest.param("while :; do :; done\n", "", id="loop"),
    pytest.param("sleep 1000\n", "did nothing", id="sleep"),
    pytest.param("yes\n", "wrote more", id="output"),
    pytest.param("head -c 1G /dev/zero > big\n", "", id="disk"),
    pytest.param("kill -9 $$\n", "exit code 137", id="signal"),
    pytest.param("mkfifo run\n", "exit code 1", id="fifo"),
    pytest.param("ln -s /etc/passwd run\n", "exit code 1", id="link"),
    pytest.param("#!/nonexistent\n", "exit code 1", id="interpreter"),
    pytest.param("echo all: > Makefile; printf '\\tsh build' >> Makefile; make\n", "", id="make"),
]


@pytest.mark.parametrize(("script", "reason"), SCRIPTS)
def test_a_hostile_build_script_is_not_built_and_leaves_nothing(
    script: str, reason: str, tmp_path: Path, leftovers: None
) -> None:
    script = script if script.startswith("#!") else f"#!/bin/sh\n{script}"
    program = Program("it", write(tmp_path / "it", {"build": script}), build="build")
    limits = BRIEF if reason in ("", "did nothing") else TIGHT

    async def main(runner: LocalRunner) -> None:
        with BuildCache.open(tmp_path / "cache") as cache:
            built = await build_program(program, LANGUAGES, runner, cache, limits=limits)
        assert isinstance(built, NotBuilt)
        assert reason in built.why
        assert list((tmp_path / "cache").iterdir()) == []

    run(main)
