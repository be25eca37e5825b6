"""How the parts of the service are joined."""

from collections import ChainMap
from collections.abc import Callable, Mapping

import trio

from sandbox.server.admission import Admission, Demand
from sandbox.server.blobs import BlobStore
from sandbox.server.drain import Drain
from sandbox.server.execution import Execution
from sandbox.server.jobs import Jobs
from sandbox.server.journal import Journal
from sandbox.server.live_jobs import LiveJobs
from sandbox.server.log import Log
from sandbox.server.method import Method
from sandbox.server.methods import METHODS
from sandbox.server.metrics import Metrics
from sandbox.server.orders import Orders
from sandbox.server.policies import Policies
from sandbox.server.recovery import Recovery
from sandbox.server.runner import Runner
from sandbox.server.service import Service
from sandbox.server.shelf import Retention, Shelf
from sandbox.server.spool_files import SpoolFiles
from sandbox.server.tenants import Tenants

__all__ = ["assemble"]


def assemble(
    runner: Runner,
    orders: Orders,
    admission: Admission,
    journal: Journal,
    blobs: BlobStore,
    files: SpoolFiles,
    policies: Policies,
    tenants: Tenants,
    *,
    budget: Demand,
    retention: Retention,
    log: Log,
    metrics: Metrics,
    nursery: trio.Nursery,
    drain: Callable[[float], None],
    reload: Callable[[], None],
    more_methods: Mapping[str, Method] = {},
) -> tuple[Service, Recovery]:
    """The service, and what is to be run before it serves. `nursery`: for all that runs.

    `more_methods`: of the layers above.
    """
    live, shelf, ending = LiveJobs(), Shelf(journal, files, retention), Drain()
    execution = Execution(
        runner, admission, journal, blobs, policies, live, shelf, ending, log, metrics, nursery
    )
    jobs = Jobs(execution, admission, journal, blobs, live, shelf, files, ending, log, nursery)
    recovery = Recovery(execution, journal, live, shelf, ending, log, nursery)
    methods = ChainMap({}, METHODS, dict(more_methods))
    service = Service(
        methods, jobs, orders, blobs, admission, policies, tenants, log, metrics, budget, drain,
        reload,
    )  # fmt: skip
    return service, recovery
