"""A bare msgpack echo: what any server in trio would cost that unpacks and packs each message."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import trio

__all__ = ["echoing"]

_RECEIVE_BYTES = 64 << 10


@contextmanager
def echoing(path: Path) -> Iterator[None]:
    """An echo that listens at `path`, for as long as this lasts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        process = subprocess.Popen([sys.executable, "-m", "bench.echo"], stdin=listener)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _serve(stream: trio.SocketStream) -> None:
    unpacker = msgpack.Unpacker()
    async for data in stream:
        unpacker.feed(data)
        for message in unpacker:
            await stream.send_all(msgpack.packb(message))


async def _listen() -> None:
    listener = trio.socket.from_stdlib_socket(socket.socket(fileno=0))
    await trio.serve_listeners(_serve, [trio.SocketListener(listener)])


if __name__ == "__main__":
    trio.run(_listen)
