"""Each program of examples/hostile ends at its limit, with the right verdict, leaving nothing."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

HOSTILE = Path(__file__).resolve().parents[2] / "examples" / "hostile"


class Case(NamedTuple):
    """One program and what must come of it."""

    source: str
    verdicts: str  # a regular expression
    evidence: str = ""  # found in one line of evidence
    options: tuple[str, ...] = ()
    code: int | None = None  # of `sandbox run`


SMALL = ("--memory", "32MiB")
CASES = [
    Case("fork_bomb", "processes|cpu_time|wall_time|exited", "", ("--wall", "3s")),
    Case("thread_bomb", "processes", "pids.events max="),
    Case("memory_heap", "memory", "oom", SMALL, 137),
    Case("memory_shared", "memory", "oom", SMALL, 137),
    Case("memory_children", "memory", "oom", ("--memory", "64MiB"), 137),
    Case("memory_pipes", "memory", "oom", (*SMALL, "--fds", "4096"), 137),
    Case("memory_sockets", "memory", "oom", (*SMALL, "--fds", "4096"), 137),
    Case("disk_fill", "disk", "scratch space of 4 MiB", ("--disk", "4MiB"), 153),
    Case("disk_fill", "memory", "oom", ("--disk", "64MiB", *SMALL), 137),
    Case("inode_fill", "disk", "scratch space of 500 inodes", ("--disk", "4MiB:500"), 153),
    Case("deep_tree", "disk", "scratch space of 500 inodes", ("--disk", "4MiB:500"), 153),
    Case("output_flood", "output", "output over 100000 bytes", ("--output", "100000"), 153),
    Case("ignores_sigterm", "cpu_time", r"cpu \S+ s of 0.5 s", ("--cpu-time", "500ms"), 124),
    Case("stops_itself", "idle", "no CPU time and no I/O", ("--idle", "500ms"), 124),
    Case("stops_itself", "wall_time", r"wall \S+ s of 0.5 s", ("--wall", "500ms"), 124),
    Case("closes_stdout", "wall_time", r"wall \S+ s of 0.5 s", ("--wall", "500ms"), 124),
    Case("daemon", "exited", "", (), 0),
    Case("zombies", "processes", "pids.events max="),
    Case("kill_all", "exited|signaled"),
    Case("ptrace_init", "violation", r"ptrace\(PTRACE_ATTACH, 1, .*by pid \d+", (), 159),
    Case("opens_socket", "exited", "", (), 1),
    Case("init_memory", "exited", "", (), 1),
    Case("foreign_abi", "violation", "syscall not known", (), 159),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join((c.source, *c.verdicts.split("|"))))
def test_a_hostile_program_ends_at_its_limit(
    case: Case, compile_c: Callable, run_sandbox: Callable, leftovers: None
) -> None:
    program = compile_c(HOSTILE / f"{case.source}.c")
    outcome = run_sandbox(*case.options, "--copy", program, "--", f"./{case.source}")
    assert outcome.result is not None, outcome.stderr
    assert re.fullmatch(case.verdicts, outcome.result["verdict"]), outcome.result
    if case.evidence:
        assert any(re.search(case.evidence, line) for line in outcome.result["evidence"])
    if case.code is not None:
        assert outcome.returncode == case.code, outcome
    if outcome.result["verdict"] != "exited":
        assert outcome.stderr.count("sandbox: ") == 1, "one plain line says why"


def test_output_ends_exactly_at_the_byte(compile_c: Callable, run_sandbox: Callable) -> None:
    program = compile_c(HOSTILE / "output_flood.c")
    outcome = run_sandbox("--output", "100000", "--copy", program, "--", "./output_flood")
    result = outcome.result
    assert result["stdout_bytes"] + result["stderr_bytes"] == 100000
    assert len(outcome.stdout) == result["stdout_bytes"]


def test_page_cache_is_no_memory_bomb(
    compile_c: Callable, run_sandbox: Callable, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    program = compile_c(HOSTILE / "page_cache.c")
    outcome = run_sandbox(
        *("--memory", "16MiB", "--copy", program, "--ro", f"{large}:/work/large"),
        *("--", "./page_cache", "large"),
    )
    assert (outcome.result["verdict"], outcome.result["exit_code"]) == ("exited", 0)


def test_a_huge_argument_list_is_passed_or_refused_whole(run_sandbox: Callable) -> None:
    fits = run_sandbox("--", "/bin/sh", "-c", "echo ${#1}", "sh", "x" * 131000)
    assert fits.stdout == b"131000\n"
    many = run_sandbox("--", "/bin/true", *["x" * 1000] * 1900)
    assert (many.returncode, many.result["verdict"]) == (0, "exited")
    over = run_sandbox("--stack", "1MiB", "--", "/bin/true", *["x" * 1000] * 1900)
    assert over.returncode == 126, over
    assert "Argument list too long" in over.stderr
