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


@pytest.mark.root
def test_root_must_not_become_somebody_else_in_a_program_of_its_own() -> None:
    async def main() -> None:
        async with sandbox.Supervisor():
            raise AssertionError

    with pytest.raises(HostError, match="run it as an ordinary user"):
        trio.run(main)
