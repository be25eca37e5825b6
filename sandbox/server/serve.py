"""The daemon: everything brought up in order, served until told to end, and brought down again."""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from sandbox.server.admission import Admission, Demand, Share
from sandbox.server.assembly import assemble
from sandbox.server.blobs import BlobStore
from sandbox.server.budget import host_budget
from sandbox.server.config import Config
from sandbox.server.extension import Extension
from sandbox.server.http import MetricsPort, open_port
from sandbox.server.journal import open_journal
from sandbox.server.listen import Doors, open_tcp
from sandbox.server.log import Log
from sandbox.server.metrics import Metrics
from sandbox.server.notify import Notifier
from sandbox.server.orders import Orders
from sandbox.server.places import bound, claimed, socket_path, state_directory
from sandbox.server.policies import Policies
from sandbox.server.runner import Runner
from sandbox.server.service import Service
from sandbox.server.shelf import Retention
from sandbox.server.spool_files import SpoolFiles
from sandbox.server.tenant_config import Caps
from sandbox.server.tenants import Tenants
from sandbox.server.tls import server_context
from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.supervisor import seccomp
from sandbox.supervisor.cgroup.bandwidth import OUR_CORES
from sandbox.supervisor.confinement import Places, confine
from sandbox.supervisor.pool import Budget
from sandbox.supervisor.startup import Ground, start_keeper, take_ground
from sandbox.supervisor.supervisor import Supervisor, first_failure, open_supervisor

__all__ = ["serve"]

_MOST_QUEUED = 10_000
_MOST_RESULTS = 100_000
_LAST_SECONDS = 5.0  # for clients to take their answers, when all jobs are over


def serve(
    config: Config,
    reload: Callable[[], Config] | None = None,
    extensions: Sequence[Extension] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, or server.drain; then every job is over, or left to the next.

    `reload`: reads the configuration again, for SIGHUP and server.reload. `extensions`: layers
    above the service, whose methods it is to have. Raises SandboxError: it could not begin.
    """
    # A loop that is busy lets go of the interpreter for moments only; with the usual 5 ms the
    # journal's and the blobs' threads would starve for seconds.
    sys.setswitchinterval(50e-6)
    notifier = Notifier.from_environment()
    log = Log(config.log_format)
    with contextlib.ExitStack() as held:
        held.callback(notifier.close)
        held.callback(log.close)
        if config.budget.own_cores:
            _leave_cores(config.budget.own_cores)
        keeper = start_keeper()
        held.callback(keeper.close_all)
        state = held.enter_context(claimed(state_directory(config)))
        listener = held.enter_context(bound(config))
        ground, _ = take_ground(keeper, allow_degraded=config.allow_degraded)
        held.callback(ground.close)
        ports = _ports(config, held)
        _compile_all(config)
        collect = [str(path) for path in config.collect_below if path.is_dir()]
        places = Places((str(state), *ground.changed, *collect), (str(socket_path(config).parent),))
        walls = confine(places)
        daemon = _Daemon(
            config, reload, extensions, ground, state, listener, ports, walls, notifier, log
        )
        try:
            trio.run(daemon.run)
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
        if daemon.failure is not None:
            raise daemon.failure


class _Ports(NamedTuple):
    """What is listened at beside the unix socket."""

    tcp: Sequence[socket.socket]
    metrics: Sequence[socket.socket]


def _ports(config: Config, held: contextlib.ExitStack) -> _Ports:
    """Open them all. Raises HostError."""
    listen = config.listen
    tcp = [] if listen.tcp is None else open_tcp(*listen.tcp)
    for listener in tcp:
        held.callback(listener.close)
    metrics = [] if listen.metrics is None else open_port(*listen.metrics)
    for listener in metrics:
        held.callback(listener.close)
    return _Ports(tcp, metrics)


def _compile_all(config: Config) -> None:
    """Compile every filter that there is a name for: once locked, none is kept on disk."""
    seccomp.collector_filter()
    policies = Policies(config.policies)
    for name in policies.names():
        with contextlib.suppress(SpecError):  # whoever names it is told
            seccomp.compile_filter(policies.get(name), listener=True)


def _address(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return host, port


class _Daemon:
    """The parts, and the order in which they come and go."""

    def __init__(
        self,
        config: Config,
        reload: Callable[[], Config] | None,
        extensions: Sequence[Extension],
        ground: Ground,
        state: Path,
        listener: socket.socket,
        ports: "_Ports",
        walls: Mapping[str, str],
        notifier: Notifier,
        log: Log,
    ) -> None:
        self._config, self._read_config, self._ground = config, reload, ground
        self._extensions = extensions
        self._state, self._listener, self._ports = state, listener, ports
        self._walls = walls  # of this process
        self._notifier, self._log = notifier, log
        self._draining = trio.Event()
        self._doors: Doors | None = None
        self.failure: HostError | None = None  # why it ended by itself

    async def run(self) -> None:
        """Serve until it is time to end."""
        config, state = self._config, self._state
        for name in ("spool", "blobs"):
            (state / name).mkdir(mode=0o700, exist_ok=True)
        tls = None
        if config.listen.tls_certificate is not None and config.listen.tls_key is not None:
            tls = server_context(
                config.listen.tls_certificate, config.listen.tls_key, config.listen.tls_client_ca
            )
        async with (
            open_journal(state / "journal.sqlite") as journal,
            open_supervisor(self._ground, Budget()) as supervisor,
            trio.open_nursery() as runs,
        ):
            metrics = Metrics()
            tenants = Tenants(config.tenants, config.listen.allowed_uids)
            self._budget = _merged(config.budget.caps, host_budget(self._ground, state))
            queued = config.budget.most_queued
            admission = Admission(
                self._budget,
                self._share_of,
                most_queued=_MOST_QUEUED if queued is None else queued,
                cores=_cores(config),
            )
            blobs = BlobStore(
                state / "blobs",
                lambda name: service.tenants.config_of(name).blob_bytes,
                config.state.blob_seconds,
            )
            retention = Retention(
                config.state.results_seconds,
                config.state.spool_bytes,
                config.state.results_bytes,
                _MOST_RESULTS,
            )
            policies = Policies(config.policies)
            service, recovery = assemble(
                Runner(supervisor, self._log, config.collect_below),
                Orders(supervisor, admission, policies, self._log),
                admission,
                journal,
                blobs,
                SpoolFiles(state / "spool"),
                policies,
                tenants,
                budget=self._budget,
                retention=retention,
                log=self._log,
                metrics=metrics,
                nursery=runs,
                drain=self._drain,
                reload=self._reload,
                more_methods={k: v for one in self._extensions for k, v in one.methods.items()},
            )
            self._service, jobs = service, service.jobs
            runs.start_soon(self._heed_signals)
            runs.start_soon(self._watch_keeper)
            runs.start_soon(self._notifier.keep_alive)
            await recovery.run()
            for extension in self._extensions:
                await extension.start(service, state, runs)
            runs.start_soon(jobs.keep_tidy)
            async with trio.open_nursery() as clients:
                doors = self._doors = Doors(service, clients)
                _watch(metrics, service, doors, supervisor, self._log)
                async with trio.open_nursery() as listening:
                    await self._listen(listening, doors, tls, metrics)
                    await self._draining.wait()
                    await jobs.drained()  # whoever comes until then may ask, and hears why not
                    listening.cancel_scope.cancel()
                with trio.move_on_after(_LAST_SECONDS):
                    await doors.wait_until_answered()
                clients.cancel_scope.cancel()
            blobs.close()
            runs.cancel_scope.cancel()
        self._log.event("ended")

    async def _listen(
        self, nursery: trio.Nursery, doors: Doors, tls: object, metrics: Metrics
    ) -> None:
        """Let clients in, until the nursery is cancelled; those that are in stay."""
        nursery.start_soon(doors.unix, self._listener)
        where = [f"unix:{self._listener.getsockname()}"]
        for listener in self._ports.tcp:
            where.append("{}:{}:{}".format("tls" if tls else "tcp", *_address(listener)))
            nursery.start_soon(doors.tcp, listener, tls)
        if self._ports.metrics:
            where += ["metrics:{}:{}".format(*_address(one)) for one in self._ports.metrics]
            port = MetricsPort(metrics.text, self._problem)
            nursery.start_soon(port.serve, self._ports.metrics)
        self._log.event("listening", where=" ".join(where))
        self._log.event("locked", **self._walls)
        self._notifier.ready(" ".join(where))

    async def _heed_signals(self) -> None:
        is_told = False
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    try:
                        self._reload()
                    except SandboxError as error:
                        self._log.event("reload_refused", level="warning", error=str(error))
                else:  # who tells us again does not want to wait
                    self._drain(0.0 if is_told else self._config.drain_seconds)
                    is_told = True

    async def _watch_keeper(self) -> None:
        """Without it there is no other zygote: end, for whoever started us to start another."""
        pidfd = os.pidfd_open(self._ground.keeper.pid)
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)
        self._log.event("keeper_died", level="error")
        self.failure = HostError("the keeper died; the server ended, and is to be started anew")
        self._drain(self._config.drain_seconds)

    def _drain(self, deadline_seconds: float) -> None:
        """Begin to; or, if it has begun, be ready by the earlier of the two deadlines."""
        self._notifier.stopping(deadline_seconds + _LAST_SECONDS, "draining")
        self._log.event("draining", seconds=deadline_seconds)
        self._service.jobs.drain_by(trio.current_time() + deadline_seconds)
        self._draining.set()

    def _reload(self) -> None:
        """Raises SpecError, and changes nothing."""
        self._notifier.reloading()
        try:
            config = self._config if self._read_config is None else self._read_config()
            tenants = Tenants(config.tenants, config.listen.allowed_uids)
            self._service.policies.reload()
            self._service.tenants = tenants
            if self._doors is not None:
                self._doors.review(tenants)
            self._service.admission.reload_shares()
            self._log.event("reloaded")
        finally:
            self._notifier.ready()

    def _problem(self) -> str | None:
        return "draining" if self._draining.is_set() else None

    def _share_of(self, name: str) -> Share:
        config = self._service.tenants.config_of(name)
        return Share(config.weight, _merged(config.caps, self._budget), config.most_queued)


def _cores(config: Config) -> tuple[int, ...]:
    own = config.budget.own_cores
    return tuple(sorted(OUR_CORES)) if own is None else own


def _leave_cores(own: tuple[int, ...]) -> None:
    """Keep to the other cores, with all that we start: these are for jobs that want one each.

    A job that is pinned is moved by its cpuset, or by an affinity of its own.
    """
    if wrong := sorted(set(own) - OUR_CORES):
        raise SpecError("budget.own_cores", f"{wrong[0]} is no core of ours")
    if not (others := OUR_CORES.difference(own)):
        raise SpecError("budget.own_cores", "are all that we have; leave one to everything else")
    os.sched_setaffinity(0, others)


def _merged(caps: Caps, whole: Demand) -> Demand:
    said = {name: value for name, value in caps._asdict().items() if value is not None}
    return whole._replace(**said)


def _watch(
    metrics: Metrics, service: Service, doors: Doors, supervisor: Supervisor, log: Log
) -> None:
    metrics.jobs_queued.read = lambda: service.admission.queued
    metrics.jobs_running.read = lambda: service.admission.used.jobs
    metrics.connections.read = lambda: doors.connections
    metrics.blob_bytes.read = lambda: service.blobs.total_bytes
    metrics.pool_idle.read = lambda: supervisor.pool.idle
    metrics.log_dropped.read = lambda: log.dropped_lines
