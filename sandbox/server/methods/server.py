"""server.*: who is there, how it fares, and what its own user may tell it."""

from typing import Any

import sandbox
from sandbox.server.method import Param, method
from sandbox.server.methods.job import MOST_READ_BYTES, MOST_WAIT_SECONDS
from sandbox.server.service import Peer, Service
from sandbox.supervisor.host import time_facts
from sandbox.wire.calls import MOST_CALLS
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.framing import FRAME_BYTES

__all__: list[str] = []

_PROTOCOL = 1


@method(
    "server.hello",
    "{name, version, protocol, tenant, is_local, most_frame_bytes, most_calls, most_read_bytes,"
    " most_wait_seconds}",
    "refused: no such token", "invalid_params: protocol",
    protocol=Param("integer", "the one that the client speaks", _PROTOCOL),
    token=Param("text", "says who is there, where the transport does not", None),
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


@method("server.info", "{version, protocol, isolation, policies, budget, used, queued, host}")
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


@method("server.metrics", "{text}: as Prometheus has it")
def metrics(service: Service, _peer: Peer) -> dict[str, Any]:
    """What the metrics port shows."""
    return {"text": service.metrics.text()}


@method(
    "server.drain", "{}", is_local=True,
    deadline_seconds=Param(
        "number", "what still runs then is cancelled", 30.0, {"least": 0.0, "most": 86400.0}
    ),
)  # fmt: skip
def drain(service: Service, _peer: Peer, deadline_seconds: float) -> dict[str, Any]:
    """Accept no more jobs, let those that run end, and then end the service."""
    service.drain(deadline_seconds)
    return {}


@method("server.reload", "{}", "spec: a file is wrong, and nothing changed", is_local=True)
def reload(service: Service, _peer: Peer) -> dict[str, Any]:
    """Read policies and tenants again. Jobs that run keep what they began with."""
    service.reload()
    return {}
