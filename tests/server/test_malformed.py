"""What is no conversation ends it: for its own connection, and for no other."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from server.peers import ABSENT, SHA256, Peer, job_of
from server.serving import Server, serving

from sandbox.wire.calls import MOST_CALLS
from sandbox.wire.messages import Notification, Request
from sandbox.wire.scan import MOST_OBJECTS

MALFORMED = [
    ("no message pack", b"\xc1", "byte 0"),
    ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "no array"),
    ("tls", bytes.fromhex("160301020001"), "no array"),
    ("a map", b"\x80", "no array"),
    ("a number", b"\x00", "no array"),
    ("an empty array", b"\x90", "no message"),
    ("type 3", msgpack.packb([3, 1, "x", []]), "no message"),
    ("a true type", msgpack.packb([True, "x", []]), "no message"),
    ("msgid of 33 bits", msgpack.packb([0, 1 << 32, "x", []]), "msgid"),
    ("a text msgid", msgpack.packb([0, "1", "x", []]), "msgid"),
    ("a method that is a number", msgpack.packb([0, 1, 1, []]), "method 1"),
    ("a method that is no text", msgpack.packb([0, 1, b"\xff", []]), "no text"),
    ("params that are a map", msgpack.packb([0, 1, "x", {}]), "params"),
    ("no params", msgpack.packb([0, 1, "x"]), "no message"),
    ("an ext type", msgpack.packb([0, 1, "x", [msgpack.ExtType(5, b"x")]]), "ext types"),
    ("a timestamp", msgpack.packb([0, 1, "x", [msgpack.Timestamp(1)]]), "ext types"),
    ("4 billion items", b"\xdd\xff\xff\xff\xff", "over 1048576 bytes"),
    ("a text of 4 GiB", b"\x94\x00\x01\xdb\xff\xff\xff\xff", "over 1048576 bytes"),
    ("bytes of 2 MiB", b"\x94\x00\x01\xa1x\x91\xc6\x00\x20\x00\x00", "over 1048576 bytes"),
    ("a deep one", b"\x94\x00\x01\xa1x" + b"\x91" * 40, "levels"),
    ("64 Ki objects", b"\x94\x00\x01\xa1x\xdd\x00\x01\x00\x00", f"over {MOST_OBJECTS} objects"),
    ("a key twice", b"\x94\x00\x01\xa1x\x91\x82\xa1k\x01\xa1k\x02", "comes twice"),
    ("a key that is a number", b"\x94\x00\x01\xa1x\x91\x81\x01\x02", "no text"),
    ("a response", msgpack.packb([1, 1, None, {}]), "nothing was asked"),
]


@pytest.mark.parametrize(
    ("sent", "said"), [m[1:] for m in MALFORMED], ids=[m[0] for m in MALFORMED]
)
def test_what_is_no_message_closes_its_connection_and_no_other(
    sent: bytes, said: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            connect = await server.unix()
            honest, hostile = await connect(), await connect()
            await hostile.must_be_well()
            await hostile.send(sent)
            error = await hostile.last_word()
            assert error["code"] == "protocol"
            assert said in error["message"] and error["message"].isprintable()
            await honest.must_be_well()
            assert len(server.log_lines("protocol_error")) == 1

    trio.run(main)


def test_a_flood_of_broken_connections_is_no_flood_of_log_lines(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            connect = await server.unix()
            honest = await connect()
            for _ in range(300):
                hostile = await connect()
                await hostile.send(b"\xc1")
                await hostile.last_word()
            await honest.must_be_well()
            assert len(server.log_lines()) < 60
            assert server.doors.connections == 1

    trio.run(main)


def test_a_msgid_in_flight_twice_closes_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold")
            wait = ({"job": job, "wait_seconds": 60.0},)
            await peer.send(Request(7, "job.wait", wait), Request(7, "server.info"))
            error = await peer.last_word()
            assert (error["code"], "msgid 7" in error["message"]) == ("protocol", True)

    trio.run(main)


def test_a_call_too_many_is_refused_and_the_others_are_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold")
            waits = [
                await peer.begin("job.wait", job=job, wait_seconds=60.0) for _ in range(MOST_CALLS)
            ]
            error = await peer.refused("server.info")
            assert error["code"] == "refused" and "64 calls are in flight" in error["message"]
            await server.peer().call("job.cancel", job=job)
            for msgid in waits:
                assert (await peer.answer(msgid)).result["state"] == "ended"
            await peer.call("server.info")

    trio.run(main)


def test_notifications_are_ignored_unless_they_can_be_heeded(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("echo", stdin_open=True)
            await peer.send(
                Notification("nonesuch", ({"x": 1},)),
                Notification("job.write", (1,)),
                Notification("job.write", ({"job": ABSENT, "data": b"x"},)),
                Notification("job.write", ({"job": job, "data": b"heeded", "end": True},)),
            )
            status = await peer.call("job.wait", job=job, wait_seconds=60.0)
            assert status["stdout"]["data"] == b"heeded"
            assert peer.notifications == []
            assert server.log_lines("bug") == []

    trio.run(main)


def test_notifications_that_wait_are_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("hold")
            before = trio.lowlevel.current_statistics().tasks_living
            wait = Notification("job.wait", ({"job": job, "wait_seconds": 60.0},))
            for _ in range(20):
                await peer.send(*[wait] * 100)
                await peer.call("server.info")
            assert trio.lowlevel.current_statistics().tasks_living - before <= MOST_CALLS + 8

    trio.run(main)


@pytest.mark.parametrize("how", ["mid_frame", "mid_upload", "while_it_waits", "after_a_call"])
def test_a_client_that_dies_harms_nobody(how: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            connect: Callable[[], Awaitable[Peer]] = await server.unix()
            honest, dying = await connect(), await connect()
            job = await honest.submit("hold")
            match how:
                case "mid_frame":
                    await dying.call("server.info")
                    await dying.send(b"\x94\x00\x01\xa1x\x91\xc6\x00\x01\x00\x00")
                case "mid_upload":
                    await dying.call("blob.put", sha256=SHA256, bytes=10, data=b"12345")
                case "while_it_waits":
                    await dying.begin("job.wait", job=job, wait_seconds=60.0)
                    await dying.begin("job.read", job=job, stream="stdout", offset=0,
                                      wait_seconds=60.0)  # fmt: skip
                    await dying.call("server.info")
                case "after_a_call":
                    await dying.begin("server.info")
            await dying.stream.aclose()
            await _until_alone(server, honest)
            assert server.log_lines("bug") == []
            assert len(server.log_lines()) <= 1
            if how == "mid_upload":
                progress = await honest.call("blob.put", sha256=SHA256, bytes=10)
                assert progress == {"offset": 5, "is_complete": False}, "another goes on with it"
            await honest.must_be_well()

    trio.run(main)


def test_an_attached_job_goes_with_its_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            leaving, staying = server.peer(), server.peer()
            fields: dict[str, Any] = {"durability": "memory", "attached": True}
            one = await leaving.submit("hold", **fields)
            jobs = [job_of("hold"), job_of("hold")]
            pipeline = await leaving.call("pipeline.submit", jobs=jobs, pipes=[], **fields)
            await leaving.stream.aclose()
            for job in (one, *(status["job"] for status in pipeline["jobs"])):
                status = await staying.call("job.wait", job=job, wait_seconds=60.0)
                assert status["result"]["verdict"] == "cancelled"

    trio.run(main)


async def _until_alone(server: Server, honest: Peer) -> None:
    while server.doors.connections > 1:  # a close is seen when the kernel has told of it
        await honest.call("server.info")
