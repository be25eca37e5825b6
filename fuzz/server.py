"""The server's end of a connection: whatever comes is answered, refused or the end of it.

An input is a byte that says who connects (odd: a stranger), then steps: a byte that says which, a
byte, the length of what follows, and that. Raw bytes go as they are; of a call or a notification
what follows is the value of its params; a pause lets seconds pass. Nothing runs, so the jobs are
two records: "000…" is running and "111…" has ended; and whatever is submitted runs at once, and on.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from fuzz.driver import MSGPACK_TOKENS as TOKENS
from fuzz.driver import main
from sandbox.server import methods
from sandbox.server.admission import Demand
from sandbox.server.connection import Connection
from sandbox.server.intake import Intake
from sandbox.server.method import METHODS
from sandbox.server.metrics import Metrics
from sandbox.server.record import Record, new_id
from sandbox.server.submission import Submission
from sandbox.server.tenant_config import TenantConfig
from sandbox.server.tenants import Tenant
from sandbox.spec.errors import ProtocolError, RefusedError
from sandbox.supervisor.lifecycle import not_started
from sandbox.wire.errors import NotFoundError, error_from_map
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES, Decoder
from sandbox.wire.job import Places, job_from_map
from sandbox.wire.messages import Notification, Request, Response

__all__ = ["ENDED", "RUNNING", "TOKEN", "TOKENS", "target"]

RUNNING, ENDED = "0" * 22, "1" * 22
TOKEN = "token"
_NAMES = sorted(METHODS)
_MOST_TASKS = 200
_LONGEST_SECONDS = 61.0
_STDIN_BYTES = (256 << 10) - 8  # of what is written there is not much room
_NOWHERE = Path("/nowhere")

assert methods  # importing it declares them


def target(data: bytes) -> None:
    """Have the conversation; each call has one answer, or the connection has come to its end."""
    trio.run(_converse, data, clock=MockClock())


async def _converse(data: bytes) -> None:
    server = _Server()
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    theirs, ours = memory_stream_pair()
    tenant = None if data[:1] and data[0] % 2 else _TENANT
    intake = Intake(8)
    connection = Connection(theirs, server, tenant, "peer", intake)  # type: ignore[arg-type]
    sent, received = bytearray(), bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.serve)
        nursery.start_soon(_receive, ours, received)
        for kind, argument, body in _steps(data[1:]):
            if kind == "pause":
                await wait_all_tasks_blocked()
                clock.jump(argument)
                continue
            piece = body if kind == "raw" else _framed(kind, argument, body)
            sent += piece
            try:
                await ours.send_all(piece)
            except trio.BrokenResourceError:
                break
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living < _MOST_TASKS
        most_bytes = FRAME_BYTES if connection.is_known else STRANGER_FRAME_BYTES
        assert connection._receiver._decoder.held_bytes <= most_bytes
        while trio.lowlevel.current_statistics().seconds_to_next_deadline < math.inf:
            clock.jump(_LONGEST_SECONDS)  # until every wait is over, and what came after it
            await wait_all_tasks_blocked()
        is_closed = len(nursery.child_tasks) == 1  # `_receive` stays
        _compare(sent, received, is_closed=is_closed)
        await ours.aclose()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert (intake.connections, intake.frames) == (0, 0)
    assert server.running.input.writers == 0


async def _receive(stream: trio.abc.ReceiveStream, received: bytearray) -> None:
    try:
        while data := await stream.receive_some():
            received += data
    except trio.ClosedResourceError:
        return
    await trio.sleep_forever()


def _steps(data: bytes) -> list[tuple[str, int, bytes]]:
    kinds = ("raw", "call", "call", "call", "notification", "pause")
    steps = []
    while len(data) >= 3:
        kind, argument, size = data[:3]
        steps.append((kinds[kind % len(kinds)], argument, data[3 : 3 + size]))
        data = data[3 + size :]
    return steps


def _framed(kind: str, argument: int, body: bytes) -> bytes:
    name = _NAMES[argument % len(_NAMES)].encode()
    method = bytes([0xD9, len(name)]) + name
    params = b"\x91" + body if body else b"\x90"
    if kind == "notification":
        return b"\x93\x02" + method + params
    # Few msgids: so that some are in flight twice.
    return b"\x94\x00" + bytes([argument // len(_NAMES) + len(body) % 16]) + method + params


def _compare(sent: bytes, received: bytes, *, is_closed: bool) -> None:
    asked = Counter(m.msgid for m in _decoded(sent) if isinstance(m, Request))
    answers = _decoded(received)
    answered = Counter(m.msgid for m in answers if isinstance(m, Response))
    assert answered <= asked
    if not is_closed:
        assert answered == asked
    offsets: dict[int, int] = {}
    for message in answers:
        match message:
            case Response(_, None, _):
                pass
            case Response(_, error, _) | Notification("error", (error,)):
                assert error["code"] != "internal"
                assert str(error_from_map(error)).isprintable()
            case Notification("stream.data", (fields,)):
                number, offset = fields["subscription"], fields["offset"]
                assert offsets.setdefault(number, offset) == offset
                offsets[number] += len(fields["data"])
            case Notification(name, _):
                assert name == "stream.end"
            case _:
                raise AssertionError(f"the server sent {message}")


def _decoded(data: bytes) -> list[Any]:
    decoder = Decoder(FRAME_BYTES)
    decoder.feed(data)
    messages = []
    try:
        while (message := decoder.next_message()) is not None:
            messages.append(message)
    except ProtocolError:
        pass  # then it was closed, and nothing after it is answered
    return messages


_TENANT = Tenant(TenantConfig("fuzz"))
_NOTHING = Demand(0, 0, 0, 0, 0, 0)


class _Server:
    """A service of which nothing runs, and that takes no note of anything but its bugs."""

    def __init__(self) -> None:
        self.running, self.ended = (_record(job) for job in (RUNNING, ENDED))
        self.running.begin()
        self.running.outputs["stdout"].append(b"some output\n" * 100)
        self.running.input.write(0, bytes(_STDIN_BYTES), end=False)
        self.ended.begin()
        context: dict[str, Any] = {
            name: {} for name in ("walls", "grades", "artifacts", "identity", "host")
        }
        self.ended.outputs["stdout"].append(b"all of it\n")
        self.ended.finish(not_started(**context))
        self.ended.publish()
        self._records = {record.id: record for record in (self.running, self.ended)}
        self.jobs = self.blobs = self.policies = self.tenants = self.log = self
        self.metrics, self.methods = Metrics(), METHODS
        self.budget = _NOTHING
        self.admission = SimpleNamespace(used=_NOTHING, queued=0)
        self.is_draining = False

    # Jobs

    def held(self, tenant: str, job: str) -> Record | None:
        assert tenant == _TENANT.name
        return self._records.get(job)

    async def find(self, tenant: str, job: str) -> Record:
        await trio.lowlevel.checkpoint()
        raise NotFoundError(f"no job {job}")

    async def submit(
        self,
        tenant: str,
        submissions: Sequence[Submission],
        pipes: Sequence[Any] = (),
        *,
        is_new: bool = False,
    ) -> list[Record]:
        await trio.lowlevel.checkpoint()
        records = []
        for submission in submissions:
            assert not submission.is_local
            places = Places(False, lambda _sha256, _field: _NOWHERE, lambda field: _NOWHERE / field)
            job_from_map(submission.job, places)
            assert Submission.unpack(submission.pack()).pack() == submission.pack()
            records.append(_record(new_id(), submission))
        for record in records:
            record.begin()
            self._records[record.id] = record
        return records

    def tell(self, record: Record, inline_bytes: int) -> dict[str, Any]:
        return record.status(inline_bytes)

    async def page(self, *_where: Any) -> list[Any]:
        await trio.lowlevel.checkpoint()
        return []

    def live(self, tenant: str) -> list[Record]:
        return [self.running]

    async def delete(self, *_what: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise RefusedError("it is kept")

    # Blobs, policies, tenants

    async def put(self, *_chunk: Any) -> Any:
        await trio.lowlevel.checkpoint()
        raise RefusedError("there is no room")

    def stat(self, tenant: str, sha256: str) -> Any:
        raise NotFoundError("no blob")

    def list(self, tenant: str, after: str, most: int) -> Sequence[Any]:
        return ()

    def names(self) -> Sequence[str]:
        return ("default",)

    def of_token(self, token: str) -> Tenant:
        if token != TOKEN:
            raise RefusedError("the token is not known here")
        return _TENANT

    # The log

    def event(self, *_fields: Any, **_more: Any) -> None:
        pass

    def bug(self, error: BaseException, **_fields: Any) -> None:
        raise AssertionError("the server calls it a bug") from error


def _record(job: str, submission: Submission | None = None) -> Record:
    submission = submission or Submission({"command": ("x",)}, False, stdin_open=True)
    return Record(_TENANT.name, job, submission, _NOWHERE / job)


if __name__ == "__main__":
    main("server", target, TOKENS)
