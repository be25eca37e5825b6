"""The metrics port: GET /metrics and /healthz over HTTP/1.1, one request a connection.

Whoever can connect may ask, and is no tenant: nothing here changes anything. What the requests hold
besides method and path is not looked at.
"""

import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio

from sandbox.server.tcp import bind_tcp
from sandbox.spec.errors import HostError

__all__ = ["MetricsPort", "open_port"]

_MOST_HEAD_BYTES = 8192
_MOST_CONNECTIONS = 32
_SECONDS = 10.0  # for a whole conversation
_BACKLOG = 64
_METHODS = ("GET", "HEAD")
_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_END = b"\r\n\r\n"


class _Answer(NamedTuple):
    status: str
    body: str
    content_type: str = _TEXT
    header: str = ""

    def encode(self, *, with_body: bool) -> bytes:
        body = self.body.encode("utf-8", "backslashreplace")
        head = (
            f"HTTP/1.1 {self.status}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(body)}\r\n{self.header}Cache-Control: no-store\r\n"
            f"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + (body if with_body else b"")


_BAD = _Answer("400 Bad Request", "this is no HTTP/1.1 request\n")
_TOO_LARGE = _Answer("431 Request Header Fields Too Large", "over 8 KiB of header\n")
_NOT_FOUND = _Answer("404 Not Found", "there is /metrics and /healthz\n")
_WRONG_METHOD = _Answer("405 Method Not Allowed", "GET or HEAD\n", header="Allow: GET, HEAD\r\n")


def open_port(host: str, port: int) -> Sequence[socket.socket]:
    """Listen at every address of `host`; port 0 is any that is free.

    Raises HostError: the address is taken, or not this host's.
    """
    try:
        return bind_tcp(host, port, _BACKLOG)
    except OSError as error:
        raise HostError(
            f"the metrics port {host}:{port} cannot be opened: {error.strerror or error}; "
            "fix: another --metrics HOST:PORT"
        ) from error


class MetricsPort:
    """Answers whoever connects, and waits for nobody: with too many, the oldest is dropped."""

    def __init__(self, metrics: Callable[[], str], problem: Callable[[], str | None]) -> None:
        """`metrics`: the text of /metrics. `problem`: why the server is not healthy, or None."""
        self._metrics, self._problem = metrics, problem
        self._talking: dict[trio.CancelScope, None] = {}  # the oldest first

    async def serve(self, listeners: Sequence[socket.socket]) -> None:
        """Serve these, forever; they are closed when this is cancelled."""
        doors = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in listeners]
        await trio.serve_listeners(self._serve_one, doors)

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        if len(self._talking) >= _MOST_CONNECTIONS:
            oldest = next(iter(self._talking))
            del self._talking[oldest]
            oldest.cancel()
        with trio.move_on_after(_SECONDS) as scope:
            self._talking[scope] = None
            try:
                await self._converse(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # it is gone, and so is whom it could matter to
            finally:
                self._talking.pop(scope, None)
                await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        head = b""
        while _END not in head and len(head) <= _MOST_HEAD_BYTES:
            piece = await stream.receive_some(_MOST_HEAD_BYTES)
            if not piece:
                return
            head += piece
        method, answer = self._answer(head)
        await stream.send_all(answer.encode(with_body=method != "HEAD"))
        await stream.send_eof()
        # Closed while bytes of it are unread, a connection is reset, and the answer lost with it.
        while await stream.receive_some(_MOST_HEAD_BYTES):
            pass

    def _answer(self, head: bytes) -> tuple[str, _Answer]:
        if len(head.partition(_END)[0]) > _MOST_HEAD_BYTES:
            return "", _TOO_LARGE
        line = head.partition(b"\r\n")[0]
        words = line.decode("ascii", "replace").split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1"):
            return "", _BAD
        method, target, _ = words
        path = target.partition("?")[0]
        if path not in ("/metrics", "/healthz"):
            return method, _NOT_FOUND
        if method not in _METHODS:
            return method, _WRONG_METHOD
        if path == "/metrics":
            return method, _Answer("200 OK", self._metrics(), _EXPOSITION)
        if problem := self._problem():
            return method, _Answer("503 Service Unavailable", f"{problem}\n")
        return method, _Answer("200 OK", "ok\n")
