"""Numbered writes: a job reads what was written, once and in order."""

from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st
from server.serving import Server, numbered, pass_time, serving
from trio.testing import MockClock, wait_all_tasks_blocked

from sandbox.server.spool import Input
from sandbox.wire.errors import InvalidParamsError

WINDOW_BYTES = 256 << 10


@given(st.data())
def test_stdin_is_what_was_written_whatever_is_sent_again(data: st.DataObject) -> None:
    stream = numbered(0, data.draw(st.integers(0, 3000)))
    source = Input()
    while source.offset < len(stream):
        start = data.draw(st.integers(0, len(stream)))
        piece = stream[start : start + data.draw(st.integers(0, 400))]
        before = source.offset
        try:
            source.write(start, piece, end=False)
        except InvalidParamsError as error:
            assert error.field == "offset" and start > before == source.offset
        else:
            assert source.offset == max(before, start + len(piece))
        if not data.draw(st.booleans()):
            source.write(source.offset, stream[source.offset :][:100], end=False)
    source.write(len(stream), b"", end=True)
    read: list[bytes] = []

    async def main() -> None:
        async for piece in source.pieces():
            read.append(piece)

    trio.run(main)
    assert b"".join(read) == stream


def test_stdin_goes_on_over_another_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            stream = numbered(0, 1_000_000)
            job = await server.peer().submit("echo", stdin_open=True)
            offset = 0
            for _ in range(10):
                peer = server.peer()  # the one before is lost, and with it its last answer
                sent = max(0, offset - 1000)  # so what it sent is sent again
                answer = await peer.call(
                    "job.write", job=job, offset=sent, data=stream[sent:][:200_000],
                    wait_seconds=60.0,
                )  # fmt: skip
                assert answer["offset"] >= offset
                offset = answer["offset"]
                await peer.stream.aclose()
                if offset == len(stream):
                    break
            peer = server.peer()
            await peer.call("job.write", job=job, end=True)
            await peer.call("job.wait", job=job, wait_seconds=60.0)
            received = b""
            while len(received) < len(stream):
                received += (
                    await peer.call("job.read", job=job, stream="stdout", offset=len(received))
                )["data"]
            assert received == stream

    trio.run(main)


def test_nothing_is_written_behind_the_end(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold", stdin_open=True)
            await peer.call("job.write", job=job, data=b"all", end=True)
            again = await peer.call("job.write", job=job, offset=1, data=b"ll", end=True)
            assert again == {"offset": 3}
            for offset in (3, None):
                error = await peer.refused("job.write", job=job, offset=offset, data=b"more")
                assert error["field"] == "offset" and "ended at byte 3" in error["message"]
            await peer.call("job.cancel", job=job)

    trio.run(main)


def test_a_full_stdin_takes_a_window_and_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold", stdin_open=True)
            data = bytes(200_000)
            assert (await peer.call("job.write", job=job, data=data))["offset"] == 200_000
            answer = await peer.call("job.write", job=job, offset=200_000, data=data)
            assert answer["offset"] == WINDOW_BYTES
            fields = {"job": job, "offset": WINDOW_BYTES, "data": data, "wait_seconds": 5.0}
            waiting = await peer.begin("job.write", **fields)
            await pass_time(4)
            assert waiting not in peer.answers
            await pass_time(1)
            assert (await peer.answer(waiting)).result["offset"] == WINDOW_BYTES
            assert len(server.service.jobs.held(_local(server), job).input._waiting) == WINDOW_BYTES
            error = await peer.refused("job.write", job=job, offset=WINDOW_BYTES + 1, data=b"x")
            assert error["field"] == "offset"
            waiting = await peer.begin("job.write", **fields)
            await peer.call("job.cancel", job=job)
            assert (await peer.answer(waiting)).result["offset"] == WINDOW_BYTES + len(data)
            # What comes after the job is taken, and dropped: as if it had closed its stdin.
            await peer.call("job.wait", job=job, wait_seconds=60.0)
            answer = await peer.call("job.write", job=job, offset=10_000_000, data=b"late")
            assert answer["offset"] == 10_000_004

    trio.run(main, clock=MockClock())


def test_writes_that_wait_are_few_and_keep_their_order(tmp_path: Path) -> None:
    """Without offsets too, as a client sends them that does not wait for answers."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold", stdin_open=True)
            source = server.service.jobs.held(_local(server), job).input
            stream = numbered(0, 6 * 100_000)
            pieces = [stream[start : start + 100_000] for start in range(0, 600_000, 100_000)]
            writes = [
                await peer.begin("job.write", job=job, data=piece, wait_seconds=60.0)
                for piece in pieces
            ]
            await wait_all_tasks_blocked()
            assert source.writers == 4
            error = await peer.refused("job.write", job=job, data=b"x", wait_seconds=60.0)
            assert (error["code"], error["retry_after_seconds"]) == ("refused", 0.1)
            error = await peer.refused("job.write", job=job, data=b"x")
            assert error["code"] == "refused"
            answer = await peer.call("job.write", job=job, offset=600_000, data=b"x")
            assert answer["offset"] == WINDOW_BYTES
            read = b""
            async for piece in source.pieces():
                read += piece
                if len(read) == len(stream):
                    break
            assert read == stream
            offsets = [(await peer.answer(msgid)).result["offset"] for msgid in writes]
            assert offsets == [100_000 * number for number in range(1, 7)]
            assert source.writers == 0
            await peer.call("job.cancel", job=job)

    trio.run(main, clock=MockClock())


def test_a_lost_connection_gives_up_its_place_among_the_writes(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer, leaving = server.peer(), server.peer()
            job = await peer.submit("hold", stdin_open=True)
            source = server.service.jobs.held(_local(server), job).input
            for _ in range(3):
                await leaving.begin("job.write", job=job, data=bytes(200_000), wait_seconds=60.0)
            await wait_all_tasks_blocked()
            assert source.writers == 2
            await leaving.stream.aclose()
            await wait_all_tasks_blocked()
            assert source.writers == 0
            await peer.call("job.cancel", job=job)

    trio.run(main, clock=MockClock())


def _local(server: Server) -> str:
    return server.tenant("local").name
