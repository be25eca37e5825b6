"""server.*: who is there, how it fares, and what its own user may tell it."""

from typing import Any

import sandbox
from sandbox.server.method import Param, method
from sandbox.server.methods.job import MOST_READ_BYTES, MOST_WAIT_SECONDS
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import EMPTY, Field, Shape
from sandbox.supervisor.host import time_facts
from sandbox.wire.calls import MOST_CALLS
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.framing import FRAME_BYTES

__all__: list[str] = []

_PROTOCOL = 1


@method(
    "server.hello",
    Shape({
        "name": Field("text", "sandbox"),
        "version": Field("text", "of the server"),
        "protocol": Field("integer", "this one: 1"),
        "tenant": Field("text", "who you are"),
        "is_local": Field("flag", "whether you may name files of the host, and drain the server"),
        "most_frame_bytes": Field("integer", "of a message"),
        "most_calls": Field("integer", "without an answer on a connection"),
        "most_read_bytes": Field("integer", "of an output in an answer"),
        "most_wait_seconds": Field("number", "of `wait_seconds`"),
    }),
    "refused: no tenant has this token", "invalid_params: another protocol",
    protocol=Param("integer", "which one the client speaks", _PROTOCOL),
    token=Param("text", "tells who is there, where the transport does not", None),
    errors=Param(
        "choice", "what errors are from now on: maps, or text for clients that read nothing else",
        "map", {"choices": ("map", "text")},
    ),
)  # fmt: skip
def hello(
    _service: Service, peer: Peer, protocol: int, token: str | None, errors: str
) -> dict[str, Any]:
    """Say who you are, and hear with whom you speak. Needed first, and only, with a token."""
    if protocol != _PROTOCOL:
        raise InvalidParamsError("protocol", f"{protocol} is not spoken here; {_PROTOCOL} is")
    peer.tell_errors(as_text=errors == "text")
    if token is not None:
        peer.identify(token)
    return {
        "name": "sandbox",
        "version": sandbox.__version__,
        "protocol": _PROTOCOL,
        "tenant": peer.tenant.name,
        "is_local": peer.tenant.is_local,
        "most_frame_bytes": FRAME_BYTES,
        "most_calls": MOST_CALLS,
        "most_read_bytes": MOST_READ_BYTES,
        "most_wait_seconds": MOST_WAIT_SECONDS,
    }


@method(
    "server.info",
    Shape({
        "version": Field("text", "of the server"),
        "protocol": Field("integer", "1"),
        "isolation": Field("text", "how jobs are kept apart: `container`"),
        "policies": Field("array of text", "that jobs may name"),
        "budget": Field("demand", "what all jobs may take together"),
        "used": Field("demand", "what those that run take of it"),
        "queued": Field("integer", "how many jobs wait for a place"),
        "is_draining": Field("flag", "no more are accepted"),
        "host": Field("map", "`kernel`, `machine`, `cores`, `governor`, `load_1min`,"
                      " `steal_seconds`"),
    }),
)  # fmt: skip
def info(service: Service, _peer: Peer) -> dict[str, Any]:
    """What runs here, and how full it is."""
    admission = service.admission
    return {
        "version": sandbox.__version__,
        "protocol": _PROTOCOL,
        "isolation": "container",
        "policies": service.policies.names(),
        "budget": service.budget._asdict(),
        "used": admission.used._asdict(),
        "queued": admission.queued,
        "is_draining": service.jobs.is_draining,
        "host": dict(time_facts().since()),
    }


@method(
    "server.metrics",
    Shape({"text": Field("text", "as Prometheus reads it")}),
    "refused: you are not local",
    is_local=True,
)
def metrics(service: Service, _peer: Peer) -> dict[str, Any]:
    """What the metrics port shows: it names every tenant."""
    return {"text": service.metrics.text()}


@method(
    "server.drain", EMPTY, "refused: you are not local", is_local=True,
    deadline_seconds=Param(
        "number", "what still runs then is cancelled", 30.0, {"least": 0.0, "most": 86400.0}
    ),
)  # fmt: skip
def drain(service: Service, _peer: Peer, deadline_seconds: float) -> dict[str, Any]:
    """Accept no more jobs, let those that run end, and then end the service."""
    service.drain(deadline_seconds)
    return {}


@method(
    "server.reload", EMPTY, "spec: a file is wrong, and nothing has changed",
    "refused: you are not local", is_local=True,
)  # fmt: skip
def reload(service: Service, _peer: Peer) -> dict[str, Any]:
    """Read policies and tenants again. Jobs that run keep what they began with."""
    service.reload()
    return {}
