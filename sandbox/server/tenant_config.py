"""The tenants that the configuration names: what each may take, and what shows who it is."""

import pwd
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_array, read_table, read_text, shown
from sandbox.spec.quantities import GIB, KIB, MIB, TIB, parse_count, parse_cpus, parse_size

__all__ = ["CAPS", "MOST_BYTES", "MOST_QUEUED", "Caps", "TenantConfig", "read_caps",
           "read_tenants", "read_user"]  # fmt: skip

MOST_BYTES = 1024 * TIB
MOST_QUEUED = 1 << 20

_NOBODY = 65534  # the usual overflow uid: whom the kernel cannot name
_MOST_UID = (1 << 32) - 2  # -1 is no uid
# A name is text in logs and metrics. "uid-1001" is how users without a name are called: a tenant
# of that name would have their jobs.
_NAME = re.compile(r"(?!uid-)[a-z0-9][a-z0-9._-]{0,63}")
# As `openssl x509 -fingerprint -sha256` and we ourselves print it.
_HASH = re.compile(r"sha256:((?:[0-9a-f]{2}){32}|(?:[0-9a-f]{2}:){31}[0-9a-f]{2})", re.IGNORECASE)


class Caps(NamedTuple):
    """What jobs may take together while they run; None: this says nothing of it."""

    jobs: int | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = None
    disk_bytes: int | None = None


class TenantConfig(NamedTuple):
    """One [tenants.NAME] table, or what goes for a tenant that has none; sizes in bytes."""

    name: str
    weight: float = 1.0  # its share, against those of the others that want something too
    most_priority: int = 100  # what its jobs may ask for
    caps: Caps = Caps()
    most_queued: int = 1000
    blob_bytes: int = GIB
    token_hashes: tuple[bytes, ...] = ()  # SHA-256 of each of its tokens
    fingerprints: tuple[bytes, ...] = ()  # SHA-256 of each of its certificates' DER
    uids: tuple[int, ...] = ()


def read_tenants(value: Any, field: str = "tenants") -> tuple[TenantConfig, ...]:
    """The tenants of a [tenants] table.

    Keys of each: weight, most_priority, jobs, memory, cpus, processes, disk, most_queued,
    blob_bytes, tokens and certificates ("sha256:…"), users (names or uids).
    Raises SpecError that names the field; also where two tenants could be meant by one peer.
    """
    tenants = []
    owners: dict[object, str] = {}
    for name, table in read_table(value, field).items():
        place = dotted(field, name)
        if not _NAME.fullmatch(name):
            raise SpecError(
                place, "is no name for a tenant: a-z, 0-9, ., _, -, and not uid-…, up to 64"
            )
        tenant = _tenant(name, table, place)
        _require_own(owners, "tokens", tenant.token_hashes, place)
        _require_own(owners, "certificates", tenant.fingerprints, place)
        _require_own(owners, "users", tenant.uids, place)
        tenants.append(tenant)
    return tuple(tenants)


def read_caps(table: Mapping[str, Any], field: str) -> Caps:
    """Those of `table` that are in CAPS: jobs, memory, cpus, processes, disk."""
    caps = {}
    for key, (name, read) in CAPS.items():
        if key in table:
            caps[name] = read(table[key], f"{field}.{key}")
    return Caps(**caps)


def read_user(value: Any, field: str) -> int:
    """The uid of a user of this host, by name or number."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            value = pwd.getpwnam(read_text(value, field)).pw_uid
        except KeyError:
            raise SpecError(field, f"there is no user {shown(value)}") from None
    uid = parse_count(value, field, least=0, most=_MOST_UID)
    if uid == _NOBODY:
        raise SpecError(field, f"{_NOBODY} stands for everybody whom the kernel cannot name")
    return uid


def _tenant(name: str, value: Any, field: str) -> TenantConfig:
    table = read_table(value, field, (*_OWN, *CAPS))
    settings = {
        own: read(table[key], f"{field}.{key}") for key, (own, read) in _OWN.items() if key in table
    }
    return TenantConfig(name, caps=read_caps(table, field), **settings)


def _require_own(
    owners: dict[object, str], key: str, values: tuple[object, ...], place: str
) -> None:
    for n, value in enumerate(values):
        owner = owners.setdefault((key, value), f"{place}.{key}[{n}]")
        if owner != f"{place}.{key}[{n}]":
            raise SpecError(f"{place}.{key}[{n}]", f"is {owner} already")


def _weight(value: Any, field: str) -> float:
    if type(value) not in (int, float) or not 0.01 <= value <= 100:
        raise SpecError(field, f"{shown(value)} is no weight; allowed: 0.01 to 100")
    return float(value)


def _priority(value: Any, field: str) -> int:
    if type(value) is not int or not -100 <= value <= 100:
        raise SpecError(field, f"{shown(value)} is no priority; allowed: -100 to 100")
    return value


def _queued(value: Any, field: str) -> int:
    return parse_count(value, field, least=0, most=MOST_QUEUED)


def _size(value: Any, field: str) -> int:
    return parse_size(value, field, least=0, most=MOST_BYTES)


def _hashes(value: Any, field: str) -> tuple[bytes, ...]:
    return tuple(_hash(item, f"{field}[{n}]") for n, item in enumerate(read_array(value, field)))


def _hash(value: Any, field: str) -> bytes:
    match = _HASH.fullmatch(read_text(value, field))
    if match is None:
        # Not shown: it may be the token itself, and messages go to logs.
        raise SpecError(field, 'is no hash; write "sha256:" and 64 digits of 0-9, a-f')
    return bytes.fromhex(match[1].replace(":", ""))


def _users(value: Any, field: str) -> tuple[int, ...]:
    return tuple(
        read_user(item, f"{field}[{n}]") for n, item in enumerate(read_array(value, field))
    )


Reader = Callable[[Any, str], Any]

# key -> field of Caps and its reader. Least values are those of a job's own limits.
CAPS: Mapping[str, tuple[str, Reader]] = {
    "jobs": ("jobs", lambda v, f: parse_count(v, f, least=1, most=1 << 20)),
    "memory": ("memory_bytes", lambda v, f: parse_size(v, f, least=MIB, most=MOST_BYTES)),
    "cpus": ("cpus", lambda v, f: parse_cpus(v, f, least=0.01, most=8192)),
    "processes": ("processes", lambda v, f: parse_count(v, f, least=1, most=1 << 22)),
    "disk": ("disk_bytes", lambda v, f: parse_size(v, f, least=64 * KIB, most=MOST_BYTES)),
}
# key -> field of TenantConfig and its reader.
_OWN: Mapping[str, tuple[str, Reader]] = {
    "weight": ("weight", _weight),
    "most_priority": ("most_priority", _priority),
    "most_queued": ("most_queued", _queued),
    "blob_bytes": ("blob_bytes", _size),
    "tokens": ("token_hashes", _hashes),
    "certificates": ("fingerprints", _hashes),
    "users": ("uids", _users),
}
