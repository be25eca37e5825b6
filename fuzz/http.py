"""The metrics port: whatever a peer sends, one answer of HTTP/1.1, or the end.

An input is a byte that says how it is cut, one that says what is wrong with the server and whether
the peer lingers, and what the peer sends.
"""

import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from fuzz.driver import main
from sandbox.server.exposition import Counter, Histogram, render
from sandbox.server.http import MetricsPort

__all__ = ["TOKENS", "target"]

_MOST_HEAD_BYTES = 8192
_STATUSES = {200, 400, 404, 405, 431, 503}
TOKENS = (
    b"GET ", b"HEAD ", b"POST ", b"/metrics", b"/healthz", b"?", b" HTTP/1.1", b" HTTP/1.0",
    b"\r\n", b"\r\n\r\n", b"\n\n", b"Host: x\r\n", b"Content-Length: 9\r\n", b"http://h/metrics",
    b"%2fmetrics", b"a" * 2048, b"\0", b"\xc3\xa4",
)  # fmt: skip


def target(data: bytes) -> None:
    """The answer is whole, says what it is, and is the same however the request is cut."""
    cut, state, request = data[:1], data[1:2], data[2:]
    sizes = [len(request) or 1, 1 + (cut[0] if cut else 0)]
    answers = {trio.run(_converse, request, size, state, clock=MockClock()) for size in sizes}
    assert len(answers) == 1, "it depends on how the request is cut"
    (answer,) = answers
    if not answer:
        assert b"\r\n\r\n" not in request and len(request) <= _MOST_HEAD_BYTES
        return
    head, end, body = answer.partition(b"\r\n\r\n")
    version, status, _ = head.split(b"\r\n")[0].split(b" ", 2)
    assert end and version == b"HTTP/1.1" and int(status) in _STATUSES
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields[b"connection"] == b"close"
    if request.startswith(b"HEAD "):
        assert not body or int(status) in (400, 431)
    else:
        assert int(fields[b"content-length"]) == len(body)
    if int(status) == 200:
        assert request.split(b" ")[0] in (b"GET", b"HEAD")


async def _converse(request: bytes, size: int, state: bytes) -> bytes:
    port = MetricsPort(lambda: _metrics(request), lambda: _problem(state))
    theirs, ours = memory_stream_pair()
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    received = bytearray()

    async def receive() -> None:
        async for piece in ours:
            received.extend(piece)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(port._serve_one, theirs)
        nursery.start_soon(receive)
        for at in range(0, len(request), size):
            try:
                await ours.send_all(request[at : at + size])
            except trio.BrokenResourceError:
                break
        if state[:1] and state[0] & 2:
            await ours.send_eof()
        await wait_all_tasks_blocked()
        clock.jump(60)  # nobody is waited for longer
        await wait_all_tasks_blocked()
        assert not port._talking
        await ours.aclose()
        nursery.cancel_scope.cancel()
    return bytes(received)


def _metrics(request: bytes) -> str:
    """Text in which what a client chose is a label: one line a sample all the same."""
    label = request.decode("utf-8", "surrogateescape")
    counter, seconds = Counter("c", "counts", ("who",), 2), Histogram("h", "s", (1,), ("who",))
    for value in (label, label[::-1], "third"):
        counter.add(value)
        seconds.observe(0.5, value)
    text = render([counter, seconds])
    assert all(line[:1] in "#ch" for line in text.split("\n"))
    return text


def _problem(state: bytes) -> str | None:
    return "the journal fails" if state[:1] and state[0] & 1 else None


if __name__ == "__main__":
    main("http", target, TOKENS)
