"""stream.*: outputs pushed as they come, as far as the client has given credit."""

from typing import Any

from sandbox.server.method import Param, method
from sandbox.server.methods.job import JOB, OFFSET, STREAM, on_job
from sandbox.server.record import Record
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import EMPTY, Field, Shape

__all__: list[str] = []

_SUBSCRIPTION = Param("integer", "its number, as stream.open answered it")
_CREDIT = Param("integer", "push so many bytes more", bounds={"least": 1})


@method(
    "stream.open",
    Shape({"subscription": Field("integer", "its number on this connection")}),
    "not_found", "refused: 64 are open on this connection",
    job=JOB, stream=STREAM, offset=OFFSET, credit_bytes=_CREDIT,
)  # fmt: skip
@on_job
def open_stream(
    _service: Service, peer: Peer, record: Record, stream: str, offset: int, credit_bytes: int
) -> Any:
    """Have an output pushed: notifications stream.data [{subscription, offset, data}], at last
    stream.end [{subscription, offset}], which has an `error` too where the rest of the output is
    lost. No more is sent than there is credit for."""
    return {"subscription": peer.open_stream(record.outputs[stream], offset, credit_bytes)}


@method("stream.grant", EMPTY, "not_found", subscription=_SUBSCRIPTION, credit_bytes=_CREDIT)
def grant(_service: Service, peer: Peer, subscription: int, credit_bytes: int) -> Any:
    """Give more credit; as a notification too."""
    peer.grant(subscription, credit_bytes)
    return {}


@method("stream.close", EMPTY, "not_found", subscription=_SUBSCRIPTION)
def close(_service: Service, peer: Peer, subscription: int) -> Any:
    """Have no more pushed."""
    peer.close_stream(subscription)
    return {}
