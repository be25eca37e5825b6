"""Streams in large pieces: what a job writes bit by bit is gathered, and nothing waits for more."""

from collections.abc import AsyncIterator

import pytest
import trio
from supervisor.resident import HELD, TRUE, python, resident

from sandbox.spec.job import Job
from sandbox.supervisor import streams

WRITES = 20_000
MANY_SMALL = f"""
import os
for number in range({WRITES}):
    os.write(1, b"%d\\n" % number)
"""
ECHO = """
import os
os.write(1, b"?")
os.write(1, os.read(0, 1))
os.read(0, 1)
"""


def test_many_small_writes_are_few_frames() -> None:
    async def main() -> list[bytes]:
        frames: list[bytes] = []

        async def sink(_stream: str, data: bytes) -> None:
            frames.append(data)

        async with resident() as here:
            (await here.run(python(MANY_SMALL), sink=sink)).must_end()
        return frames

    frames = trio.run(main)
    assert b"".join(frames) == b"".join(b"%d\n" % number for number in range(WRITES))
    assert len(frames) < WRITES / 20, "each write was a frame of its own"


def test_what_is_written_comes_before_the_job_ends() -> None:
    """A question is seen before its answer is given, and an answer's echo before the end."""

    async def main() -> list[bytes]:
        frames: list[bytes] = []
        arrived = [trio.Event(), trio.Event()]

        async def sink(_stream: str, data: bytes) -> None:
            frames.append(data)
            arrived[len(frames) - 1].set()

        async def stdin() -> AsyncIterator[bytes]:
            await arrived[0].wait()
            yield b"!"
            await arrived[1].wait()
            yield b"."

        async with resident() as here:
            (await here.run(python(ECHO), stdin=stdin(), sink=sink)).must_end()
        return frames

    assert trio.run(main) == [b"?", b"!"]


def test_a_dialogue_waits_for_no_more_to_gather(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_GATHER_SECONDS", 1000.0)  # who is gathered is never heard

    async def main() -> list[bytes]:
        send, receive = trio.open_memory_channel[bytes](1)
        answers: list[bytes] = []

        async def sink(_stream: str, data: bytes) -> None:
            answers.append(data)
            await send.send(data)

        async def stdin() -> AsyncIterator[bytes]:
            for number in range(10):
                yield b"%d" % number
                await receive.receive()

        async with resident() as here:
            (await here.run(HELD, stdin=stdin(), sink=sink)).must_end()
        return answers

    assert trio.run(main) == [b"%d" % number for number in range(10)]


def test_a_large_output_comes_in_whole_pipes() -> None:
    job = Job((b"/usr/bin/head", b"-c", b"10000000", b"/dev/zero"), "shell")

    async def main() -> list[int]:
        sizes: list[int] = []

        async def sink(_stream: str, data: bytes) -> None:
            sizes.append(len(data))

        async with resident() as here:
            (await here.run(job, sink=sink)).must_end()
        return sizes

    sizes = trio.run(main)
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 65536, "a piece is bounded by the pipe, so memory is too"


def test_a_reader_that_stops_stops_its_job_and_no_other() -> None:
    job = Job((b"/usr/bin/head", b"-c", b"5000000", b"/dev/zero"), "shell")

    async def main() -> int:
        seen = 0
        first, go_on = trio.Event(), trio.Event()

        async def sink(_stream: str, data: bytes) -> None:
            nonlocal seen
            seen += len(data)
            first.set()
            await go_on.wait()

        async with resident() as here, trio.open_nursery() as nursery:

            async def slow() -> None:
                (await here.run(job, sink=sink)).must_end()

            nursery.start_soon(slow)
            await first.wait()
            for _ in range(3):
                (await here.run(TRUE)).must_end()
            assert seen <= 65536, "nothing is read ahead of a reader that waits"
            go_on.set()
        return seen

    assert trio.run(main) == 5_000_000
