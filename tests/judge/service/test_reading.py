"""Packages that are slow to read: who sent one waits for it, and nobody else."""

import io
import subprocess
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest
from judge.packages import written
from judge.service.contest import RIGHT, judged, package, upload, zipped
from server.daemon import PATIENCE_SECONDS, Client, Daemon

from sandbox.judge.package import read_problem
from sandbox.judge.service import reading
from sandbox.judge.service.problem_text import problem_from_lines
from sandbox.judge.unpacking import name_problem

# PyYAML takes some ten seconds for each of these, of one CPU.
SLOW = b"[" + b"1," * 120_000 + b"]\n"
ERRORS = {
    "a scalar that no float holds": b"name: " + b"1:" * 60_000 + b"1.5\n",
    "an array for a name": b"name: [1, 2]\n",
    "deep nests": b"name: " + b"[" * 200_000 + b"\n",
    "an alias": b"name: [&a 1, *a]\n",
}


def slow(tests: int = 40) -> bytes:
    files = package(tests)
    files |= {f"data/secret/{number:04}.yaml": SLOW for number in range(1, tests + 1)}
    return zipped(files)


@pytest.mark.parametrize("yaml", ERRORS.values(), ids=ERRORS.keys())
def test_what_cannot_be_read_is_told_as_the_packages_fault(client: Client, yaml: bytes) -> None:
    told = judged(client, upload(client, zipped(package(**{"problem.yaml": yaml}))), RIGHT)
    assert (told["state"], told["error"]["code"], told["error"]["field"]) == (
        "failed", "spec", "problem",
    )  # fmt: skip
    assert "problem.yaml: " in told["error"]["message"]


def test_others_are_served_and_judged_while_a_package_is_read(client: Client) -> None:
    told = client.call("judge.submit", problem=upload(client, slow()), files={"a.py": RIGHT})
    problem = upload(client, zipped(package()))
    for _ in range(3):
        assert judged(client, problem, RIGHT)["verdict"] == "AC"
    for _ in range(1000):
        assert client.call("judge.list")["judgings"][0]["state"] == "running"
    client.call("judge.cancel", judging=told["judging"])
    told = client.call("judge.wait", judging=told["judging"], wait_seconds=PATIENCE_SECONDS)
    assert (told["state"], told["events"] > 0) == ("cancelled", True)
    assert client.call("server.info")["used"]["jobs"] == 0, "what read it has ended too"


def test_the_service_ends_while_a_package_is_read(daemon: Daemon) -> None:
    with daemon.client() as client:
        problem = upload(client, slow())
        told = client.call("judge.submit", problem=problem, files={"a.py": RIGHT})
        while not list(daemon.state.glob(f"judge/*/packages/{problem}")):
            client.call("judge.status", judging=told["judging"])
    assert daemon.drain() == 0
    daemon.start()
    with daemon.client() as client:
        assert client.call("judge.status", judging=told["judging"])["ended_at"] is None
        client.call("judge.cancel", judging=told["judging"])


def test_a_package_is_read_once_and_again_where_that_was_damaged(daemon: Daemon) -> None:
    with daemon.client() as client:
        problem = upload(client, zipped(package()))
        assert judged(client, problem, RIGHT)["verdict"] == "AC"
        (kept,) = daemon.state.glob(f"judge/*/packages/{problem}/read")
        made, whole = kept.stat().st_mtime_ns, kept.read_bytes()
        assert judged(client, problem, RIGHT)["verdict"] == "AC"
        assert kept.stat().st_mtime_ns == made
        for damaged in (b"", whole[:-5], whole.replace(b"data/", b"data\\")):
            kept.write_bytes(damaged)
            assert judged(client, problem, RIGHT)["verdict"] == "AC"
            assert kept.read_bytes() == whole


def test_the_name_of_a_problem_without_one_is_its_directorys(client: Client) -> None:
    files = package()
    files["problem.yaml"] = b"limits: {time_limit: 2}\n"
    told = judged(client, upload(client, zipped(files, "twice as much/")), RIGHT)
    events = client.call("judge.events", judging=told["judging"])["events"]
    assert events[0]["problem"] == "twice as much"


@pytest.mark.parametrize("is_ours", [True, False], ids=["our-python", "another-python"])
def test_the_program_runs_by_itself(tmp_path: Path, is_ours: bool) -> None:
    program = tmp_path / "reader.zip"
    # No Python has a magic number of zeros: bytecode of that is another one's.
    data = reading._program()
    program.write_bytes(data if is_ours else data.replace(MAGIC_NUMBER, bytes(4)))
    assert is_ours or program.read_bytes() != data
    start = reading._START.replace(reading._PROGRAM.decode(), str(program))
    written(tmp_path / "it", package())
    command = [sys.executable, "-I", "-S", "-c", start, tmp_path / "it"]
    done = subprocess.run(command, check=True, capture_output=True)
    found = problem_from_lines(io.BytesIO(done.stdout), tmp_path / "it", name_problem)
    assert found == read_problem(tmp_path / "it")
