"""How a server is reached that is busy, or not there: the same for both clients."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from sandbox.client.aio import AsyncClient
from sandbox.client.errors import DisconnectedError
from sandbox.client.sync import Client


def connect(address: str, seconds: float) -> None:
    with Client(address, answer_seconds=seconds):
        pass


def connect_in_trio(address: str, seconds: float) -> None:
    async def main() -> None:
        async with AsyncClient(address, answer_seconds=seconds):
            pass

    trio.run(main)


both = pytest.mark.parametrize("connect", [connect, connect_in_trio], ids=["blocking", "trio"])
Connect = Callable[[str, float], None]


class Door(NamedTuple):
    """A listener at whose door as many wait as may."""

    address: str
    listener: socket.socket
    waiting: list[socket.socket]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    path = str(tmp_path / "s.sock")
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        waiting: list[socket.socket] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                one = opened.enter_context(socket.socket(socket.AF_UNIX))
                one.setblocking(False)
                one.connect(path)
                waiting.append(one)
        yield Door(f"unix:{path}", listener, waiting)


@both
def test_a_door_that_stays_full_is_given_up(connect: Connect, door: Door) -> None:
    with pytest.raises(DisconnectedError, match="too many wait already; try again later"):
        connect(door.address, 0.05)


@both
def test_a_door_that_is_full_is_waited_at(connect: Connect, door: Door) -> None:
    def let_in() -> None:
        for _ in range(len(door.waiting) + 1):
            door.listener.accept()[0].close()

    # Late or early, it is let in; late, it has met a full door.
    opening = threading.Timer(0.1, let_in)
    opening.start()
    connect(door.address, 30)
    opening.join()


@both
def test_nobody_at_a_port_is_said_so(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DisconnectedError, match=rf"tcp:127.0.0.1:{port}: .*sandbox serve"):
        connect(f"tcp:127.0.0.1:{port}", 5)


@both
def test_a_socket_of_another_user_is_said_so(connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        with pytest.raises(DisconnectedError, match="this server is another user's"):
            connect(f"unix:{path}", 5)
