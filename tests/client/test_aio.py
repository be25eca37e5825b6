"""The trio client against scripted servers: tasks that share, are cancelled, lose their server."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from client.peer import DROP, SILENCE, Peer, status_of

from sandbox.client.aio import AsyncClient
from sandbox.client.errors import DisconnectedError
from sandbox.client.subscription import WINDOW_BYTES
from sandbox.spec.errors import ProtocolError
from sandbox.wire.calls import MOST_CALLS
from sandbox.wire.errors import NotFoundError

MakePeer = Callable[..., Peer]


def run_with(peer: Peer, body: Callable[[AsyncClient], Awaitable[Any]], **options: Any) -> Any:
    async def main() -> Any:
        async with AsyncClient(peer.address, **options) as client:
            return await body(client)

    return trio.run(main)


async def called(peer: Peer, method: str, count: int = 1) -> None:
    await trio.to_thread.run_sync(peer.wait_for, method, count)


def test_where_nobody_listens_it_is_said_what_to_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with AsyncClient(f"unix:{tmp_path}/s.sock"):
            raise AssertionError

    with pytest.raises(DisconnectedError, match="no server listens there; start `sandbox serve`"):
        trio.run(main)


def test_what_the_body_raises_comes_out_as_it_is(make_peer: MakePeer) -> None:
    async def body(_: AsyncClient) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run_with(make_peer(), body)


def test_a_slow_call_holds_up_no_other(make_peer: MakePeer) -> None:
    waiting: list[Any] = []

    def wait(dialogue: Any, _: Any) -> Any:
        waiting.append((dialogue, peer.msgids[-1]))
        return SILENCE

    async def body(client: AsyncClient) -> None:
        states = []

        async def one() -> None:
            states.append((await client.job("a").wait()).state)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await called(peer, "job.wait")
            assert await client.info() == {"version": "1"}
            assert states == []
            dialogue, msgid = waiting[0]
            dialogue.reply(msgid, status_of("a", "ended"))
        assert states == ["ended"]

    peer = make_peer(job_wait=wait, server_info={"version": "1"})
    run_with(peer, body)
    assert peer.connections == 1


def test_a_cancelled_call_leaves_the_connection_usable(make_peer: MakePeer) -> None:
    waiting: list[Any] = []

    def wait(dialogue: Any, _: Any) -> Any:
        waiting.append((dialogue, peer.msgids[-1]))
        return SILENCE

    async def body(client: AsyncClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.job("a").wait)
            await called(peer, "job.wait")
            nursery.cancel_scope.cancel()
        dialogue, msgid = waiting[0]
        dialogue.reply(msgid, status_of("a", "ended"))  # nobody waits for it any more
        assert await client.info() == {"version": "1"}

    peer = make_peer(job_wait=wait, server_info={"version": "1"})
    run_with(peer, body)
    assert peer.connections == 1


def test_a_submit_that_is_cancelled_is_undone_when_its_answer_comes(make_peer: MakePeer) -> None:
    waiting: list[Any] = []

    def submit(dialogue: Any, _: Any) -> Any:
        waiting.append((dialogue, peer.msgids[-1]))
        return SILENCE

    async def body(client: AsyncClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.submit, ["sleep", "100"])
            await called(peer, "job.submit")
            nursery.cancel_scope.cancel()
        dialogue, msgid = waiting[0]
        dialogue.reply(msgid, status_of("a"))
        await called(peer, "job.cancel")

    peer = make_peer(job_submit=submit, job_cancel={})
    run_with(peer, body)
    assert peer.params_of("job.cancel") == [{"job": "a"}]


def test_a_run_that_is_cancelled_cancels_its_job(make_peer: MakePeer) -> None:
    async def body(client: AsyncClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.run, ["sleep", "100"])
            await called(peer, "job.wait")
            nursery.cancel_scope.cancel()
        await called(peer, "job.cancel")

    peer = make_peer(job_submit=status_of("a"), job_wait=SILENCE, job_cancel={})
    run_with(peer, body)


def test_a_connection_that_is_lost_is_made_again_for_all_who_wait(make_peer: MakePeer) -> None:
    def wait(*_: Any) -> Any:
        # The answers to the first connection are lost with it.
        return SILENCE if peer.connections == 1 else status_of("a", "ended")

    async def body(client: AsyncClient) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.job("a").result)
            await called(peer, "job.wait", 5)
            peer.drop()

    peer = make_peer(job_wait=wait)
    run_with(peer, body)
    assert peer.connections == 2


def test_what_may_not_be_repeated_is_not(make_peer: MakePeer) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(DisconnectedError):
            await client.submit(["true"], attached=True)
        with pytest.raises(DisconnectedError):
            await client.job("a").signal(15)

    peer = make_peer(job_submit=DROP, job_signal=DROP)
    run_with(peer, body)
    assert len(peer.calls) == 2


def test_a_server_that_says_nothing_is_given_up(make_peer: MakePeer) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(DisconnectedError, match=r"no answer to server\.info"):
            await client.info()

    run_with(make_peer(server_info=SILENCE), body, answer_seconds=0.05, reconnect_seconds=0)


def test_nonsense_is_told_to_everybody_who_waits(make_peer: MakePeer) -> None:
    def talk(dialogue: Any, _: Any) -> Any:
        if len(peer.calls) == 3:
            dialogue.socket.sendall(b"nonsense")
        return SILENCE

    async def body(client: AsyncClient) -> None:
        found = []

        async def one() -> None:
            with pytest.raises(ProtocolError):
                await client.info()
            found.append(1)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one)
        assert len(found) == 3

    peer = make_peer(server_info=talk)
    run_with(peer, body)


def test_more_tasks_than_a_connection_has_calls_get_more_connections(make_peer: MakePeer) -> None:
    count = 2 * MOST_CALLS
    waiting: list[Any] = []

    def wait(dialogue: Any, _: Any) -> Any:
        waiting.append((dialogue, peer.msgids[-1]))
        in_flight = sum(one is dialogue for one, _ in waiting)
        assert in_flight < MOST_CALLS
        if len(waiting) == count:
            for one, msgid in waiting:
                one.reply(msgid, status_of("a", "ended"))
        return SILENCE

    async def body(client: AsyncClient) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(client.job("a").wait)

    peer = make_peer(job_wait=wait)
    run_with(peer, body)
    assert 2 < peer.connections < 5


class Pushed:
    """A stream of known content, pushed as far as credit goes; it may lose its connection once."""

    def __init__(self, content: bytes, piece_bytes: int, drop_at: int = -1) -> None:
        self.content, self.drop_at = content, drop_at
        self.most_ahead = 0
        self._piece_bytes = piece_bytes
        self._offset = self._granted = 0

    def open(self, dialogue: Any, params: Any) -> Any:
        dialogue.reply(self.peer.msgids[-1], {"subscription": 5})
        self._offset = params["offset"]
        self._granted = self._offset + params["credit_bytes"]
        return self._push(dialogue)

    def grant(self, dialogue: Any, params: Any) -> Any:
        self._granted += params["credit_bytes"]
        return self._push(dialogue)

    def _push(self, dialogue: Any) -> Any:
        while self._offset < min(self._granted, len(self.content)):
            end = min(self._granted, self._offset + self._piece_bytes)
            data = self.content[self._offset : end]
            dialogue.push("stream.data", subscription=5, offset=self._offset, data=data)
            self._offset += len(data)
            if 0 <= self.drop_at <= self._offset:
                self.drop_at = -1
                return DROP
        if self._offset == len(self.content):
            dialogue.push("stream.end", subscription=5, offset=self._offset)
        return SILENCE


def pushing(make_peer: MakePeer, pushed: Pushed, **answers: Any) -> Peer:
    pushed.peer = make_peer(stream_open=pushed.open, stream_grant=pushed.grant, **answers)
    return pushed.peer


def test_a_stream_is_pushed_and_goes_on_where_its_connection_was_lost(
    make_peer: MakePeer,
) -> None:
    content = bytes(range(256)) * (3 * WINDOW_BYTES // 256)

    async def body(client: AsyncClient) -> bytes:
        return b"".join([piece async for piece in client.job("a").stream("stderr", 7)])

    peer = pushing(make_peer, Pushed(content, 60_000, drop_at=WINDOW_BYTES + 5))
    assert run_with(peer, body) == content[7:]
    first, second = peer.params_of("stream.open")
    assert (first["stream"], first["offset"], first["credit_bytes"]) == ("stderr", 7, WINDOW_BYTES)
    assert second["offset"] > 7
    assert peer.connections == 2


def test_the_stream_of_an_attached_job_ends_with_its_connection(make_peer: MakePeer) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["yes"], attached=True)
        with pytest.raises(DisconnectedError):
            async for _ in job.stream():
                pass

    pushed = Pushed(bytes(100), 10, drop_at=50)
    run_with(pushing(make_peer, pushed, job_submit=status_of("a")), body)


@pytest.mark.parametrize("by_close", [True, False])
def test_a_stream_that_is_left_is_closed(make_peer: MakePeer, by_close: bool) -> None:
    async def body(client: AsyncClient) -> None:
        stream = client.job("a").stream()
        async for _ in stream:
            break
        if by_close:
            stream.close()
            assert [piece async for piece in stream] == []
        del stream
        await called(peer, "stream.close")

    pushed = Pushed(bytes(2 * WINDOW_BYTES), 1000)
    peer = pushing(make_peer, pushed, stream_close={})
    run_with(peer, body)
    assert peer.params_of("stream.close") == [{"subscription": 5}]


def test_the_stream_of_no_job_says_so(make_peer: MakePeer) -> None:
    def absent(*_: Any) -> Any:
        raise NotFoundError("no job b")

    async def body(client: AsyncClient) -> None:
        with pytest.raises(NotFoundError):
            async for _ in client.job("b").stream():
                pass

    run_with(make_peer(stream_open=absent), body)


def test_two_tasks_write_one_after_the_other(make_peer: MakePeer) -> None:
    taken = bytearray()

    def write(_: Any, params: Any) -> Any:
        assert params["offset"] == len(taken)
        taken.extend(params["data"][:3])
        return {"offset": len(taken)}

    async def body(client: AsyncClient) -> None:
        job = await client.submit(["cat"], stdin_open=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.write, b"aaaaa")
            nursery.start_soon(job.write, b"bbbbb")

    run_with(make_peer(job_submit=status_of("a"), job_write=write), body)
    assert taken in (b"aaaaabbbbb", b"bbbbbaaaaa")


def test_after_a_write_that_was_cancelled_the_server_is_asked_where_it_is(
    make_peer: MakePeer,
) -> None:
    taken = bytearray()

    def write(_: Any, params: Any) -> Any:
        assert params.get("offset", len(taken)) == len(taken)
        taken.extend(params["data"])
        return SILENCE if params["data"] == b"one" else {"offset": len(taken)}

    async def body(client: AsyncClient) -> None:
        job = await client.submit(["cat"], stdin_open=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.write, b"one")
            await called(peer, "job.write")
            nursery.cancel_scope.cancel()
        await job.write(b"two")

    peer = make_peer(job_submit=status_of("a"), job_write=write)
    run_with(peer, body)
    assert taken == b"onetwo"


def test_it_works_under_anyio_on_trio(make_peer: MakePeer) -> None:
    anyio = pytest.importorskip("anyio", reason="anyio is not installed")

    async def main() -> Any:
        async with AsyncClient(peer.address) as client:
            found = []

            async def one() -> None:
                found.append((await client.run(["true"])).result.verdict)

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(one)
            with anyio.move_on_after(0.05):
                await client.job("a").read(wait_seconds=30)
            return found, await client.info()

    peer = make_peer(
        job_submit=status_of("a"), job_wait=status_of("a", "ended"), job_delete={},
        job_read=SILENCE, server_info={"version": "1"},
    )  # fmt: skip
    assert anyio.run(main, backend="trio") == (["exited"] * 3, {"version": "1"})
