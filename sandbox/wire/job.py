"""A Job as a map, and back: the document of job_from_mapping, its host paths absolute."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import read_bytes, read_table, shown
from sandbox.spec.job import Input, Job, job_from_mapping
from sandbox.wire.messages import text_for_wire, text_from_wire
from sandbox.wire.values import read_data, read_items

__all__ = ["job_from_map", "job_to_map"]

_ROOT = Path("/")
_MOST_PATH_BYTES = 4095  # PATH_MAX without its NUL
_MOST_TEXT_BYTES = 4 << 10
_MOST_ENTRIES = 256  # of ro, copy and collect each: every one is compared with every other
_TEXTS = ("policy", "root", "stdin", "disk_counts", "isolation")
# key -> what its entries have, the host's side first
_SIDES = {
    "ro": ("source", "destination"),
    "copy": ("source", "destination"),
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


def job_from_map(value: Any) -> Job:
    """The job that a map describes, its keys those of job_from_mapping.

    Texts are str, bytes where they are no UTF-8; `command`, `env` and paths either. `ro`, `copy`
    and `collect` are arrays of tables. Host paths are absolute, and nobody looks at them: whether
    this caller may name any, and what is there, is the server's to ask. Raises SpecError naming
    the field.
    """
    table = dict(read_table(value, ""))
    for key in filter(table.__contains__, _TEXTS):
        read_data(table[key], key, 1, _MOST_TEXT_BYTES)
        table[key] = text_from_wire(table[key])
    if isinstance(table.get("env"), Mapping):
        table["env"] = {text_from_wire(name): item for name, item in table["env"].items()}
    root = _host_path(table.pop("root"), "root") if table.get("root", "host") != "host" else None
    stdin = _host_path(table.pop("stdin"), "stdin") if table.get("stdin", "-") != "-" else None
    hosts = {key: _take_host_paths(table, key) for key in _SIDES if key in table}
    sources = [*hosts.get("ro", ()), *hosts.get("copy", ())]  # the order in which they are read
    destinations = hosts.get("collect", [])
    if len(set(destinations)) < len(destinations):
        raise SpecError("collect", "a file of the host is written twice")
    job = job_from_mapping(table, _ROOT)
    if job.policy.endswith(".toml"):
        _host_path(table["policy"], "policy")
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


def _take_host_paths(table: dict[str, Any], key: str) -> list[Path]:
    """The host's side of each entry; in `table` it becomes one that every host has.

    So job_from_mapping holds the entries to all its rules, and sees nothing of this host.
    """
    paths: list[Path] = []
    entries: list[dict[str, Any]] = []
    host_side, other_side = _SIDES[key]
    for number, entry in enumerate(read_items(table[key], key, 0, _MOST_ENTRIES)):
        pair = dict(read_table(entry, f"{key}[{number}]", _SIDES[key]))
        path = _host_path(pair.get(host_side), f"{key}[{number}]")
        pair[host_side] = "/" if host_side == "source" else f"/{number}"
        if pair.get(other_side) is None and host_side == "source":
            pair[other_side] = os.fsencode(path.name)
        paths.append(path)
        entries.append(pair)
    table[key] = entries
    return paths


def _host_path(value: Any, field: str) -> Path:
    name = read_bytes(read_data(value, field, 1, _MOST_PATH_BYTES), field)
    if not name.startswith(b"/"):
        raise SpecError(field, f"{shown(name)} is not absolute; over the wire there is no base")
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
