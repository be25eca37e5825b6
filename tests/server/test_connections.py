"""Clients that are slow, stuck or many: each costs itself time, and nobody else."""

import resource
import socket
from pathlib import Path

import pytest
import trio
from server.peers import Peer, job_of, running, with_patience
from server.serving import jump, pass_time, serving
from trio.testing import MockClock

from sandbox.server import listen
from sandbox.server.spool import Spool
from sandbox.wire.framing import FRAME_BYTES
from sandbox.wire.messages import Request, encode

# A call that is not whole: of a megabyte, of which this is the head.
HEAD = b"\x94\x00\x01\xa1x\x91\xc6" + (FRAME_BYTES - 11).to_bytes(4, "big")
IDLE_CONNECTIONS = 10_000
IDLE_BYTES = 32 << 10  # a connection takes about a third of it
SPARE_FDS = 300


@pytest.mark.parametrize("step_seconds", [60, 7, 1])
def test_a_frame_that_is_never_whole_is_not_waited_for(step_seconds: int, tmp_path: Path) -> None:
    """However steadily it trickles."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            slow, honest = server.peer(), server.peer()
            frame = iter(HEAD + bytes(100))
            for _ in range(0, 60, step_seconds):
                assert len(server.connections) == 2
                await slow.send(bytes([next(frame)]))
                await pass_time(step_seconds)
            assert "was not sent in time" in (await slow.last_word())["message"]
            await honest.must_be_well()

    trio.run(main, clock=MockClock())


def test_time_runs_for_each_frame_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            slow = server.peer()
            call = encode(Request(0, "server.info"))
            for _ in range(10):
                await slow.send(call[:5])
                await pass_time(50)
                # The next frame has begun before this one is answered.
                await slow.send(call[5:] + call[:5])
                await slow.answer(0)
                await pass_time(50)
                await slow.send(call[5:])
                await slow.answer(0)

    trio.run(main, clock=MockClock())


def test_an_idle_connection_stays(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            idle = server.peer()
            await idle.call("server.info")
            await pass_time(365 * 86400)
            await idle.call("server.info")

    trio.run(main, clock=MockClock())


def test_who_does_not_read_holds_one_answer_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await server.peer().submit("write", str(1 << 20))
            await server.peer().call("job.wait", job=job, wait_seconds=60.0)
            made: list[int] = []
            read = Spool.read
            monkeypatch.setattr(Spool, "read", lambda *values: made.append(1) or read(*values))
            honest, stuck = server.peer(), server.peer(lockstep=True)
            stuck_end = server.connections[-1]
            fields = {"job": job, "stream": "stdout", "offset": 0, "most_bytes": 256 << 10}
            calls = b"".join(encode(Request(n, "job.read", (fields,))) for n in range(60))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_until_closed, stuck, calls)
                await pass_time(59)
                assert len(made) == 1, "an answer was made that nobody could take"
                assert stuck_end in server.connections
                await honest.must_be_well()
                await pass_time(1)
                assert stuck_end not in server.connections
            assert len(server.log_lines("reader_gone")) == 1

    trio.run(main, clock=MockClock())


def test_who_reads_slowly_is_waited_for(tmp_path: Path) -> None:
    """At 1 kB/s, for minutes, and meanwhile others are served."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await server.peer().submit("write", "100000")
            slow, honest = server.peer(lockstep=True), server.peer()
            read = encode(Request(1, "job.read", ({"job": job, "stream": "stdout", "offset": 0,
                                                   "most_bytes": 100_000},)))  # fmt: skip
            await slow.send(read)
            taken = b""
            while len(taken) < 100_000:
                taken += await slow.stream.receive_some(1000)
                jump(1)
                await honest.call("server.info")
            assert server.log_lines("reader_gone") == []

    trio.run(main, clock=MockClock())


async def _send_until_closed(peer: Peer, data: bytes) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await peer.send(data)
        await trio.sleep_forever()


def test_a_client_too_many_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "_MOST_CONNECTIONS", 4)

    async def main() -> None:
        async with serving(tmp_path) as server:
            connect = await server.unix()
            peers = [await connect() for _ in range(3)]
            for peer in peers:
                await peer.call("server.info")
            refused = await connect()
            error = await refused.last_word()
            assert (error["code"], error["retry_after_seconds"]) == ("refused", 1)
            await peers.pop().stream.aclose()
            while server.doors.connections > 2:
                await peers[0].call("server.info")
            await (await connect()).must_be_well()

    trio.run(main)


def test_idle_connections_are_many_and_cheap(tmp_path: Path) -> None:
    _, most_fds = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_fds, most_fds))
    # Half of the daemon's descriptors are for connections, and three quarters of them ours.
    count = min(IDLE_CONNECTIONS, int(most_fds * 0.375), most_fds - SPARE_FDS)

    async def main() -> None:
        honest = Peer(await trio.open_unix_socket(str(tmp_path / "socket")))
        await _true(honest)
        resident_bytes = await _resident_bytes(honest)
        idle = []
        for _ in range(count - 1):
            one = socket.socket(socket.AF_UNIX)
            one.connect(str(tmp_path / "socket"))
            idle.append(one)
        await _true(honest)
        each_bytes = (await _resident_bytes(honest) - resident_bytes) / len(idle)
        print(f"{len(idle)} connections, each {each_bytes:.0f} bytes")
        assert each_bytes < IDLE_BYTES
        for one in idle:
            one.close()
        await _true(honest)

    try:
        with running(tmp_path):
            with_patience(main)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _true(peer: Peer) -> None:
    status = await peer.call("job.submit", job=job_of("/bin/true"), wait_seconds=60.0)
    assert status["result"]["exit_code"] == 0


async def _resident_bytes(peer: Peer) -> int:
    text = (await peer.call("server.metrics"))["text"]
    return int(float(text.split("\nprocess_resident_memory_bytes ")[1].split()[0]))
