"""What the methods work on: the service's parts, and the peer that calls."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sandbox.server.admission import Admission, Demand
from sandbox.server.blobs import BlobStore
from sandbox.server.jobs import Jobs
from sandbox.server.log import Log
from sandbox.server.method import Method
from sandbox.server.metrics import Metrics
from sandbox.server.orders import Orders
from sandbox.server.policies import Policies
from sandbox.server.record import Record
from sandbox.server.subscription import Source
from sandbox.server.tenants import Tenant, Tenants

__all__ = ["Peer", "Service"]


@dataclass
class Service:
    """The parts of a running service."""

    methods: Mapping[str, Method]  # those of the layers above too
    jobs: Jobs
    orders: Orders
    blobs: BlobStore
    admission: Admission
    policies: Policies
    tenants: Tenants  # another one after a reload
    log: Log
    metrics: Metrics
    budget: Demand  # of all jobs
    drain: Callable[[float], None]  # begin to, with a deadline in seconds
    reload: Callable[[], None]  # SpecError: a file is wrong, and nothing has changed
    parts: dict[type, Any] = field(default_factory=dict)  # of the layers above, by their type


class Peer(Protocol):
    """One connection, as the methods see it."""

    tenant: Tenant

    def attach(self, record: Record) -> None:
        """Cancel that job when this connection is lost."""
        ...

    def identify(self, token: str) -> None:
        """Become the tenant of this token. Raises RefusedError."""
        ...

    def tell_errors(self, *, as_text: bool) -> None:
        """Have errors as text, or as maps."""
        ...

    def open_stream(self, source: Source, offset: int, credit_bytes: int) -> int:
        """Begin to push; the subscription's number. Raises RefusedError: there are too many."""
        ...

    def grant(self, subscription: int, credit_bytes: int) -> None:
        """Let more be pushed. Raises NotFoundError."""
        ...

    def close_stream(self, subscription: int) -> None:
        """Push no more. Raises NotFoundError."""
        ...
