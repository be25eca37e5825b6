"""`sandbox run` with real jobs: streams, exit codes, documents and signals."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("leftovers")

EVERY_BYTE = bytes(range(256)) * 1024


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    options = {"stdin": subprocess.DEVNULL, **options}
    if "input" in options:
        del options["stdin"]
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "run", *words], capture_output=True, timeout=60, **options
    )


@contextlib.contextmanager
def started(*words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A job that has printed its first line."""
    command = [sys.executable, "-m", "sandbox", "run", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def test_the_streams_are_the_callers_byte_for_byte() -> None:
    done = run("--", "sh", "-c", "cat; echo err >&2", input=EVERY_BYTE)
    assert (done.returncode, done.stdout, done.stderr) == (0, EVERY_BYTE, b"err\n")


@pytest.mark.parametrize(("place", "cwd"), [("/work/a", "/work/a"), ("/work/a", "/work/a/b")])
def test_a_read_only_input_is_seen_from_a_working_directory_in_it(
    place: str, cwd: str, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    (given / "b").mkdir(parents=True)
    for path in (given, given / "b"):
        path.chmod(0o755)
        (path / "file").touch()
    done = run("--ro", f"{given}:{place}", "--cwd", cwd, "--", "sh", "-c", "pwd; ls file; >new")
    assert done.stdout.decode().split() == [cwd, "file"]
    assert b"Read-only file system" in done.stderr and done.returncode == 2


def test_the_streams_are_live() -> None:
    with started("sh", "-c", "echo ready; read -r x; echo $x") as process:
        stdout, _ = process.communicate(b"answer\n", timeout=60)
    assert (process.returncode, stdout) == (0, b"answer\n")


@pytest.mark.parametrize(
    ("script", "code", "lines"),
    [
        ("exit 7", 7, ""),
        ("kill -SEGV $$", 128 + signal.SIGSEGV, r"sandbox: signaled: .*SIGSEGV.*\n"),
    ],
)
def test_how_the_payload_ended_is_the_exit_code(script: str, code: int, lines: str) -> None:
    done = run("sh", "-c", script)
    assert done.returncode == code
    assert re.fullmatch(lines, done.stderr.decode())


def test_a_limit_is_one_line_after_the_jobs_own_output() -> None:
    done = run("--output", "4", "sh", "-c", "echo 12345")
    assert done.returncode == 153
    assert done.stdout == b"1234"
    assert done.stderr.startswith(b"sandbox: output: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(("command", "code"), [("/nowhere", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_executed_has_a_shells_code(command: str, code: int) -> None:
    done = run(command)
    assert done.returncode == code
    assert done.stderr.startswith(f"sandbox: {command}: ".encode())


def test_a_bare_json_has_stdout_for_itself() -> None:
    done = run("--json", "sh", "-c", "echo out; echo err >&2; exit 3")
    document = json.loads(done.stdout)
    assert (document["verdict"], document["exit_code"], done.returncode) == ("exited", 3, 3)
    assert sorted(done.stderr.split()) == [b"err", b"out"]
    assert (document["stdout_bytes"], document["stderr_bytes"]) == (4, 4)


def test_a_named_json_leaves_the_streams_alone(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    done = run("--json", path, "--", "echo", "out")
    assert (done.stdout, done.stderr) == (b"out\n", b"")
    assert json.loads(path.read_text())["verdict"] == "exited"


def test_a_command_that_never_ran_leaves_no_document(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    assert run(f"--json={path}", "/nowhere").returncode == 127
    assert not path.exists()


def test_a_spec_file_says_all_that_the_options_can(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from stdin\n")
    (tmp_path / "shown").write_text("from ro\n")
    (tmp_path / "job.toml").write_text(
        """
        command = ["sh", "-c", "cat; cat shown; echo $A $B $PWD; echo left >out"]
        policy = "shell"
        cwd = "/work/here"
        stdin = "input"
        ro = ["shown"]
        collect = ["out=result"]
        env = { A = "file", B = "file" }
        limits = { memory = "64MiB" }
        """
    )
    done = run("--spec", tmp_path / "job.toml", "--env", "B=option")
    assert done.stderr == b""
    assert done.stdout == b"from stdin\nfrom ro\nfile option /work/here\n"
    assert (tmp_path / "result").read_text() == "left\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_job(number: int) -> None:
    with started("sh", "-c", "trap '' INT TERM HUP; echo ready; sleep 100") as process:
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.startswith(b"sandbox: cancelled")


def test_closed_streams_are_never_something_else(tmp_path: Path) -> None:
    # What the runner opens would else get number 0, 1 or 2, and be handed to the job.
    for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        path = tmp_path / "result.json"
        words = f"run --json={path} -- sh -c 'cat; echo out; echo err >&2'"
        done = subprocess.run(
            ["sh", "-c", f"exec {sys.executable} -m sandbox {words} {closed}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0
        assert done.stdout == (b"" if ">&-" in closed.split() else b"out\n")
        assert done.stderr == (b"" if "2>&-" in closed.split() else b"err\n")
        assert json.loads(path.read_text())["stdout_bytes"] == 4


def test_output_that_nobody_takes_ends_the_job() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", "run", "yes"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 125
    assert done.stderr == b"sandbox: output: No space left on device\n"


def test_a_job_with_a_terminal_sees_one(run_sandbox: Callable) -> None:
    outcome = run_sandbox("--tty", "--", "sh", "-c", "test -t 0 && test -t 1 && tty")
    assert outcome.returncode == 0
    assert outcome.stdout == b"/dev/pts/0\r\n"


def test_no_variable_of_the_caller_reaches_the_job() -> None:
    done = run("env", env={**os.environ, "SECRET": "1"})
    assert b"SECRET" not in done.stdout
    assert b"HOME=/work\n" in done.stdout
