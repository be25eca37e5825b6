"""`sandbox run` by a server is `sandbox run`; and the commands for the jobs that a server has."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.daemon import PATIENCE_SECONDS, Daemon

from sandbox.server.tenants import new_token

TOKEN, TOKEN_HASH = new_token()
CONFIG = f"""
[listen]
tcp = "127.0.0.1:0"
clear = true
[tenants.elsewhere]
tokens = ["{TOKEN_HASH}"]
"""
EVERY_BYTE = bytes(range(256)) * 4096

# What is asked, and what is read; the same must come of it with a server and without.
CASES: dict[str, tuple[list[str], bytes]] = {
    "output": (["echo", "hello"], b""),
    "both outputs": (["sh", "-c", "echo out; echo err >&2"], b""),
    "a byte of each kind through it": (["cat"], EVERY_BYTE),
    "its code": (["sh", "-c", "exit 7"], b""),
    "a signal": (["sh", "-c", "kill -SEGV $$"], b""),
    "not found": (["no-such-program"], b""),
    "not executable": (["/etc/passwd"], b""),
    "wall": (["--wall", "300ms", "sleep", "9"], b""),
    "cpu": (["--cpu-time", "200ms", "sh", "-c", "while :; do :; done"], b""),
    "memory": (["--memory", "16MiB", "--", "python3", "-c", "'x' * 100_000_000"], b""),
    "output limit": (["--output", "1KiB", "--", "yes"], b""),
    "violation": (["--policy", "strict", "--", "busybox", "mount"], b""),
    "a bad option": (["--memory", "1MB", "true"], b""),
    "a bad policy": (["--policy", "defualt", "true"], b""),
    "a bad grade": (["--require-grade", "memroy=kernel", "true"], b""),
    "a bad variable": (["--env", "A", "true"], b""),
    "variables": (["--env", "A=b=c", "--", "sh", "-c", "echo $A"], b""),
    "directories": (["--cwd", "/work/here", "pwd"], b""),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path_factory.mktemp("service"), CONFIG)
    daemon.start()
    yield daemon
    assert not daemon.bugs()
    daemon.close()


def sandbox(
    *words: object, host: str, stdin: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *map(str, words)],
        input=stdin, capture_output=True, timeout=PATIENCE_SECONDS,
        env={**os.environ, "SANDBOX_HOST": host, **variables},
    )  # fmt: skip


def here(daemon: Daemon) -> str:
    return f"unix:{daemon.socket}"


def elsewhere(daemon: Daemon) -> str:
    where = daemon.wait_for("listening")["where"].split()
    return next(place for place in where if place.startswith("tcp:"))


def plain(stderr: bytes) -> str:
    """What was said, but for figures that no two runs share."""
    return re.sub(r"[0-9.]+", "N", stderr.decode()).replace("oom_kill=", "oom=")


@pytest.mark.parametrize(("words", "stdin"), CASES.values(), ids=CASES)
def test_with_a_server_all_is_as_without(
    daemon: Daemon, tmp_path: Path, words: list[str], stdin: bytes
) -> None:
    found = []
    for host in ("none", here(daemon)):
        report = tmp_path / "result.json"
        report.unlink(missing_ok=True)
        done = sandbox("run", f"--json={report}", *words, host=host, stdin=stdin)
        result = json.loads(report.read_text()) if report.exists() else {}
        parts = [result.get(name) for name in ("verdict", "exit_code", "signal", "grades", "walls")]
        found.append((done.returncode, done.stdout, plain(done.stderr), set(result), parts))
    assert found[0] == found[1]


def test_without_a_file_the_result_is_alone_on_stdout(daemon: Daemon) -> None:
    done = sandbox("run", "--json", "--", "echo", "hello", host=here(daemon))
    assert json.loads(done.stdout)["verdict"] == "exited"
    assert done.stderr == b"hello\n"


def test_the_streams_are_live(daemon: Daemon) -> None:
    command = [sys.executable, "-m", "sandbox", "run", "sh", "-c", "echo ready; read -r x; echo $x"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "SANDBOX_HOST": here(daemon)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        stdout, _ = process.communicate(b"answer\n", timeout=PATIENCE_SECONDS)
    assert (process.returncode, stdout) == (0, b"answer\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_job(daemon: Daemon, number: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "run", "sh", "-c", "echo ready; sleep 99"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "SANDBOX_HOST": here(daemon)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert stderr.startswith(b"sandbox: cancelled:")


def test_a_command_that_is_killed_takes_its_job_with_it(daemon: Daemon) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "run", "--label=orphan", "sh", "-c", "echo up; sleep 99"],
        stdout=subprocess.PIPE,
        env={**os.environ, "SANDBOX_HOST": here(daemon)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert b"orphan" in sandbox("ps", host=here(daemon)).stdout
        process.kill()
    end = time.monotonic() + PATIENCE_SECONDS
    while b"orphan" in sandbox("ps", host=here(daemon)).stdout:
        assert time.monotonic() < end


def test_nobody_who_reads_is_the_end_of_the_job(daemon: Daemon) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "run", "--output=1GiB", "yes"],
        stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE_SECONDS,
        env={**os.environ, "SANDBOX_HOST": here(daemon)},
    )  # fmt: skip
    os.close(writer)
    assert done.returncode == 130
    assert done.stderr.startswith(b"sandbox: cancelled:")


@pytest.mark.parametrize("place", [here, elsewhere], ids=["same-host", "another-host"])
def test_files_go_in_and_come_back(daemon: Daemon, tmp_path: Path, place) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "name").write_bytes(b"content\n")
    (tmp_path / "input").write_bytes(b"read only\n")
    (tmp_path / "stdin").write_bytes(b"to be read\n")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    script = "cat tree/sub/name input; cat; printf 'echo ran' > out; chmod +x out; echo x > plain"
    done = sandbox(
        "run", "--copy", tmp_path / "tree", "--ro", tmp_path / "input", "--stdin",
        tmp_path / "stdin", "--collect", f"out={tmp_path}/out", "--collect",
        f"plain={tmp_path}/plain", "--", "sh", "-c", script,
        host=place(daemon), SANDBOX_TOKEN=TOKEN,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"content\nread only\nto be read\n"
    assert (tmp_path / "out").read_bytes() == b"echo ran"
    assert os.access(tmp_path / "out", os.X_OK) and not os.access(tmp_path / "plain", os.X_OK)


def test_a_stranger_names_no_file_of_the_servers_host(daemon: Daemon, tmp_path: Path) -> None:
    policy = tmp_path / "own.toml"
    policy.write_text('extends = "default"\nwhy = "mine"\n')
    for words in (["--root", "/usr"], ["--policy", str(policy)]):
        done = sandbox("run", *words, "true", host=elsewhere(daemon), SANDBOX_TOKEN=TOKEN)
        assert done.returncode == 125
        assert b"is a path of the host, which only its own user may name" in done.stderr


@pytest.mark.parametrize("token", ["", "sandbox_wrong"])
def test_who_does_not_say_who_it_is_is_refused(daemon: Daemon, token: str) -> None:
    done = sandbox("run", "true", host=elsewhere(daemon), SANDBOX_TOKEN=token)
    assert done.returncode == 125
    assert done.stdout == b"" and done.stderr.startswith(b"sandbox: ")


def test_a_server_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    done = sandbox("run", "true", host=f"unix:{tmp_path}/nobody")
    assert done.returncode == 125
    assert b"no server listens there; start `sandbox serve`" in done.stderr


def test_the_own_server_is_used_where_it_runs(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    place = tmp_path / "sandbox" / "sandbox.sock"
    environment = {key: value for key, value in os.environ.items() if key != "SANDBOX_HOST"}
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    command = [sys.executable, "-m", "sandbox", "run", "--label=mine", "true"]

    def run() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, capture_output=True, timeout=60, env=environment)

    assert b"needs a server, and none runs" in run().stderr
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(place))
    assert b"needs a server, and none runs" in run().stderr, "nobody listens there"
    place.unlink()
    place.symlink_to(daemon.socket)
    assert run().returncode == 0


def test_a_job_goes_on_without_its_command(daemon: Daemon) -> None:
    def ask(*words: str) -> str:
        done = sandbox(*words, host=here(daemon))
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    script = "echo one; echo two >&2; read -r x || :; sleep 99"
    job = ask("run", "--detach", "--label", "tale", "--", "sh", "-c", script).strip()
    follower = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "logs", "--follow", job],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "SANDBOX_HOST": here(daemon)},
    )  # fmt: skip
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"one\n"
    rows = {line.split()[0]: line for line in ask("ps").splitlines()}
    assert "tale" in rows[job] and "running" in rows[job]
    assert job in ask("stats") and job in ask("stats", job)
    busy = sandbox("rm", job, host=here(daemon))
    assert busy.returncode == 125 and b"has not ended; cancel it first" in busy.stderr
    assert ask("kill", "--signal", "TERM", job).strip() == job
    assert ask("wait", job) == f"{128 + signal.SIGTERM}\n"
    assert follower.communicate(timeout=PATIENCE_SECONDS) == (b"", b"two\n")
    assert job not in ask("ps") and job in ask("ps", "--all", "--quiet").split()
    assert "signaled" in ask("ps", "--all")
    assert job in ask("ps", "-a", "-q").split()
    assert ask("logs", "--stdout", job) == "one\n"
    assert ask("rm", job).strip() == job
    gone = sandbox("logs", job, host=here(daemon))
    assert gone.returncode == 125 and b"no job" in gone.stderr


def test_the_same_key_is_the_same_job(daemon: Daemon) -> None:
    words = ["run", "--detach", "--key", "tale-of-a-key", "--", "true"]
    jobs = {sandbox(*words, host=here(daemon)).stdout for _ in range(2)}
    assert len(jobs) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["kill"], "JOB: is missing"),
        (["kill", "--signal", "TREM", "x"], "did you mean SIGTERM?"),
        (["ps", "x"], "ps takes options only"),
        (["logs", "a", "b"], "one JOB at a time"),
        (["wait", "x"], 'no job "x"'),
        (["ps", "--host", "http://x"], "is no address"),
    ],
)
def test_what_cannot_be_meant_is_said(daemon: Daemon, words: list[str], complaint: str) -> None:
    done = sandbox(*words, host=here(daemon))
    assert done.returncode == 125
    assert complaint in done.stderr.decode()


def test_a_token_is_made_with_its_hash() -> None:
    token, digest = sandbox("token", host="none").stdout.decode().split()
    assert token.startswith("sandbox_") and re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
