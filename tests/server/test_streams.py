"""Outputs by pull and push: nothing is lost, doubled or moved, whoever is slow, gone or stuck."""

import hashlib
import random
from pathlib import Path

import pytest
import trio
from server.peers import (
    Peer,
    job_of,
    running,
    with_patience,
)
from server.serving import numbered, pass_time, serving
from trio.testing import MockClock, wait_all_tasks_blocked

from sandbox.server import connection
from sandbox.server.spool import Spool
from sandbox.wire.messages import Request

LARGE_BYTES = 64 << 20
ROUNDS = 1000


@pytest.mark.parametrize("size_bytes", [0, 1, 16 << 10, (16 << 10) + 1, 300_000])
def test_an_output_is_read_from_any_offset_over_any_connection(
    size_bytes: int, tmp_path: Path
) -> None:
    """It is in memory, in a file, or in the journal: that never shows."""
    chance = random.Random(size_bytes)

    async def main() -> None:
        async with serving(tmp_path) as server:
            for durability in ("memory", "process"):
                job = await server.written(size_bytes, durability=durability)
                for is_recalled in (False, True):
                    if is_recalled:
                        server.service.jobs._shelf._journalled.clear()
                    offset = 0
                    while True:
                        most_bytes = chance.choice([1, 1000, 1 << 16, 256 << 10])
                        read = await server.peer().call(
                            "job.read", job=job, stream="stdout", offset=offset,
                            most_bytes=most_bytes,
                        )  # fmt: skip
                        end = offset + len(read["data"])
                        assert read["data"] == numbered(offset, min(size_bytes, end))
                        assert len(read["data"]) <= most_bytes
                        assert read["is_end"] == (end == size_bytes)
                        offset = end if size_bytes - end > 5 else chance.randrange(size_bytes + 1)
                        if read["is_end"]:
                            break

    trio.run(main)


def test_a_read_waits_for_a_byte_and_no_longer_than_it_said(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("echo", stdin_open=True)
            place = {"job": job, "stream": "stdout"}
            early = await peer.begin("job.read", **place, offset=0, wait_seconds=5.0)
            late = await peer.begin("job.read", **place, offset=3, wait_seconds=5.0)
            await pass_time(4)
            assert peer.answers == {}
            await peer.call("job.write", job=job, data=b"abc")
            assert (await peer.answer(early)).result["data"] == b"abc"
            await pass_time(1)
            empty = {"offset": 3, "data": b"", "is_end": False}
            assert (await peer.answer(late)).result == empty
            last = await peer.begin("job.read", **place, offset=3, wait_seconds=5.0)
            await peer.call("job.write", job=job, end=True)
            assert (await peer.answer(last)).result == {**empty, "is_end": True}

    trio.run(main, clock=MockClock())


def test_many_reads_of_an_old_job_hold_one_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has to be brought from the journal first, and then all of them could be answered."""
    made: list[int] = []
    read = Spool.read
    monkeypatch.setattr(Spool, "read", lambda *values: made.append(1) or read(*values))

    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await server.written(100_000, durability="process")
            server.service.jobs._shelf._journalled.clear()
            made.clear()
            stuck = server.peer(lockstep=True)
            fields = {"job": job, "stream": "stdout", "offset": 0}
            await stuck.send(*(Request(n, "job.read", (fields,)) for n in range(20)))
            while not made:
                await trio.lowlevel.checkpoint()
            await wait_all_tasks_blocked()
            assert len(made) == 1
            for number in range(20):
                assert (await stuck.answer(number)).result["data"] == numbered(0, 1 << 16)

    trio.run(main)


def test_an_output_whose_file_is_gone_is_told_to_be_lost(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await server.written(100_000)
            for path in (tmp_path / "spool").rglob("stdout"):
                path.unlink()
            peer = server.peer()
            place = {"job": job, "stream": "stdout", "offset": 0}
            assert (await peer.refused("job.read", **place))["code"] == "host"
            await peer.call("stream.open", **place, credit_bytes=10)
            end = await peer.notified("stream.end")
            assert (end["offset"], end["error"]["code"]) == (0, "host")
            await peer.must_be_well()
            assert server.log_lines("bug") == []

    trio.run(main)


def test_an_answer_never_exceeds_a_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            jobs = [job_of("write", "65536")] * 16
            status = await peer.call(
                "pipeline.submit", jobs=jobs, pipes=[], wait_seconds=60.0, durability="memory"
            )
            assert [one["state"] for one in status["jobs"]] == ["ended"] * 16
            job = status["jobs"][0]["job"]
            data = (await peer.call("job.status", job=job))["stdout"]["data"]
            assert data == numbered(0, 65536)
            monkeypatch.setattr(connection, "FRAME_BYTES", 65536)
            error = await peer.refused("job.status", job=job)
            assert error["code"] == "refused" and "ask for less" in error["message"]
            assert "data" not in (await peer.call("job.status", job=job, inline_bytes=0))["stdout"]

    trio.run(main)


@pytest.mark.parametrize("way", ["push", "pull"])
def test_a_stuck_reader_slows_neither_its_job_nor_others(way: str, tmp_path: Path) -> None:
    """It writes 64 MiB at full speed; another reads all of it meanwhile."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            peer, stuck, keen = server.peer(), server.peer(lockstep=True), server.peer()
            job = await peer.submit("write", str(LARGE_BYTES))
            place = {"job": job, "stream": "stdout", "offset": 0}
            if way == "push":
                await stuck.call("stream.open", **place, credit_bytes=LARGE_BYTES)
            else:
                await stuck.begin("job.read", **place, most_bytes=256 << 10, wait_seconds=60.0)
            digest, offset = hashlib.sha256(), 0
            while offset < LARGE_BYTES:
                read = await keen.call(
                    "job.read", job=job, stream="stdout", offset=offset, most_bytes=256 << 10,
                    wait_seconds=60.0,
                )  # fmt: skip
                digest.update(read["data"])
                offset += len(read["data"])
            status = await peer.call("job.wait", job=job, wait_seconds=60.0)
            assert status["state"] == "ended"
            expected = hashlib.sha256()
            for start in range(0, LARGE_BYTES, 1 << 20):
                expected.update(numbered(start, start + (1 << 20)))
            assert digest.digest() == expected.digest()
            assert sum(one.is_known for one in server.connections) == 3, "it may still be there"

    trio.run(main)


@pytest.mark.parametrize("way", ["pull", "push"])
def test_an_echo_goes_back_and_forth(way: str, tmp_path: Path) -> None:
    async def main() -> None:
        peer = Peer(await trio.open_unix_socket(str(tmp_path / "socket")))
        job = await peer.submit("/bin/cat", stdin_open=True)
        place = {"job": job, "stream": "stdout"}
        if way == "push":
            await peer.call("stream.open", **place, offset=0, credit_bytes=1 << 20)
        for number in range(ROUNDS):
            line = b"%7d\n" % number
            await peer.call("job.write", job=job, data=line)
            if way == "push":
                read = await peer.notified("stream.data")
            else:
                offset = number * len(line)
                read = await peer.call("job.read", **place, offset=offset, wait_seconds=60.0)
            assert (read["offset"], read["data"]) == (number * len(line), line)
        await peer.call("job.write", job=job, end=True)
        status = await peer.call("job.wait", job=job, wait_seconds=60.0)
        assert status["result"]["exit_code"] == 0

    with running(tmp_path):
        with_patience(main)


def test_a_job_writes_at_full_speed_past_a_stuck_reader(tmp_path: Path) -> None:
    async def main() -> None:
        peer = Peer(await trio.open_unix_socket(str(tmp_path / "socket")))
        stuck = Peer(await trio.open_unix_socket(str(tmp_path / "socket")))
        limits = {"output": f"{LARGE_BYTES}", "wall": 60}
        job_map = job_of("head", "-c", str(LARGE_BYTES), "/dev/zero", limits=limits)
        job = (await peer.call("job.submit", job=job_map))["job"]
        await stuck.call(
            "stream.open", job=job, stream="stdout", offset=0, credit_bytes=LARGE_BYTES
        )
        status = await peer.call("job.wait", job=job, wait_seconds=60.0)
        assert (status["result"]["verdict"], status["stdout"]["bytes"]) == ("exited", LARGE_BYTES)
        received = 0
        while received < LARGE_BYTES:  # it wakes up
            received += len((await stuck.notified("stream.data"))["data"])
        await stuck.notified("stream.end")

    with running(tmp_path):
        with_patience(main)
