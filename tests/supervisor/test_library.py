"""Jobs in the caller's own process: `async with Supervisor() as supervisor`."""

import doctest
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

import sandbox
from sandbox.spec.errors import ExecError, HostError, SpecError
from sandbox.spec.job import Job
from sandbox.supervisor import library
from sandbox.supervisor.lifecycle import Cancellation

pytestmark = pytest.mark.usefixtures("leftovers")


def test_the_examples_are_true() -> None:
    found = doctest.testmod(library, extraglobs={"trio": trio}, raise_on_error=True)
    assert found.attempted > 1 and not found.failed


def test_a_job_has_its_streams_and_artifacts(tmp_path: Path) -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    async def main() -> None:
        async with sandbox.Supervisor() as supervisor:
            done = await supervisor.run(
                ["sh", "-c", "cat; echo err >&2; echo left > out"],
                stdin=numbers(),
                collect=[f"out={tmp_path}/out"],
            )
            assert (done.stdout, done.stderr) == (b"0\n1\n2\n", b"err\n")
            assert done.result.artifacts == {"/work/out": "collected 5 bytes"}
            assert (tmp_path / "out").read_bytes() == b"left\n"

    trio.run(main)


def test_many_run_at_once_and_a_sink_takes_what_comes() -> None:
    taken: list[bytes] = []

    async def sink(_stream: str, data: bytes) -> None:
        taken.append(data)

    async def main() -> None:
        async with sandbox.Supervisor() as supervisor, trio.open_nursery() as nursery:
            for number in range(8):
                job = Job((b"echo", b"%d" % number))
                nursery.start_soon(lambda job=job: supervisor.run(job, sink=sink))

    trio.run(main)
    assert sorted(taken) == [b"%d\n" % number for number in range(8)]


def test_a_policy_of_the_package_is_read_once_and_a_caller_s_own_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "native"\nwhy = "a test"\n[environment]\nNAME = "first"\n')
    read: list[str] = []
    load = library.load_policy
    monkeypatch.setattr(library, "load_policy", lambda name: read.append(name) or load(name))

    async def main() -> None:
        async with sandbox.Supervisor() as supervisor:
            for name in ("first", "second"):
                done = await supervisor.run(["sh", "-c", "echo $NAME"], policy=str(own))
                assert done.stdout == name.encode() + b"\n"
                own.write_text(own.read_text().replace("first", "second"))
                await supervisor.run(["true"])
                await supervisor.run(["true"])

    trio.run(main)
    assert sorted(read) == sorted([str(own), "default", str(own)])


def test_a_job_can_be_cancelled_and_a_wrong_one_is_told() -> None:
    async def main() -> None:
        async with sandbox.Supervisor() as supervisor:
            cancellation = Cancellation()

            async def sink(_stream: str, _data: bytes) -> None:
                cancellation.set()

            done = await supervisor.run(
                ["sh", "-c", "echo up; sleep 60"], sink=sink, cancellation=cancellation
            )
            assert done.result.verdict == "cancelled"
            with pytest.raises(SpecError, match=r"limits\.memroy: no such key"):
                await supervisor.run(["true"], limits={"memroy": "1GiB"})
            with pytest.raises(ExecError):
                await supervisor.run(["no-such-program"])
            with pytest.raises(TypeError):
                await supervisor.run(Job((b"true",)), cwd="/work/here")

    trio.run(main)


def test_a_file_can_be_the_stdin(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 200_000)

    async def main() -> None:
        async with sandbox.Supervisor() as supervisor:
            done = await supervisor.run(["wc", "-c"], stdin=tmp_path / "in")
            assert done.stdout == b"200000\n"
            with pytest.raises(SpecError, match=r"stdin: .*No such file"):
                await supervisor.run(["true"], stdin=tmp_path / "none")

    trio.run(main)


def test_jobs_talk_to_each_other_and_who_hung_up_is_told() -> None:
    asks = sandbox.Order(Job((b"sh", b"-c", b"echo 7; read answer; echo $answer >&2")), None)
    doubles = sandbox.Order(Job((b"sh", b"-c", b"read n; echo $((n * 2)); read eof; exit 3")), None)
    waits = sandbox.Order(Job((b"cat",)), None)
    both = [sandbox.Pipe(0, "stdout", 1), sandbox.Pipe(1, "stdout", 0)]

    async def main() -> None:
        closed: list[int] = []
        async with sandbox.Supervisor() as supervisor:
            first, second = await supervisor.run_pipeline([asks, doubles], both, closed.append)
            assert isinstance(first, sandbox.Completed) and first.stderr == b"14\n"
            assert (first.stdout, closed[0]) == (b"7\n", 0)
            assert isinstance(second, sandbox.Completed) and second.result.exit_code == 3
            for one in await supervisor.run_pipeline([waits, waits], both):
                assert isinstance(one, sandbox.Completed) and one.result.verdict == "idle"
                assert any("deadlock" in line for line in one.result.evidence)

    trio.run(main)


def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    async def main() -> None:
        async with sandbox.Supervisor():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        trio.run(main)


@pytest.mark.root
def test_root_must_not_become_somebody_else_in_a_program_of_its_own() -> None:
    async def main() -> None:
        async with sandbox.Supervisor():
            raise AssertionError

    with pytest.raises(HostError, match="run it as an ordinary user"):
        trio.run(main)
