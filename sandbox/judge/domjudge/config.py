"""The worker's configuration file: which server, under which name, where it keeps what it needs."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.judge.domjudge.credentials import Endpoint, read_credentials
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import dotted, read_table, read_text, shown
from sandbox.spec.quantities import GIB, MIB, TIB, parse_count, parse_seconds, parse_size
from sandbox.spec.toml_file import read_toml

__all__ = ["Backoff", "Config", "load_config"]

_HOSTNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Backoff(NamedTuple):
    """How often a request is tried, and how long between: doubled each time, up to the most."""

    attempts: int = 5
    first_seconds: float = 0.5
    most_seconds: float = 30.0


class Config(NamedTuple):
    """The whole file."""

    endpoint: Endpoint
    hostname: str  # under which the server knows us
    directory: Path  # ours alone: test data, sources, outputs
    ca_file: Path | None = None  # None: whom the system believes
    languages: Mapping[str, str] = {}  # an extension as DOMjudge has it -> our name
    request_seconds: float = 60.0  # for one request, its answer included
    idle_seconds: float = 5.0  # the most between two questions for work
    answer_bytes: int = 512 * MIB  # of one answer: test data comes whole, in base64
    cache_bytes: int = 8 * GIB  # of test data and executables
    kept_bytes: int = 2 * GIB  # of sources and outputs of past judgings, for debug packages
    batch: int | None = None  # tests at once; None: as the server finds best
    backoff: Backoff = Backoff()


def load_config(path: Path) -> Config:
    """The configuration in `path`; paths in it are relative to it. Raises SpecError."""
    table = read_table(
        read_toml(path, "config"), "",
        ("credentials", "endpoint", "hostname", "directory", "ca_file", "languages", "batch",
         "request_seconds", "idle_seconds", "answer_bytes", "cache_bytes", "kept_bytes"),
    )  # fmt: skip
    base = path.absolute().parent
    secret = _path(table, "credentials", base)
    directory = _path(table, "directory", base)
    for field, value in (("credentials", secret), ("directory", directory)):
        if value is None:
            raise SpecError(field, f"{path} does not say it")
    assert secret is not None and directory is not None
    name = read_text(table["endpoint"], "endpoint") if "endpoint" in table else None
    return Config(
        endpoint=read_credentials(secret, name, "credentials"),
        hostname=_hostname(table.get("hostname", socket.gethostname().split(".")[0])),
        directory=directory,
        ca_file=_path(table, "ca_file", base),
        languages=_languages(table.get("languages", {})),
        request_seconds=_seconds(table, "request_seconds", 600.0),
        idle_seconds=_seconds(table, "idle_seconds", 60.0),
        answer_bytes=_size(table, "answer_bytes", 16 * GIB),
        cache_bytes=_size(table, "cache_bytes", 16 * TIB),
        kept_bytes=_size(table, "kept_bytes", 16 * TIB),
        batch=parse_count(table["batch"], "batch", least=1, most=1000)
        if "batch" in table
        else None,
    )


def _hostname(value: Any) -> str:
    # It becomes part of URLs and of what the jury reads.
    if not isinstance(value, str) or not _HOSTNAME.fullmatch(value):
        raise SpecError("hostname", f"{shown(value)} is no name: letters, digits, dot, _ and -")
    return value


def _path(table: Mapping[str, Any], key: str, base: Path) -> Path | None:
    return base / read_text(table[key], key) if key in table else None


def _languages(value: Any) -> dict[str, str]:
    table = read_table(value, "languages")
    return {key: read_text(name, dotted("languages", key)) for key, name in table.items()}


def _seconds(table: Mapping[str, Any], key: str, most: float) -> float:
    default = Config._field_defaults[key]
    return parse_seconds(table.get(key, default), key, least=0.01, most=most)


def _size(table: Mapping[str, Any], key: str, most: int) -> int:
    return parse_size(table.get(key, Config._field_defaults[key]), key, least=MIB, most=most)
