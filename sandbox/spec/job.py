"""Job: what a caller asks for, validated. Host paths are Path, a job's own paths are bytes."""

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import (
    dotted,
    read_array,
    read_bytes,
    read_choice,
    read_flag,
    read_table,
    read_text,
    shown,
)
from sandbox.spec.limits import GRADES, LIMIT_NAMES, limits_from_mapping
from sandbox.spec.paths import host_path, inside_path, places_above

__all__ = ["Artifact", "Input", "Job", "job_from_mapping"]


class Input(NamedTuple):
    """One host file or directory that the job may see."""

    source: Path  # absolute
    destination: bytes  # absolute, inside the sandbox
    copied: bool  # True: --copy, the job owns its copy; False: --ro, a read-only bind


class Artifact(NamedTuple):
    """One file that the job leaves and the caller wants."""

    path: bytes  # absolute, inside the sandbox
    destination: Path  # on the host


class Job(NamedTuple):
    """One job. `limits` holds only what the caller set: the policy fills in the rest."""

    command: tuple[bytes, ...]
    policy: str = "default"  # a name in policies/, or a path that ends in .toml
    limits: Mapping[str, Any] = MappingProxyType({})  # field of Limits -> value
    root: Path | None = None  # None: the host's own /usr
    cwd: bytes = b"/work"
    environment: Mapping[bytes, bytes] = MappingProxyType({})
    inputs: tuple[Input, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    stdin: Path | None = None  # None: nothing, or what the caller streams
    tty: bool = False
    required_grades: Mapping[str, str] = MappingProxyType({})  # limit name -> weakest grade
    allow_degraded: bool = False  # memory and processes may be less than kernel-enforced
    disk_counts: str = "memory"  # or "apart": files do not count into the memory limit
    isolation: str = "container"


_KEYS = (
    "command", "policy", "root", "cwd", "stdin", "tty", "ro", "copy", "collect", "env",
    "require_grade", "allow_degraded", "disk_counts", "isolation", "limits",
)  # fmt: skip


def job_from_mapping(mapping: Any, base: Path) -> Job:
    """The job that a TOML document, or the options of `sandbox run`, describe.

    `ro` and `copy` are arrays of "SOURCE[:DESTINATION]" or of tables {source, destination};
    without a destination it is the source's name. `collect` has "PATH=FILE" or {path, destination}.
    A text is split at its last ":" (`collect`: at its first "="), so a source with a colon needs
    its destination, and a destination with one needs the table. `env` and `require_grade` are
    tables. Paths inside are relative to `cwd`, and `cwd` to /work; those on the host to `base`.

    Raises SpecError naming the field. What a source is may change afterwards: whoever opens it
    looks again.
    """
    table = read_table(mapping, "", _KEYS)
    command = tuple(
        read_bytes(word, f"command[{number}]")
        for number, word in enumerate(read_array(table.get("command", []), "command"))
    )
    if not command or not command[0]:
        raise SpecError("command", "is empty; name the program to run")
    cwd = inside_path(table.get("cwd", "/work"), "cwd", b"/work")
    return Job(
        command=command,
        policy=_policy(table, base),
        limits=limits_from_mapping(table.get("limits", {})),
        root=_root(table, base),
        cwd=cwd,
        environment=dict(_environment(table)),
        inputs=_inputs(table, base, cwd),
        artifacts=_artifacts(table, base, cwd),
        stdin=_stdin(table, base),
        tty=read_flag(table.get("tty", False), "tty"),
        required_grades=dict(_required_grades(table)),
        allow_degraded=read_flag(table.get("allow_degraded", False), "allow_degraded"),
        disk_counts=read_choice(
            table.get("disk_counts", "memory"), "disk_counts", ("memory", "apart")
        ),
        isolation=_isolation(table),
    )


def _policy(table: Mapping[str, Any], base: Path) -> str:
    name = read_text(table.get("policy", "default"), "policy")
    return str(base / name) if name.endswith(".toml") else name


def _root(table: Mapping[str, Any], base: Path) -> Path | None:
    root = read_text(table.get("root", "host"), "root")
    if root == "host":
        return None
    path, mode = host_path(root, "root", base)
    if not stat.S_ISDIR(mode):
        raise SpecError("root", f"{path} is no directory; write host, or an unpacked root")
    return path.resolve()


def _stdin(table: Mapping[str, Any], base: Path) -> Path | None:
    if table.get("stdin", "-") == "-":
        return None
    path, mode = host_path(table["stdin"], "stdin", base)
    if stat.S_ISDIR(mode):
        raise SpecError("stdin", f"{path} is a directory")
    return path


def _isolation(table: Mapping[str, Any]) -> str:
    isolation = table.get("isolation", "container")
    if isolation == "vm":
        raise SpecError("isolation", "there is no vm tier yet; only container")
    return read_choice(isolation, "isolation", ("container",))


def _environment(table: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for key, value in read_table(table.get("env", {}), "env").items():
        name = read_bytes(key, dotted("env", key))
        if not name or b"=" in name:
            raise SpecError(dotted("env", key), "is no name of a variable")
        yield name, read_bytes(value, dotted("env", key))


def _required_grades(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    grades = read_table(table.get("require_grade", {}), "require_grade", LIMIT_NAMES)
    for limit, grade in grades.items():
        yield limit, read_choice(grade, dotted("require_grade", limit), GRADES)


def _inputs(table: Mapping[str, Any], base: Path, cwd: bytes) -> tuple[Input, ...]:
    inputs: dict[bytes, Input] = {}
    fields: dict[bytes, str] = {}
    for key in ("ro", "copy"):
        for number, entry in enumerate(read_array(table.get(key, []), key)):
            field = f"{key}[{number}]"
            source, destination = _source_and_destination(entry, field)
            path, mode = host_path(source, field, base)
            # Not sockets: one may be connected to through a read-only mount too.
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise SpecError(field, f"{path} is neither a file nor a directory")
            if destination is None:
                destination = path.resolve().name if path.name in ("", "..") else path.name
            place = inside_path(destination, field, cwd)
            if place in inputs:
                raise SpecError(field, f"{shown(place)} is also where {fields[place]} goes")
            inputs[place] = Input(path, place, copied=key == "copy")
            fields[place] = field
    for place, field in fields.items():
        for outer in places_above(place):
            if outer in inputs and not inputs[outer].copied:
                raise SpecError(
                    field, f"{shown(place)} lies below {shown(outer)}, which is read-only"
                )
    return tuple(inputs.values())


def _artifacts(table: Mapping[str, Any], base: Path, cwd: bytes) -> tuple[Artifact, ...]:
    artifacts: dict[Path, Artifact] = {}
    for number, entry in enumerate(read_array(table.get("collect", []), "collect")):
        field = f"collect[{number}]"
        path, destination = _path_and_destination(entry, field)
        host = base.absolute() / read_text(destination, field)
        _, mode = host_path(str(host.parent), field, base)
        if not stat.S_ISDIR(mode):
            raise SpecError(field, f"{host.parent} is no directory")
        if host in artifacts:
            raise SpecError(field, f"{host} is written twice")
        artifacts[host] = Artifact(inside_path(path, field, cwd), host)
    return tuple(artifacts.values())


def _source_and_destination(entry: Any, field: str) -> tuple[Any, Any]:
    if not isinstance(entry, str):
        pair = read_table(entry, field, ("source", "destination"))
        return pair.get("source"), pair.get("destination")
    source, colon, destination = read_text(entry, field).rpartition(":")
    if not colon:
        return entry, None
    if not source or not destination:
        raise SpecError(field, f"{shown(entry)} lacks a side of its colon; write SOURCE:PLACE")
    return source, destination


def _path_and_destination(entry: Any, field: str) -> tuple[Any, Any]:
    if not isinstance(entry, str):
        pair = read_table(entry, field, ("path", "destination"))
        return pair.get("path"), pair.get("destination")
    path, _, destination = read_text(entry, field).partition("=")
    if not path or not destination:
        raise SpecError(field, f"{shown(entry)} is no artifact; write PATH=FILE")
    return path, destination
