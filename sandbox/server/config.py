"""serve.toml: how the daemon listens, keeps, budgets and logs, and for whom."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.server.tenant_config import (
    CAPS,
    MOST_BYTES,
    MOST_QUEUED,
    Caps,
    TenantConfig,
    read_caps,
    read_tenants,
    read_user,
)
from sandbox.server.tls import require_loopback
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import (
    read_array,
    read_choice,
    read_flag,
    read_table,
    read_text,
    shown,
)
from sandbox.spec.quantities import GIB, parse_count, parse_seconds, parse_size
from sandbox.spec.toml_file import parsed
from sandbox.spec.trusted_file import read_trusted

__all__ = ["Address", "Budget", "Config", "Listen", "State", "config_from_mapping", "load_config",
           "read_address", "require_safe"]  # fmt: skip

_DAY_SECONDS = 86400.0
_MOST_SECONDS = 365 * _DAY_SECONDS
_MOST_CORE = 8191


class Address(NamedTuple):
    """Where to listen; `host` is a name or an IP address without brackets."""

    host: str
    port: int


class Listen(NamedTuple):
    """[listen]: None is not listened on, but for `socket`: there it is the default place."""

    socket: Path | None = None
    tcp: Address | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    is_clear: bool = False
    metrics: Address | None = None
    allowed_uids: tuple[int, ...] = ()  # may come by the socket, each as a tenant of its own


class State(NamedTuple):
    """[state]: what is kept, where and how long. `directory`: None is the default place."""

    directory: Path | None = None
    results_seconds: float = _DAY_SECONDS
    results_bytes: int = GIB
    spool_bytes: int = 4 * GIB
    blob_seconds: float = _DAY_SECONDS


class Budget(NamedTuple):
    """[budget]: what all jobs may take together; None is left to what the host has."""

    caps: Caps = Caps()
    own_cores: tuple[int, ...] | None = None  # for jobs that want a core for themselves
    most_queued: int | None = None


class Config(NamedTuple):
    """The whole file. Without one, everything is at its default."""

    listen: Listen = Listen()
    state: State = State()
    budget: Budget = Budget()
    policies: Path | None = None  # a directory with more of them than the package has
    log_format: str = "human"  # or "json"
    drain_seconds: float = 30.0
    allow_degraded: bool = False  # serve where the kernel enforces no memory or process limit
    tenants: tuple[TenantConfig, ...] = ()
    # Where artifacts may go that a caller names a file of the host for.
    collect_below: tuple[Path, ...] = (Path("/tmp"), Path("/var/tmp"))


def load_config(path: Path) -> Config:
    """The configuration in `path`, which only its owner, root or we, may be able to write.

    It says who may come in. Paths in it are relative to it. Raises SpecError: "config" where the
    file is not to be read or trusted, else the field.
    """
    document = parsed(read_trusted(path, "config"), path, "config")
    return config_from_mapping(document, path.absolute().parent)


def config_from_mapping(document: Any, base: Path) -> Config:
    """The configuration that a parsed serve.toml is; relative paths are below `base`.

    Tables: listen, state, budget, policies, log, collect, tenants; and drain_seconds. Raises
    SpecError.
    """
    table = read_table(document, "", ("listen", "state", "budget", "policies", "log", "tenants",
                                      "drain_seconds", "allow_degraded", "collect"))  # fmt: skip
    policies = read_table(table.get("policies", {}), "policies", ("directory",))
    log = read_table(table.get("log", {}), "log", ("format",))
    config = Config(
        _listen(table.get("listen", {}), base),
        _state(table.get("state", {}), base),
        _budget(table.get("budget", {})),
        _path(policies, "directory", "policies", base),
        read_choice(log.get("format", "human"), "log.format", ("human", "json")),
        _seconds(table.get("drain_seconds", Config().drain_seconds), "drain_seconds"),
        read_flag(table.get("allow_degraded", False), "allow_degraded"),
        read_tenants(table.get("tenants", {})),
        _collect_below(table.get("collect", {}), base),
    )
    require_safe(config)
    return config


def require_safe(config: Config) -> None:
    """Raises SpecError where TCP would be in clear off loopback, or could let nobody in.

    For whoever changes a Config after it was read, as options of a command do.
    """
    listen = config.listen
    if (listen.tls_certificate is None) != (listen.tls_key is None):
        raise SpecError("listen.tls_key", "goes with tls_certificate; name both")
    if listen.tls_client_ca is not None and listen.tls_certificate is None:
        raise SpecError("listen.tls_client_ca", "needs tls_certificate and tls_key of our own")
    if listen.is_clear and listen.tls_certificate is not None:
        raise SpecError("listen.clear", "contradicts tls_certificate")
    if listen.tcp is None:
        return
    if listen.is_clear:
        require_loopback(listen.tcp.host, "listen.tcp")
    elif listen.tls_certificate is None:
        raise SpecError(
            "listen.tcp", "needs tls_certificate and tls_key; on loopback, clear = true will do"
        )
    has_tokens = any(tenant.token_hashes for tenant in config.tenants)
    has_certificates = any(tenant.fingerprints for tenant in config.tenants)
    if has_certificates and not listen.is_clear and listen.tls_client_ca is None:
        # Without a CA, OpenSSL asks no client for a certificate.
        problem = "is missing; it names the CA of the tenants' certificates, or these themselves"
        raise SpecError("listen.tls_client_ca", problem)
    if not has_tokens and (listen.is_clear or not has_certificates):
        raise SpecError("listen.tcp", "would let nobody in: no tenant shows a token or certificate")


def read_address(value: Any, field: str) -> Address:
    """HOST:PORT; an IPv6 address is in brackets. Port 0 is any that is free."""
    host, colon, port = read_text(value, field).rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if is_bracketed:
        host = host[1:-1]
    if not colon or not host or (":" in host) != is_bracketed:
        raise SpecError(field, f"{shown(value)} is no HOST:PORT, such as 127.0.0.1:7000")
    return Address(host, parse_count(port, field, least=0, most=65535))


def _listen(value: Any, base: Path) -> Listen:
    table = read_table(value, "listen", ("socket", "tcp", "tls_certificate", "tls_key",
        "tls_client_ca", "clear", "metrics", "allow_users"))  # fmt: skip
    users = read_array(table.get("allow_users", []), "listen.allow_users")
    return Listen(
        _path(table, "socket", "listen", base),
        _address(table, "tcp"),
        _path(table, "tls_certificate", "listen", base),
        _path(table, "tls_key", "listen", base),
        _path(table, "tls_client_ca", "listen", base),
        read_flag(table.get("clear", False), "listen.clear"),
        _address(table, "metrics"),
        tuple(read_user(user, f"listen.allow_users[{n}]") for n, user in enumerate(users)),
    )


def _state(value: Any, base: Path) -> State:
    table = read_table(value, "state", State._fields)
    default = State()
    return State(
        _path(table, "directory", "state", base),
        _seconds(table.get("results_seconds", default.results_seconds), "state.results_seconds"),
        _size(table.get("results_bytes", default.results_bytes), "state.results_bytes"),
        _size(table.get("spool_bytes", default.spool_bytes), "state.spool_bytes"),
        _seconds(table.get("blob_seconds", default.blob_seconds), "state.blob_seconds"),
    )


def _collect_below(value: Any, base: Path) -> tuple[Path, ...]:
    table = read_table(value, "collect", ("below",))
    if "below" not in table:
        return Config().collect_below
    places = read_array(table["below"], "collect.below")
    return tuple(base / read_text(place, f"collect.below[{n}]") for n, place in enumerate(places))


def _budget(value: Any) -> Budget:
    table = read_table(value, "budget", (*CAPS, "own_cores", "most_queued"))
    queued = table.get("most_queued")
    if queued is not None:
        queued = parse_count(queued, "budget.most_queued", least=0, most=MOST_QUEUED)
    cores = table.get("own_cores")
    return Budget(
        read_caps(table, "budget"), None if cores is None else _cores(cores, "budget.own_cores"),
        queued,
    )  # fmt: skip


def _cores(value: Any, field: str) -> tuple[int, ...]:
    cores = tuple(
        parse_count(core, f"{field}[{n}]", least=0, most=_MOST_CORE)
        for n, core in enumerate(read_array(value, field))
    )
    for n, core in enumerate(cores):
        if core in cores[:n]:
            raise SpecError(f"{field}[{n}]", f"core {core} is named twice")
    return cores


def _address(table: Mapping[str, Any], key: str) -> Address | None:
    return read_address(table[key], f"listen.{key}") if key in table else None


def _path(table: Mapping[str, Any], key: str, field: str, base: Path) -> Path | None:
    return base / read_text(table[key], f"{field}.{key}") if key in table else None


def _seconds(value: Any, field: str) -> float:
    return parse_seconds(value, field, least=0, most=_MOST_SECONDS)


def _size(value: Any, field: str) -> int:
    return parse_size(value, field, least=0, most=MOST_BYTES)
