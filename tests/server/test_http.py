"""The metrics port, asked by honest and by hostile clients."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from sandbox.server import http
from sandbox.server.http import MetricsPort, open_port
from sandbox.spec.errors import HostError

PATIENCE_SECONDS = 30


class Port:
    """A port that is served, and a way to talk to it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.problem: str | None = None

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.number)

    async def ask(self, *pieces: bytes) -> bytes:
        """All of the answer to these bytes, which are sent one by one."""
        stream = await self.connect()
        async with stream:
            for piece in pieces:
                await stream.send_all(piece)
            return await read_all(stream)


async def read_all(stream: trio.SocketStream) -> bytes:
    return b"".join([piece async for piece in stream])


@asynccontextmanager
async def served(text: str = "a 1\n") -> AsyncIterator[Port]:
    with trio.fail_after(PATIENCE_SECONDS):
        listeners = open_port("127.0.0.1", 0)
        port = Port(listeners[0].getsockname()[1])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(MetricsPort(lambda: text, lambda: port.problem).serve, listeners)
            yield port
            nursery.cancel_scope.cancel()


def run(main: Callable[[Port], Awaitable[None]], text: str = "a 1\n") -> None:
    async def with_port() -> None:
        async with served(text) as port:
            await main(port)

    trio.run(with_port)


def status(answer: bytes) -> bytes:
    assert answer.startswith(b"HTTP/1.1 ")
    return answer.split(b"\r\n", 1)[0].removeprefix(b"HTTP/1.1 ")


def body(answer: bytes) -> bytes:
    head, _, content = answer.partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: "))
    assert int(length.split()[1]) == len(content)
    return content


def test_metrics_are_answered_in_prometheus_format() -> None:
    async def main(port: Port) -> None:
        answer = await port.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n")
        assert status(answer) == b"200 OK"
        assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in answer
        assert b"\r\nConnection: close\r\n" in answer
        assert body(answer) == b"a 1\n"

    run(main)


def test_a_large_text_arrives_whole() -> None:
    text = "sandbox_jobs_total 1\n" * 100_000

    async def main(port: Port) -> None:
        assert body(await port.ask(b"GET /metrics HTTP/1.0\r\n\r\n")) == text.encode()

    run(main, text)


def test_health_tells_the_problem() -> None:
    async def main(port: Port) -> None:
        request = b"GET /healthz HTTP/1.1\r\n\r\n"
        answer = await port.ask(request)
        assert (status(answer), body(answer)) == (b"200 OK", b"ok\n")
        port.problem = "draining"
        answer = await port.ask(request)
        assert (status(answer), body(answer)) == (b"503 Service Unavailable", b"draining\n")

    run(main)


@pytest.mark.parametrize(
    ("request_bytes", "wanted"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET //metrics HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /metrics?debug=1 HTTP/1.1\r\n\r\n", b"200 OK"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405 Method Not Allowed"),
        (b"get /metrics HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /metrics HTTP/2.0\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics\r\n\r\n", b"400 Bad Request"),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"\r\n\r\n", b"400 Bad Request"),
        (b"\xff\x00\x94\x00\x01\r\n\r\n", b"400 Bad Request"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 8000 + b"\r\n\r\n", b"200 OK"),
        (b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", b"431 Request Header Fields"),
        (b"x" * (8 << 20), b"431 Request Header Fields"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_each_request_gets_its_status(request_bytes: bytes, wanted: bytes) -> None:
    async def main(port: Port) -> None:
        answer = await port.ask(request_bytes)
        assert status(answer).startswith(wanted)
        body(answer)

    run(main)


def test_head_is_get_without_the_body() -> None:
    async def main(port: Port) -> None:
        answer = await port.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")
        assert status(answer) == b"200 OK"
        assert b"\r\nContent-Length: 4\r\n" in answer and answer.endswith(b"\r\n\r\n")

    run(main)


def test_a_request_that_comes_byte_by_byte_is_the_same_request() -> None:
    async def main(port: Port) -> None:
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await port.ask(*(request[i : i + 1] for i in range(len(request))))
        assert body(answer) == b"a 1\n"

    run(main)


def test_a_client_that_hangs_up_harms_nobody() -> None:
    async def main(port: Port) -> None:
        for sent in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"):
            stream = await port.connect()
            await stream.send_all(sent)
            await stream.aclose()
        assert status(await port.ask(b"GET /healthz HTTP/1.1\r\n\r\n")) == b"200 OK"

    run(main)


def test_a_client_that_never_asks_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SECONDS", 0.01)

    async def main(port: Port) -> None:
        async with await port.connect() as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\n")
            assert await read_all(stream) == b""

    run(main)


def test_a_client_that_never_reads_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_SECONDS", 0.01)
    text = "x" * (32 << 20)  # more than the socket buffers of both sides hold

    async def main(port: Port) -> None:
        async with await port.connect() as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\n\r\n")
            monkeypatch.undo()
            # By now, or a little later, it is cut off; nobody else waits for that.
            assert status(await port.ask(b"GET /healthz HTTP/1.1\r\n\r\n")) == b"200 OK"
            received = 0
            with pytest.raises(trio.BrokenResourceError):
                while piece := await stream.receive_some(65536):
                    received += len(piece)
                raise trio.BrokenResourceError  # an end is as good as a reset
            assert received < len(text)

    run(main, text)


def test_many_silent_clients_do_not_keep_an_honest_one_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "_SECONDS", 10 * PATIENCE_SECONDS)

    async def main(port: Port) -> None:
        silent = [await port.connect() for _ in range(3 * http._MOST_CONNECTIONS)]
        assert status(await port.ask(b"GET /healthz HTTP/1.1\r\n\r\n")) == b"200 OK"
        for stream in silent[: 2 * http._MOST_CONNECTIONS]:
            assert await stream.receive_some(1) == b"", "the oldest are dropped"
        for stream in silent:
            await stream.aclose()

    run(main)


def test_a_port_that_is_taken_is_named() -> None:
    async def main() -> None:
        (listener,) = open_port("127.0.0.1", 0)
        with listener:
            number = listener.getsockname()[1]
            with pytest.raises(HostError, match=rf"127\.0\.0\.1:{number} .*in use.*fix: "):
                open_port("127.0.0.1", number)

    trio.run(main)
