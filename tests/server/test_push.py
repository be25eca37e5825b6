"""Pushed outputs: never more than was granted, never cut, and waited for."""

import itertools
from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st
from server.serving import numbered, pass_time, serving
from trio.testing import MockClock, wait_all_tasks_blocked

from sandbox.server.spool import Spool
from sandbox.server.subscription import Subscription
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Notification, Request, encode


@given(
    st.integers(0, 40_000),
    st.integers(0, 50_000),
    st.lists(st.integers(1, 9_000), min_size=1, max_size=8),
)
def test_no_more_is_pushed_than_was_granted(size: int, offset: int, grants: list[int]) -> None:
    data = numbered(0, size)
    told: list[Notification] = []

    async def push(pushed: Subscription) -> None:
        while await pushed.ready():
            decoder = Decoder(FRAME_BYTES)
            decoder.feed(pushed.next_bytes())
            told.append(decoder.next_message())  # type: ignore[arg-type]

    async def main() -> None:
        spool = Spool(Path("/nowhere"), data)
        spool.finish()
        pushed = Subscription(1, spool, offset, grants[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(push, pushed)
            for granted, grant in zip(
                itertools.accumulate(grants), [*grants[1:], size + 1], strict=True
            ):
                await wait_all_tasks_blocked()
                assert _received(told, offset) == data[offset : offset + granted]
                assert (told[-1].method == "stream.end") == (offset + granted >= size)
                pushed.grant(grant)
        assert _received(told, offset) == data[offset:]
        assert [one.method for one in told].index("stream.end") == len(told) - 1

    trio.run(main)


def _received(told: list[Notification], offset: int) -> bytes:
    received = b""
    for notification in told:
        (fields,) = notification.params
        assert fields["offset"] == offset + len(received)
        if notification.method == "stream.data":
            assert fields["data"], "an empty message tells nothing"
            received += fields["data"]
    return received


def test_a_push_goes_on_at_its_offset_over_another_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await (server.peer()).submit("write_and_hold", "300000")
            received = b""
            while len(received) < 300_000:
                peer = server.peer()  # the one before is lost
                await peer.call(
                    "stream.open", job=job, stream="stdout", offset=len(received),
                    credit_bytes=70_000,
                )  # fmt: skip
                data = await peer.notified("stream.data")
                assert data["offset"] == len(received)
                received += data["data"]
                await peer.stream.aclose()
            assert received == numbered(0, 300_000)
            await server.peer().call("job.cancel", job=job)

    trio.run(main)


def test_a_closed_push_is_never_cut_within_a_message(tmp_path: Path) -> None:
    """And nothing of it follows the answer to the close."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            job = await server.written(1 << 20)
            peer = server.peer(lockstep=True)
            for number in range(1, 20):
                answer = await peer.call(
                    "stream.open", job=job, stream="stdout", offset=0, credit_bytes=1 << 20
                )
                assert answer == {"subscription": number}
                # The message is half sent now: it waits for us to read.
                await wait_all_tasks_blocked()
                await peer.call("stream.close", subscription=number)
                peer.notifications.clear()
                await peer.call("server.info")
                assert peer.notifications == []
            error = await peer.refused("stream.close", subscription=1)
            assert (error["code"], "subscription 1" in error["message"]) == ("not_found", True)

    trio.run(main)


def test_subscriptions_are_few_and_their_places_come_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold")
            fields = {"job": job, "stream": "stdout", "offset": 0, "credit_bytes": 1}
            numbers = [
                (await peer.call("stream.open", **fields))["subscription"] for _ in range(64)
            ]
            assert (await peer.refused("stream.open", **fields))["code"] == "refused"
            await peer.call("stream.close", subscription=numbers[5])
            await peer.call("stream.open", **fields)
            await peer.call("job.cancel", job=job)
            for _ in range(64):
                await peer.notified("stream.end")
            await peer.call("stream.open", **fields)

    trio.run(main)


def test_too_much_credit_in_sum_is_refused_and_nothing_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("echo", stdin_open=True)
            most = (1 << 63) - 1
            opened = await peer.call(
                "stream.open", job=job, stream="stdout", offset=0, credit_bytes=most
            )
            error = await peer.refused("stream.grant", **opened, credit_bytes=1)
            assert error["code"] == "protocol"
            await peer.send(Notification("stream.grant", ({**opened, "credit_bytes": 1},)))
            await peer.call("job.write", job=job, data=b"still", end=True)
            assert (await peer.notified("stream.data"))["data"] == b"still"

    trio.run(main)


def test_a_slow_reader_of_a_push_gets_everything(tmp_path: Path) -> None:
    """1 kB/s, long after the job has ended; each message makes progress, so it is waited for."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            slow, honest = server.peer(lockstep=True), server.peer()
            job = await honest.submit("write", "200000")
            opened = encode(
                Request(1, "stream.open", ({"job": job, "stream": "stdout", "offset": 0,
                                            "credit_bytes": 1 << 30},))
            )  # fmt: skip
            await slow.send(opened)
            received = b""
            while len(received) < 200_000:
                received += await slow.stream.receive_some(1000)
                await pass_time(1)
            await honest.must_be_well()
            assert server.log_lines("reader_gone") == []

    trio.run(main, clock=MockClock())
