"""Job: what a caller asks for, validated. Host paths are Path, a job's own paths are bytes."""

import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import (
    read_array,
    read_bytes,
    read_choice,
    read_flag,
    read_table,
    read_text,
    shown,
)
from sandbox.spec.limits import GRADES, LIMIT_NAMES, limits_from_mapping

__all__ = ["Artifact", "Input", "Job", "job_from_mapping"]


@dataclass(frozen=True, slots=True)
class Input:
    """One host file or directory that the job may see."""

    source: Path  # absolute
    destination: bytes  # absolute, inside the sandbox
    copied: bool  # True: --copy, the job owns its copy; False: --ro, a read-only bind


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file that the job leaves and the caller wants."""

    path: bytes  # absolute, inside the sandbox
    destination: Path  # on the host


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `limits` holds only what the caller set: the policy fills in the rest."""

    command: tuple[bytes, ...]
    policy: str = "default"  # a name in policies/, or a path that ends in .toml
    limits: Mapping[str, Any] = field(default_factory=dict)  # field of Limits -> value
    root: Path | None = None  # None: the host's own /usr
    cwd: bytes = b"/work"
    environment: Mapping[bytes, bytes] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    stdin: Path | None = None  # None: nothing, or what the caller streams
    tty: bool = False
    required_grades: Mapping[str, str] = field(default_factory=dict)  # limit name -> weakest grade
    allow_degraded: bool = False  # memory and processes may be less than kernel-enforced
    disk_counts: str = "memory"  # or "apart": files do not count into the memory limit
    isolation: str = "container"


_KEYS = (
    "command", "policy", "root", "cwd", "stdin", "tty", "ro", "copy", "collect", "env",
    "require_grade", "allow_degraded", "disk_counts", "isolation", "limits",
)  # fmt: skip
# Where the sandbox has mounts of its own; nothing of a job's may cover them.
_RESERVED = (b"/dev", b"/proc", b"/sys")


def job_from_mapping(mapping: Any, base: Path) -> Job:
    """The job that a TOML document, or the options of `sandbox run`, describe.

    `ro` and `copy` are arrays of "SOURCE[:DESTINATION]" or of tables {source, destination};
    `collect` of "PATH=FILE". A text is split at its last ":" (first "=" for `collect`), so a name
    that holds one takes the table. Paths inside are relative to `cwd`, those on the host to `base`.
    Raises SpecError naming the field.
    """
    table = read_table(mapping, "", _KEYS)
    command = tuple(
        read_bytes(word, f"command[{number}]")
        for number, word in enumerate(read_array(table.get("command", []), "command"))
    )
    if not command or not command[0]:
        raise SpecError("command", "is empty; name the program to run")
    cwd = _inside(read_bytes(table.get("cwd", "/work"), "cwd"), b"/", "cwd")
    inputs = (*_inputs(table, "ro", base, cwd), *_inputs(table, "copy", base, cwd))
    _refuse_twins([item.destination for item in inputs], "ro and copy")
    artifacts = tuple(_artifacts(table, base, cwd))
    _refuse_twins([os.fsencode(item.destination) for item in artifacts], "collect")
    stdin = table.get("stdin", "-")
    return Job(
        command=command,
        policy=read_text(table.get("policy", "default"), "policy"),
        limits=limits_from_mapping(table.get("limits", {})),
        root=_root(table, base),
        cwd=cwd,
        environment=dict(_environment(table)),
        inputs=inputs,
        artifacts=artifacts,
        stdin=None if stdin == "-" else _host_path(stdin, base, "stdin"),
        tty=read_flag(table.get("tty", False), "tty"),
        required_grades={
            read_choice(limit, "require_grade", LIMIT_NAMES): read_choice(
                grade, f"require_grade.{limit}", GRADES
            )
            for limit, grade in read_table(table.get("require_grade", {}), "require_grade").items()
        },
        allow_degraded=read_flag(table.get("allow_degraded", False), "allow_degraded"),
        disk_counts=read_choice(
            table.get("disk_counts", "memory"), "disk_counts", ("memory", "apart")
        ),
        isolation=read_choice(table.get("isolation", "container"), "isolation", ("container",)),
    )


def _inputs(table: Mapping[str, Any], key: str, base: Path, cwd: bytes) -> Iterator[Input]:
    for number, entry in enumerate(read_array(table.get(key, []), key)):
        field = f"{key}[{number}]"
        if isinstance(entry, Mapping):
            pair = read_table(entry, field, ("source", "destination"))
            source, destination = pair.get("source"), pair.get("destination")
        else:
            source, colon, destination = read_text(entry, field).rpartition(":")
            if not colon:
                source, destination = destination, None
        path = _host_path(source, base, field)
        if destination is None:
            destination = path.name
        inside = _inside(read_bytes(destination, f"{field}.destination"), cwd, field)
        yield Input(path, inside, copied=key == "copy")


def _artifacts(table: Mapping[str, Any], base: Path, cwd: bytes) -> Iterator[Artifact]:
    for number, entry in enumerate(read_array(table.get("collect", []), "collect")):
        field = f"collect[{number}]"
        if isinstance(entry, Mapping):
            pair = read_table(entry, field, ("path", "destination"))
            path, destination = pair.get("path"), pair.get("destination")
        else:
            path, equals, destination = read_text(entry, field).partition("=")
            if not equals:
                raise SpecError(field, f"{shown(entry)} has no =; write PATH=FILE")
        inside = _inside(read_bytes(path, f"{field}.path"), cwd, field)
        host = base / read_text(destination, f"{field}.destination")
        if host.is_dir():
            raise SpecError(field, f"{host} is a directory; name the file to write")
        yield Artifact(inside, host)


def _inside(path: bytes, cwd: bytes, field: str) -> bytes:
    """An absolute path of the sandbox, without "." and ".."."""
    if not path:
        raise SpecError(field, "is empty")
    if b".." in path.split(b"/"):
        raise SpecError(field, f"{shown(path)} holds ..; name the place itself")
    whole = posixpath.normpath(b"/" + posixpath.join(cwd, path).lstrip(b"/"))
    shm = whole == b"/dev/shm" or whole.startswith(b"/dev/shm/")
    if whole == b"/" or (whole.startswith(tuple(r + b"/" for r in _RESERVED)) and not shm):
        raise SpecError(field, f"{shown(whole)} is the sandbox's own")
    if whole in _RESERVED:
        raise SpecError(field, f"{shown(whole)} is the sandbox's own")
    return whole


def _host_path(value: Any, base: Path, field: str) -> Path:
    path = base / os.fsdecode(read_bytes(value, field) or b".")
    if not path.exists():
        raise SpecError(field, f"{path} does not exist, or cannot be reached")
    return path.absolute()


def _root(table: Mapping[str, Any], base: Path) -> Path | None:
    root = read_text(table.get("root", "host"), "root")
    if root == "host":
        return None
    path = _host_path(root, base, "root")
    if not path.is_dir():
        raise SpecError("root", f"{path} is no directory; write host, or an unpacked root")
    return path.resolve()


def _environment(table: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in read_table(table.get("env", {}), "env").items():
        name = read_bytes(key, "env")
        if not name or b"=" in name:
            raise SpecError("env", f"{shown(key)} is no name of a variable")
        yield name, read_bytes(value, f"env.{key}")


def _refuse_twins(places: list[bytes], field: str) -> None:
    twins = {place for place in places if places.count(place) > 1}
    if twins:
        raise SpecError(field, f"{shown(min(twins))} is named twice")
