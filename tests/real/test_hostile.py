"""Each program of examples/hostile ends at its limit, with the right verdict, leaving nothing."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

HOSTILE = Path(__file__).resolve().parents[2] / "examples" / "hostile"


class Case(NamedTuple):
    """One program and what must come of it."""

    program: str  # in examples/hostile, and its arguments
    verdict: str
    code: int  # of `sandbox run`
    evidence: str = ""  # a regular expression, found in one line of evidence
    options: tuple[str, ...] = ()
    stderr: str = ""  # what the program itself must have met
    stdout: bytes | None = None


SMALL = ("--memory", "32MiB")
SHORT = ("--wall", "500ms")
REFUSED = r"pids.events max=\d+"
CASES = [
    Case("fork_bomb.c", "processes", 1, REFUSED),
    Case("fork_storm.c", "cpu_time", 124, r"cpu \S+ s of 0.5 s", ("--cpu-time", "500ms")),
    Case("thread_bomb.c", "processes", 1, REFUSED),
    Case("zombies.c", "processes", 1, REFUSED),
    Case("memory_heap.c", "memory", 137, "oom", SMALL),
    Case("memory_shared.c", "memory", 137, "oom", SMALL),
    Case("memory_memfd.c", "memory", 137, "oom", SMALL),
    Case("memory_children.c", "memory", 137, "oom", ("--memory", "64MiB")),
    Case("memory_pipes.c", "memory", 137, "oom", (*SMALL, "--fds", "4096")),
    Case("memory_sockets.c", "memory", 137, "oom", (*SMALL, "--fds", "4096")),
    Case("disk_fill.c", "memory", 137, "oom", ("--disk", "64MiB", *SMALL)),
    Case("disk_fill.c", "disk", 153, "scratch space of 4 MiB", ("--disk", "4MiB")),
    Case("disk_fill.c here", "disk", 153, "scratch space of 4 MiB", ("--disk", "4MiB")),
    Case("disk_fill.c /dev/shm/x", "disk", 153, "scratch space of 4 MiB", ("--disk", "4MiB")),
    Case("inode_fill.c", "disk", 153, "scratch space of 500 inodes", ("--disk", "4MiB:500")),
    Case("deep_tree.c", "disk", 153, "scratch space of 500 inodes", ("--disk", "4MiB:500")),
    Case("output_flood.c", "output", 153, "output over 100000 bytes", ("--output", "100000")),
    Case("ignores_sigterm.c", "cpu_time", 124, r"cpu \S+ s of 0.5 s", ("--cpu-time", "500ms")),
    Case("spins_in_threads.c", "cpu_time", 124, r"cpu \S+ s of 0.5 s", ("--cpu-time", "500ms")),
    Case("stops_itself.c", "idle", 124, "no CPU time and no I/O", ("--idle", "500ms")),
    Case("stops_itself.c", "wall_time", 124, r"wall \S+ s of 0.5 s", SHORT),
    Case("closes_stdout.c", "wall_time", 124, r"wall \S+ s of 0.5 s", SHORT),
    Case("daemon.c", "exited", 0, stdout=b"daemon started\n"),
    Case("kill_all.c", "exited", 0, stdout=b"alive\n"),
    Case("overflows_stack.c", "signaled", 128 + signal.SIGSEGV, ""),
    Case("opens_files.c", "exited", 1, stderr="Too many open files"),
    Case("huge_argv.c", "exited", 1, stderr="Argument list too long"),
    Case("opens_socket.c", "exited", 1, stderr="socket: "),
    Case("init_memory.c", "exited", 1, stderr="/proc/1/mem: Permission denied"),
    Case("reads_secrets.sh", "exited", 1, stdout=b""),
    Case("ptrace_init.c", "violation", 159, r"ptrace\(PTRACE_ATTACH, 1, .*by pid \d+"),
    Case("user_namespace.c", "violation", 159, r"unshare\(CLONE_NEWUSER\) by pid \d+"),
    Case("mounts.c", "violation", 159, r"mount\(.*by pid \d+"),
    Case("types_for_the_caller.c", "violation", 159, r"ioctl\(0, TIOCSTI, .*by pid \d+"),
    Case("foreign_abi.c", "violation", 159, "syscall not known"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.program}-{case.verdict}")
def test_a_hostile_program_ends_at_its_limit(
    case: Case, compile_c: Callable, run_sandbox: Callable, leftovers: None
) -> None:
    name, *arguments = case.program.split()
    if name.endswith(".c"):
        copied = compile_c(HOSTILE / name)
        command = [f"./{copied.name}", *arguments]
    else:
        copied = HOSTILE / name
        command = ["sh", name, *arguments]
    outcome = run_sandbox(*case.options, "--copy", copied, "--", *command)
    result = outcome.result
    assert result is not None, outcome.stderr
    assert (result["verdict"], outcome.returncode) == (case.verdict, case.code), result
    if case.evidence:
        assert any(re.search(case.evidence, line) for line in result["evidence"]), result
    if case.stdout is not None:
        assert outcome.stdout == case.stdout
    assert case.stderr in outcome.stderr
    reasons = outcome.stderr.count("sandbox: ")  # the job's own output may end without a newline
    assert reasons == (case.verdict != "exited"), "one plain line says why"


def test_every_hostile_program_has_its_case() -> None:
    assert {path.name for path in HOSTILE.iterdir()} == {
        "page_cache.c",  # test_page_cache_is_no_memory_bomb
        *(case.program.split()[0] for case in CASES),
    }


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


def test_a_limit_too_small_to_start_in_is_our_refusal(
    run_sandbox: Callable, leftovers: None
) -> None:
    outcome = run_sandbox("--memory", "4MiB", "--copy", "/usr/bin/python3", "--", "true")
    assert (outcome.returncode, outcome.result) == (125, None)
    assert "too small to start the job in" in outcome.stderr
