"""Policy: what a job may do; the validated form of a file in policies/."""

from collections.abc import Callable, Mapping
from pathlib import Path
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
    suggestion,
)
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits, limits_from_mapping
from sandbox.spec.rules import ArgumentCheck, SyscallRule, rules_from_entry
from sandbox.spec.toml_file import Parse, parse_toml, read_toml

__all__ = [
    "ArgumentCheck",
    "Policy",
    "SyscallRule",
    "limits_for",
    "load_policy",
    "policy_from_mapping",
    "policy_names",
]


class Policy(NamedTuple):
    """Syscalls, view, limits and environment. `limits` is complete: field of Limits -> value."""

    name: str
    why: str
    syscalls: tuple[SyscallRule, ...]
    default_action: str  # errno name for syscalls no rule names: "ENOSYS" or "EPERM"
    limits: Mapping[str, Any]
    environment: Mapping[bytes, bytes]
    proc: str = "pid"  # "pid": only processes (proc(5) subset=pid); "masked": all of it, masked
    cgroup_files: bool = False  # show the job its own cgroup, read-only, under /sys/fs/cgroup
    root: str = "read-only"  # or "writable": a per-job upper over the whole root
    etc: tuple[bytes, ...] = ()  # of the host's /etc: names that root "host" shows
    optional_walls: frozenset[str] = frozenset({"landlock", "time"})


_KEYS = (
    "extends", "why", "default_action", "syscalls", "limits", "environment", "proc",
    "cgroup_files", "root", "etc", "optional_walls",
)  # fmt: skip
# What no file needs to set.
_UNBOUNDED: dict[str, Any] = {
    "cpu_seconds": None,
    "idle_seconds": None,
    "extra_seconds": 0.0,
    "stack_bytes": None,
    "core": None,
}


def policy_names() -> tuple[str, ...]:
    """The policies that come with the package."""
    return tuple(sorted(path.stem for path in _directory().glob("*.toml")))


def load_policy(name_or_path: str, parse: Parse = parse_toml) -> Policy:
    """A policy by its name, or by the path of a file that ends in .toml.

    `extends` names a file beside it or a policy of the package, which may not extend another.
    `parse`: as `read_toml` has it.
    Raises SpecError: "policy" where there is no such policy or file, else the file and the field.
    """
    try:
        return _load(name_or_path, parse)
    except OSError as error:
        raise SpecError("policy", f"{error.filename}: {error.strerror}") from error


def policy_from_mapping(name: str, mapping: Any, parent: Policy | None) -> Policy:
    """The policy of a parsed file, over that of the file it extends.

    A rule for a syscall replaces all of the parent's for it; limits and variables replace the
    parent's of the same name; any other key replaces the parent's whole. Without a parent, the
    limits memory, processes, cpus, wall, disk, output and fds must be there.
    Raises SpecError naming the field.
    """
    table = read_table(mapping, "", _KEYS)
    if "extends" in table and parent is None:
        raise SpecError("extends", "is one level only: what is extended may not extend another")
    if "why" not in table:
        raise SpecError("why", "is missing; say what the policy is for")
    return Policy(
        name=name,
        why=read_text(table["why"], "why"),
        syscalls=_syscalls(table, parent),
        limits=_limits(table, parent),
        environment=_environment(table, parent),
        **_settings(table, parent),
    )


def limits_for(job: Job, policy: Policy) -> Limits:
    """The limits of one job: the policy's, and over them what the job sets.

    Raises SpecError where two that the job sets cannot both be meant.
    """
    limits = Limits(**{**policy.limits, **job.limits})
    if limits.core is not None and "cpus" not in job.limits:
        limits = limits._replace(cpus=min(limits.cpus, 1.0))
    if (job.limits.get("idle_seconds") or 0) > limits.wall_seconds:
        raise SpecError("limits.idle", "is longer than limits.wall, so it would never be met")
    if job.limits.get("core") is not None and job.limits.get("cpus", 1) > 1:
        raise SpecError("limits.cpus", "is over 1, and limits.core is one")
    return limits


def _load(name_or_path: str, parse: Parse) -> Policy:
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif name_or_path in policy_names():
        path = _directory() / f"{name_or_path}.toml"
    else:
        near = suggestion(name_or_path, policy_names()) or f"; there are {_all_names()}"
        raise SpecError(
            "policy", f"{shown(name_or_path)} is neither a policy nor a .toml file{near}"
        )
    mapping = read_toml(path, "policy", parse)
    try:
        parent = None
        if "extends" in mapping:
            parent = _load_parent(path, read_text(mapping["extends"], "extends"), parse)
        return policy_from_mapping(path.stem, mapping, parent)
    except SpecError as error:
        raise SpecError(f"{path}: {error.field}", error.problem) from error


def _directory() -> Path:
    # Inside the package in an installation, beside it in a checkout.
    package = Path(__file__).resolve().parents[1]
    inside = package / "policies"
    return inside if inside.is_dir() else package.parent / "policies"


def _all_names() -> str:
    return ", ".join(policy_names())


def _load_parent(path: Path, name: str, parse: Parse) -> Policy:
    beside = path.parent / f"{name}.toml"
    is_beside = _is_file(beside)
    if "/" in name or not (name in policy_names() or is_beside):
        raise SpecError("extends", f"{shown(name)} is no policy{suggestion(name, policy_names())}")
    if not is_beside:
        beside = _directory() / f"{name}.toml"
    return policy_from_mapping(name, read_toml(beside, "extends", parse), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for any, or a directory that is closed to us
        return False


def _syscalls(table: Mapping[str, Any], parent: Policy | None) -> tuple[SyscallRule, ...]:
    entries = read_array(table.get("syscalls", []), "syscalls")
    rules = [
        rule
        for number, entry in enumerate(entries)
        for rule in rules_from_entry(entry, f"syscalls[{number}]")
    ]
    own = {name for rule in rules for name in rule.names}
    for rule in parent.syscalls if parent else ():
        if left := tuple(name for name in rule.names if name not in own):
            rules.append(rule._replace(names=left))
    return tuple(rules)


def _limits(table: Mapping[str, Any], parent: Policy | None) -> dict[str, Any]:
    limits = dict(parent.limits if parent else _UNBOUNDED)
    limits |= limits_from_mapping(table.get("limits", {}))
    # Each field of Limits begins with the name of what sets it.
    missing = {name.split("_")[0] for name in Limits._fields if name not in limits}
    if missing:
        raise SpecError("limits", f"{', '.join(sorted(missing))} must be set")
    return limits


def _environment(table: Mapping[str, Any], parent: Policy | None) -> dict[bytes, bytes]:
    environment = dict(parent.environment) if parent else {}
    for key, value in read_table(table.get("environment", {}), "environment").items():
        field = dotted("environment", key)
        name = read_bytes(key, field)
        if not name or b"=" in name:
            raise SpecError(field, "is no name of a variable")
        environment[name] = read_bytes(value, field)
    return environment


def _settings(table: Mapping[str, Any], parent: Policy | None) -> dict[str, Any]:
    if parent is None and "default_action" not in table:
        raise SpecError("default_action", "is missing; write ENOSYS or EPERM")
    settings = {} if parent is None else {key: getattr(parent, key) for key in _SETTINGS}
    return settings | {
        key: read(table[key], key) for key, read in _SETTINGS.items() if key in table
    }


def _etc(value: Any, field: str) -> tuple[bytes, ...]:
    names = read_array(value, field)
    return tuple(_etc_name(name, f"{field}[{number}]") for number, name in enumerate(names))


def _etc_name(value: Any, field: str) -> bytes:
    name = read_bytes(value, field)
    # Normalised, so that no name leads out of /etc or means all of it.
    if any(part in (b"", b".", b"..") for part in name.split(b"/")):
        raise SpecError(field, f"{shown(name)} is no name below /etc")
    return name


def _optional_walls(value: Any, field: str) -> frozenset[str]:
    walls = read_array(value, field)
    return frozenset(
        read_choice(wall, f"{field}[{number}]", ("landlock", "time"))
        for number, wall in enumerate(walls)
    )


def _one_of(*choices: str) -> Callable[[Any, str], str]:
    return lambda value, field: read_choice(value, field, choices)


# Keys that a policy has whole or takes whole from what it extends.
_SETTINGS: dict[str, Callable[[Any, str], Any]] = {
    "default_action": _one_of("ENOSYS", "EPERM"),
    "proc": _one_of("pid", "masked"),
    "cgroup_files": read_flag,
    "root": _one_of("read-only", "writable"),
    "etc": _etc,
    "optional_walls": _optional_walls,
}
