"""Greedy tenants: what they send takes bounded memory and time, and holds up nobody else."""

from pathlib import Path

import pytest
import trio
from server.peers import SHA256, Peer
from server.serving import COUNTED_SECONDS, Server, jump, pass_time, serving
from trio.testing import MockClock, wait_all_tasks_blocked

from sandbox.server import intake
from sandbox.server.intake import Intake, TenantIntake
from sandbox.spec.errors import RefusedError
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES
from sandbox.wire.messages import Request, encode

# A call that is not whole: of a megabyte, of which this is the head.
HEAD = b"\x94\x00\x01\xa1x\x91\xc6" + (FRAME_BYTES - 11).to_bytes(4, "big")


@pytest.fixture
def few_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for four frames of a tenant, and for six in all."""
    monkeypatch.setattr(intake, "_MOST_TENANT_FRAMES", 4)
    monkeypatch.setattr(intake, "_MOST_FRAMES", 6)


async def partial(server: Server, tenant: str, count: int) -> list[Peer]:
    """So many connections, each of which sends all of a large frame but its end."""
    peers = [server.peer(tenant) for _ in range(count)]
    for peer in peers:
        await peer.send(HEAD + bytes(FRAME_BYTES - len(HEAD) - 1))
    await wait_all_tasks_blocked()
    return peers


def held(server: Server) -> int:
    """The bytes of frames that are not whole."""
    return sum(one._receiver._decoder.held_bytes for one in server.connections)


@pytest.mark.usefixtures("few_frames")
def test_frames_in_parts_are_bounded_and_shut_nobody_out(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            greedy = await partial(server, "judge", 16)
            assert server.intake.frames == 4
            small = 2 * STRANGER_FRAME_BYTES
            assert held(server) <= 4 * FRAME_BYTES + 12 * small
            # Small calls of that tenant need no room; large ones of others have theirs.
            await server.peer("judge").must_be_well()
            other = server.peer("ci")
            await other.call("blob.put", sha256=SHA256, bytes=1 << 20, data=bytes(512 << 10))
            assert server.intake.frames == 4
            greedier = await partial(server, "local", 16)
            assert server.intake.frames == 6
            # All is taken, and still somebody who has nothing gets in.
            await other.call("blob.stat", sha256=SHA256)
            await other.call("blob.put", sha256=SHA256, bytes=1 << 20, offset=1 << 19,
                             data=b"x" * 100_000)  # fmt: skip
            await pass_time(60)
            for peer in (*greedy, *greedier):
                assert "was not sent in time" in (await peer.last_word())["message"]
            assert (server.intake.frames, held(server)) == (0, 0)
            await other.must_be_well()

    trio.run(main, clock=MockClock())


@pytest.mark.usefixtures("few_frames")
def test_who_waits_for_room_gets_it_in_turn(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peers = await partial(server, "judge", 7)
            for peer in peers:  # each ends its frame, which lets another go on
                await peer.send(b"\0")
                assert (await peer.answer(1)).error["code"] == "unknown_method"
            assert server.intake.frames == 0

    trio.run(main, clock=MockClock())


@pytest.mark.usefixtures("few_frames")
def test_room_comes_back_from_clients_that_die(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peers = await partial(server, "judge", 8)
            for peer in reversed(peers):  # those that wait for room, and then those that have it
                await peer.stream.aclose()
            while server.connections:
                await wait_all_tasks_blocked()
            assert server.intake.frames == 0
            assert server.intake.connections == 0

    trio.run(main)


def test_room_that_nobody_takes_any_more_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was just given it is cancelled before he can use it."""
    monkeypatch.setattr(intake, "_MOST_FRAMES", 1)

    async def main() -> None:
        whole = Intake(9)
        tenant = whole.enter("judge")
        await tenant.take_frame()
        async with trio.open_nursery() as second, trio.open_nursery() as first:
            first.start_soon(tenant.take_frame)
            await wait_all_tasks_blocked()
            second.start_soon(tenant.take_frame)
            await wait_all_tasks_blocked()
            assert (whole.frames, tenant.is_waiting) == (1, True)
            first.cancel_scope.cancel()
            tenant.give_back_frame()
        assert (whole.frames, tenant.is_waiting) == (1, False)

    trio.run(main)


def test_a_tenants_heavy_frames_are_taken_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all its connections, and with as long a pause as each one took; others are not held."""
    charge = TenantIntake.charge
    heavy = {"judge": False}

    def pretend(self: TenantIntake, _seconds: float) -> None:
        if heavy.get(self.tenant):
            heavy[self.tenant] = False  # once for each step of the test
            charge(self, COUNTED_SECONDS)

    async def main() -> None:
        async with serving(tmp_path) as server:
            monkeypatch.setattr(TenantIntake, "charge", pretend)
            answered: list[Peer] = []
            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(_ask, server.peer("judge"), answered)
                for expected in range(1, 5):
                    heavy["judge"] = True
                    await pass_time(0)
                    assert len(answered) == expected
                    await server.peer("ci").call("server.info")
                    await pass_time(COUNTED_SECONDS - 1)
                    assert len(answered) == expected
                    jump(1)

    trio.run(main, clock=MockClock())


async def _ask(peer: Peer, answered: list[Peer]) -> None:
    await peer.call("server.info")
    answered.append(peer)


def test_each_stretch_of_a_call_is_charged_and_its_waits_are_not() -> None:
    async def main() -> None:
        whole = Intake(10)
        tenant = whole.enter("judge")
        charged: list[float] = []
        tenant.charge = charged.append  # type: ignore[method-assign]

        async def work() -> str:
            await trio.sleep(5)
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)
                raise
            return "never"

        async def cancel() -> None:
            await pass_time(5)
            scope.cancel()
            await pass_time(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            with trio.CancelScope() as scope:
                await tenant.metered_steps(work())
        assert scope.cancelled_caught
        assert len(charged) == 4
        assert max(charged) < 1, "time in which others ran was charged"

        async def fails() -> None:
            await trio.lowlevel.checkpoint()
            raise KeyError("x")

        with pytest.raises(KeyError):
            await tenant.metered_steps(fails())

    trio.run(main, clock=MockClock())


def test_bombs_from_many_connections_let_others_be_served(tmp_path: Path) -> None:
    """The real thing: frames that are as heavy as may be, without end, while another works."""
    bomb = encode(Request(1, "nonesuch", ([0] * 65_000,)))

    async def main() -> None:
        async with serving(tmp_path) as server:
            connect = await server.unix()
            hostile = [server.peer("judge") for _ in range(8)]
            honest = await connect()
            async with trio.open_nursery() as nursery:
                for peer in hostile:
                    nursery.start_soon(_bombard, peer, bomb)
                for _ in range(20):
                    await honest.must_be_well()
                nursery.cancel_scope.cancel()
            assert len(server.connections) == len(hostile), "that is no crime"

    trio.run(main)


async def _bombard(peer: Peer, bomb: bytes) -> None:
    while True:
        await peer.send(bomb)
        await peer.answer(1)


def test_others_come_between_any_two_messages(tmp_path: Path) -> None:
    """Notifications too, which nobody waits for: a packet may hold hundreds of them."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            hostile = server.peer("judge")
            await hostile.send(b"\x93\x02\xa1x\x90" * 800)
            for _ in range(20):
                await trio.lowlevel.checkpoint()
            assert server.connections[0]._receiver._decoder.held_bytes > 5 * 700

    trio.run(main)


def test_a_tenant_leaves_places_to_others() -> None:
    whole = Intake(8)
    judge = [whole.enter("judge") for _ in range(6)]
    with pytest.raises(RefusedError, match="6 connections of tenant judge"):
        whole.enter("judge")
    ci = [whole.enter("ci") for _ in range(2)]
    with pytest.raises(RefusedError, match="busy: 8 connections"):
        whole.enter("ci")
    late = whole.enter("late")  # over the bound, having none
    with pytest.raises(RefusedError, match="busy: 9 connections"):
        whole.enter("late")
    for one in (*judge, *ci, late):
        whole.leave(one)
    assert whole.connections == 0
    assert whole._tenants == {}
