"""A Job as a map, and back: the document of job_from_mapping, its host paths absolute."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import read_bytes, read_table, shown
from sandbox.spec.job import Input, Job, job_from_mapping
from sandbox.wire.messages import text_for_wire, text_from_wire
from sandbox.wire.values import read_data, read_items, read_utf8

__all__ = ["Places", "job_from_map", "job_to_map"]

_ROOT = Path("/")
_MOST_PATH_BYTES = 4095  # PATH_MAX without its NUL
_MOST_TEXT_BYTES = 4 << 10
_MOST_ENTRIES = 4096  # of ro, copy and collect each
_SHA256_LENGTH = 64
_TEXTS = ("policy", "root", "disk_counts", "isolation")
# key -> what its entries have: the host's side first, then the job's
_SIDES = {
    "ro": ("source", "destination", "blob"),
    "copy": ("source", "destination", "blob"),
    "collect": ("destination", "path"),
}
# field of Limits -> key in the document; disk has two fields
_LIMIT_KEYS = {
    "memory_bytes": "memory",
    "cpu_seconds": "cpu_time",
    "wall_seconds": "wall",
    "idle_seconds": "idle",
    "extra_seconds": "extra_time",
    "output_bytes": "output",
    "stack_bytes": "stack",
}
_DISK = ("disk_bytes", "disk_inodes")


def _no_blob(_sha256: str, field: str) -> Path:
    raise SpecError(field, "is a blob, and nobody holds blobs here")


def _not_kept(field: str) -> Path:
    raise SpecError(field, "is missing; say which file of the host it goes to")


class Places(NamedTuple):
    """Where on the host the files of a job are that came over the wire."""

    may_name_host: bool = True  # else a path of the host is refused
    blob: Callable[[str, str], Path] = _no_blob  # of a sha256, for a field; SpecError: not held
    kept: Callable[[str], Path] = _not_kept  # for a field of `collect` without a destination


_HERE = Places()


def job_to_map(job: Job) -> dict[str, Any]:
    """`job` as job_from_map reads it; a field that has its default is left out.

    Raises SpecError for what no document can say: disk_bytes without disk_inodes, or those alone.
    """
    document: dict[str, Any] = {"command": job.command}
    plain = {
        "policy": text_for_wire(job.policy),
        "cwd": job.cwd,
        "tty": job.tty,
        "allow_degraded": job.allow_degraded,
        "disk_counts": job.disk_counts,
        "isolation": job.isolation,
    }
    document |= {key: value for key, value in plain.items() if value != Job._field_defaults[key]}
    entries: dict[str, Any] = {
        "root": job.root and _path_for_wire(job.root),
        "stdin": job.stdin and _path_for_wire(job.stdin),
        "env": dict(job.environment),
        "require_grade": dict(job.required_grades),
        "limits": _limits(job.limits),
        "ro": [_input(item) for item in job.inputs if not item.copied],
        "copy": [_input(item) for item in job.inputs if item.copied],
        "collect": [
            {"path": item.path, "destination": _path_for_wire(item.destination)}
            for item in job.artifacts
        ],
    }
    return document | {key: value for key, value in entries.items() if value}


def job_from_map(value: Any, places: Places = _HERE) -> Job:
    """The job that a map describes, its keys those of job_from_mapping.

    Texts are str, bytes where they are no UTF-8; `command`, `env` and paths either. `ro`, `copy`
    and `collect` are arrays of tables. Host paths are absolute, and nobody looks at what is there.
    In place of one, an input or stdin may have {blob = SHA256}, and `collect` nothing: `places`
    says where those are. Raises SpecError naming the field.
    """
    table = dict(read_table(value, ""))
    stdin = _take_stdin(table, places)
    for key in filter(table.__contains__, _TEXTS):
        read_data(table[key], key, 1, _MOST_TEXT_BYTES)
        table[key] = text_from_wire(table[key])
    if isinstance(table.get("env"), Mapping):
        table["env"] = {text_from_wire(name): item for name, item in table["env"].items()}
    root = None
    if table.get("root", "host") != "host":
        root = _host_path(table.pop("root"), "root", places)
    hosts = {key: _take_host_paths(table, key, places) for key in _SIDES if key in table}
    sources = [*hosts.get("ro", ()), *hosts.get("copy", ())]  # the order in which they are read
    destinations = hosts.get("collect", [])
    if len(set(destinations)) < len(destinations):
        raise SpecError("collect", "a file of the host is written twice")
    job = job_from_mapping(table, _ROOT)
    if job.policy.endswith(".toml"):
        _host_path(table["policy"], "policy", places)
    return job._replace(
        root=root,
        stdin=stdin,
        inputs=tuple(
            item._replace(source=source) for item, source in zip(job.inputs, sources, strict=True)
        ),
        artifacts=tuple(
            item._replace(destination=destination)
            for item, destination in zip(job.artifacts, destinations, strict=True)
        ),
    )


def _take_stdin(table: dict[str, Any], places: Places) -> Path | None:
    value = table.pop("stdin", "-")
    if isinstance(value, Mapping):
        return _blob(read_table(value, "stdin", ("blob",)).get("blob"), "stdin.blob", places)
    return None if value in ("-", b"-") else _host_path(value, "stdin", places)


def _take_host_paths(table: dict[str, Any], key: str, places: Places) -> list[Path]:
    """The host's side of each entry; in `table` it becomes one that every host has.

    So job_from_mapping holds the entries to all its rules, and sees nothing of this host.
    """
    paths: list[Path] = []
    entries: list[dict[str, Any]] = []
    host_side, other_side = _SIDES[key][:2]
    for number, entry in enumerate(read_items(table[key], key, 0, _MOST_ENTRIES)):
        field = f"{key}[{number}]"
        pair = dict(read_table(entry, field, _SIDES[key]))
        if "blob" in pair:
            if "source" in pair or pair.get(other_side) is None:
                raise SpecError(field, "a blob needs its destination, and has no source")
            path = _blob(pair.pop("blob"), f"{field}.blob", places)
        elif key == "collect" and pair.get(host_side) is None:
            path = places.kept(field)
        else:
            path = _host_path(pair.get(host_side), field, places)
        pair[host_side] = "/" if host_side == "source" else f"/{number}"
        if pair.get(other_side) is None and host_side == "source":
            pair[other_side] = os.fsencode(path.name)
        paths.append(path)
        entries.append(pair)
    table[key] = entries
    return paths


def _blob(value: Any, field: str, places: Places) -> Path:
    sha256 = read_utf8(value, field, _SHA256_LENGTH, _SHA256_LENGTH)
    if not set(sha256) <= set("0123456789abcdef"):
        raise SpecError(field, f"{shown(sha256)} is no SHA-256; write 64 digits of 0-9 and a-f")
    return places.blob(sha256, field)


def _host_path(value: Any, field: str, places: Places) -> Path:
    name = read_bytes(read_data(value, field, 1, _MOST_PATH_BYTES), field)
    if not name.startswith(b"/"):
        raise SpecError(field, f"{shown(name)} is not absolute; over the wire there is no base")
    if not places.may_name_host:
        raise SpecError(
            field,
            f"{shown(name)} is a path of the host, which only its own user may name;"
            " upload a blob, or have the artifact kept",
        )
    return Path(os.fsdecode(name))


def _path_for_wire(path: Path) -> str | bytes:
    return text_for_wire(os.fsencode(path).decode("utf-8", "surrogateescape"))


def _input(item: Input) -> dict[str, Any]:
    return {"source": _path_for_wire(item.source), "destination": item.destination}


def _limits(limits: Mapping[str, Any]) -> dict[str, Any]:
    document = {
        _LIMIT_KEYS.get(name, name): "none" if value is None else value
        for name, value in limits.items()
        if name not in _DISK
    }
    disk = [limits[name] for name in _DISK if name in limits]
    if len(disk) == 1:
        raise SpecError("limits.disk", "needs both disk_bytes and disk_inodes")
    return document | ({"disk": "{}:{}".format(*disk)} if disk else {})
