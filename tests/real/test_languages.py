"""A real program in each language: compiled and run inside, under the tightest policy that fits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "examples" / "languages"
REQUIRED_WALLS = {
    "identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "quotas",
}  # fmt: skip


class Language(NamedTuple):
    """How a language is compiled (to `artifacts`) and run; `needs` is looked for on the host."""

    name: str
    needs: str
    source: str
    compile: tuple[str, ...]
    artifacts: tuple[str, ...]
    policy: str
    run: tuple[str, ...]
    memory: str = "64MiB"


JAVA_CLASSES = ("app.jar",)
LANGUAGES = [
    Language(
        "c", "gcc", "paths.c", ("gcc", "-O2", "-static", "-o", "paths", "paths.c"),
        ("paths",), "strict", ("./paths",),
    ),
    Language(
        "c++", "g++", "paths.cpp", ("g++", "-O2", "-pthread", "-o", "paths", "paths.cpp"),
        ("paths",), "native", ("./paths",),
    ),
    Language(
        "rust", "/usr/bin/rustc", "paths.rs", ("rustc", "-O", "-o", "paths", "paths.rs"),
        ("paths",), "native", ("./paths",),
    ),
    Language(
        "go", "go", "paths.go", ("go", "build", "-o", "paths", "paths.go"),
        ("paths",), "native", ("./paths",),
    ),
    Language(
        "java", "javac", "Paths.java",
        ("sh", "-c", "javac -d out Paths.java && jar -c -f app.jar -e Paths -C out ."),
        JAVA_CLASSES, "jvm", ("java", "-Xmx256m", "-jar", "app.jar"), "512MiB",
    ),
    Language("python", "python3", "paths.py", (), ("paths.py",), "python", ("python3", "paths.py")),
    Language("node", "node", "paths.js", (), ("paths.js",), "node", ("node", "paths.js"), "256MiB"),
    Language("shell", "awk", "paths.sh", (), ("paths.sh",), "shell", ("sh", "paths.sh")),
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_a_program_compiles_and_runs_inside(
    language: Language, run_sandbox: Callable, tmp_path: Path, leftovers: None
) -> None:
    if shutil.which(language.needs) is None:
        pytest.skip(f"no {language.needs} on this host")
    built = tmp_path / "built"
    built.mkdir()
    if language.compile:
        collect = [f"--collect={name}={built / name}" for name in language.artifacts]
        outcome = run_sandbox(
            *("--policy", "compile", "--copy", SOURCES / language.source, *collect),
            *("--", *language.compile),
        )
        assert (outcome.result["verdict"], outcome.returncode) == ("exited", 0), outcome
    else:
        shutil.copy(SOURCES / language.source, built)
    copies = [f"--copy={built / name}" for name in language.artifacts]
    outcome = run_sandbox(
        *("--policy", language.policy, "--memory", language.memory, *copies),
        *("--stdin", SOURCES / "graph.txt", "--", *language.run),
    )
    result = outcome.result
    assert (result["verdict"], result["exit_code"]) == ("exited", 0), outcome
    assert outcome.stdout == (SOURCES / "expected.txt").read_bytes()
    assert (result["grades"]["memory"], result["grades"]["processes"]) == ("kernel", "kernel")
    assert {wall for wall, state in result["walls"].items() if state == "up"} >= REQUIRED_WALLS


# What each runtime believes of its machine, inside 512 MiB and one CPU.
BELIEFS = [
    ("node", "node", ("node", "-p", "process.constrainedMemory()"), b"536870912\n"),
    ("node", "node", ("node", "-p", "v8.getHeapStatistics().heap_size_limit < 2 ** 29"), b"true\n"),
    ("java", "jvm", ("java", "-XshowSettings:system", "-version"), b"Effective CPU Count: 1\n"),
    ("java", "jvm", ("java", "-XshowSettings:system", "-version"), b"Memory Limit: 512.00M\n"),
]


@pytest.mark.parametrize(("needs", "policy", "command", "printed"), BELIEFS)
def test_a_runtime_sees_its_own_limits(
    needs: str, policy: str, command: tuple[str, ...], printed: bytes, run_sandbox: Callable
) -> None:
    if shutil.which(needs) is None:
        pytest.skip(f"no {needs} on this host")
    outcome = run_sandbox(
        *("--policy", policy, "--memory", "512MiB", "--cpus", "1", "--", *command)
    )
    assert outcome.returncode == 0, outcome
    assert printed in outcome.stdout + outcome.stderr.encode()


def test_a_pinned_job_sees_one_core(run_sandbox: Callable) -> None:
    program = "import os; print(os.sched_getaffinity(0))"
    outcome = run_sandbox("--policy", "python", "--core", "0", "--", "python3", "-c", program)
    assert outcome.stdout == b"{0}\n"
    assert outcome.result["grades"]["core"] == "kernel"


def test_a_go_program_starts_a_thread_for_each_of_its_cpus(
    run_sandbox: Callable, tmp_path: Path
) -> None:
    if shutil.which("go") is None:
        pytest.skip("no go on this host")
    source = tmp_path / "cpus.go"
    source.write_text(
        'package main\nimport ("fmt"; "runtime")\n'
        "func main() { fmt.Println(runtime.GOMAXPROCS(0)) }\n"
    )
    built = tmp_path / "cpus"
    arguments = ("--policy", "compile", "--copy", source, f"--collect=cpus={built}")
    assert run_sandbox(*arguments, "--", "go", "build", "cpus.go").returncode == 0
    outcome = run_sandbox("--policy", "native", "--cpus", "1", "--copy", built, "--", "./cpus")
    assert outcome.stdout == b"1\n"
