"""Policy: what a job may do; the validated form of a file in policies/."""

import errno
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sandbox.spec.constants import ARGUMENTS, CONSTANTS
from sandbox.spec.errors import SpecError
from sandbox.spec.fields import (
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

__all__ = [
    "ArgumentCheck",
    "Policy",
    "SyscallRule",
    "limits_for",
    "load_policy",
    "policy_from_mapping",
    "policy_names",
]


@dataclass(frozen=True, slots=True)
class ArgumentCheck:
    """A condition on one syscall argument: (argument & mask) == value, both 64 bits."""

    index: int
    mask: int
    value: int
    negated: bool = False  # True: != instead of ==


@dataclass(frozen=True, slots=True)
class SyscallRule:
    """What happens to some syscalls, where all of `where` holds for their arguments."""

    names: tuple[str, ...]
    action: str  # "allow", "kill", or an errno name such as "EPERM" or "ENOSYS"
    where: tuple[ArgumentCheck, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
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
_RULE_KEYS = ("allow", "kill", "errno", "names", "where", "why")
_ALL_BITS = (1 << 64) - 1
_OPTIONAL_WALLS = ("landlock", "time")
_ERRNO_NAMES = frozenset(name for name in vars(errno) if name.startswith("E"))
_BOUNDLESS: dict[str, Any] = {
    "cpu_seconds": None,
    "idle_seconds": None,
    "extra_seconds": 0.0,
    "stack_bytes": None,
    "core": None,
}


def policy_names() -> tuple[str, ...]:
    """The policies that come with the package."""
    return tuple(sorted(path.stem for path in _directory().glob("*.toml")))


def load_policy(name_or_path: str) -> Policy:
    """A policy by its name, or by the path of a file that ends in .toml.

    Raises SpecError naming the field, with the file's name before it.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
    elif name_or_path in policy_names():
        path = _directory() / f"{name_or_path}.toml"
    else:
        near = suggestion(name_or_path, policy_names())
        raise SpecError(
            "policy", f"{shown(name_or_path)} is neither a policy nor a .toml file{near}"
        )
    mapping = _read(path)
    parent_name = mapping.get("extends")
    parent = None
    if parent_name is not None:
        parent_path = _parent_path(path, read_text(parent_name, "extends"))
        parent_mapping = _read(parent_path)
        if "extends" in parent_mapping:
            raise SpecError(
                "extends", f"{shown(parent_name)} itself extends another: one level only"
            )
        parent = policy_from_mapping(parent_path.stem, parent_mapping, None)
    return policy_from_mapping(path.stem, mapping, parent)


def policy_from_mapping(name: str, mapping: Any, parent: Policy | None) -> Policy:
    """The policy of a parsed file. A rule for a syscall replaces all of the parent's for it.

    Raises SpecError naming the field.
    """
    table = read_table(mapping, "", _KEYS)
    if "why" not in table:
        raise SpecError("why", "is missing; say what the policy is for")
    why = read_text(table["why"], "why")
    rules = [
        rule
        for number, entry in enumerate(read_array(table.get("syscalls", []), "syscalls"))
        for rule in _rules(entry, f"syscalls[{number}]")
    ]
    own = {syscall for rule in rules for syscall in rule.names}
    for rule in parent.syscalls if parent else ():
        left = tuple(syscall for syscall in rule.names if syscall not in own)
        if left:
            rules.append(SyscallRule(left, rule.action, rule.where, rule.why))
    limits = {**_BOUNDLESS, **(parent.limits if parent else {})}
    limits |= limits_from_mapping(table.get("limits", {}))
    missing = [field.name for field in fields(Limits) if field.name not in limits]
    if missing:
        raise SpecError("limits", f"{', '.join(missing)} not set, here or in what it extends")
    environment = dict(parent.environment) if parent else {}
    for key, value in read_table(table.get("environment", {}), "environment").items():
        environment[read_bytes(key, "environment")] = read_bytes(value, f"environment.{key}")

    def choice(key: str, choices: tuple[str, ...], default: str) -> str:
        return read_choice(table[key], key, choices) if key in table else default

    return Policy(
        name=name,
        why=why,
        syscalls=tuple(rules),
        default_action=_default_action(table, parent),
        limits=limits,
        environment=environment,
        proc=choice("proc", ("pid", "masked"), parent.proc if parent else "pid"),
        cgroup_files=(
            read_flag(table["cgroup_files"], "cgroup_files")
            if "cgroup_files" in table
            else bool(parent and parent.cgroup_files)
        ),
        root=choice("root", ("read-only", "writable"), parent.root if parent else "read-only"),
        etc=_etc(table["etc"]) if "etc" in table else (parent.etc if parent else ()),
        optional_walls=_optional_walls(table, parent),
    )


def limits_for(job: Job, policy: Policy) -> Limits:
    """The limits of one job: the policy's, and over them what the job sets.

    Raises SpecError where two of them contradict each other.
    """
    limits = Limits(**{**policy.limits, **job.limits})
    if limits.extra_seconds and limits.cpu_seconds is None and "wall_seconds" not in job.limits:
        raise SpecError("limits.extra_time", "is a grace after a time limit; set cpu_time or wall")
    if limits.idle_seconds is not None and limits.idle_seconds > limits.wall_seconds:
        raise SpecError("limits.idle", "is longer than limits.wall, so it would never be met")
    return limits


def _directory() -> Path:
    # Beside the package in a checkout, inside it in an installation.
    package = Path(__file__).resolve().parents[1]
    inside = package / "policies"
    return inside if inside.is_dir() else package.parent / "policies"


def _parent_path(path: Path, parent: str) -> Path:
    beside = path.parent / f"{parent}.toml"
    if beside.is_file():
        return beside
    if parent in policy_names():
        return _directory() / f"{parent}.toml"
    raise SpecError("extends", f"no policy {shown(parent)}{suggestion(parent, policy_names())}")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SpecError("policy", f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError("policy", f"{path}: {error}") from error


def _default_action(table: Mapping[str, Any], parent: Policy | None) -> str:
    if "default_action" in table:
        return read_choice(table["default_action"], "default_action", ("ENOSYS", "EPERM"))
    if parent is None:
        raise SpecError("default_action", "is missing; ENOSYS or EPERM")
    return parent.default_action


def _etc(value: Any) -> tuple[bytes, ...]:
    names = tuple(read_bytes(name, f"etc[{i}]") for i, name in enumerate(read_array(value, "etc")))
    for number, name in enumerate(names):
        if name.startswith(b"/") or b".." in name.split(b"/") or not name:
            raise SpecError(f"etc[{number}]", f"{shown(name)} is no name below /etc")
    return names


def _optional_walls(table: Mapping[str, Any], parent: Policy | None) -> frozenset[str]:
    if "optional_walls" not in table:
        return parent.optional_walls if parent else frozenset(_OPTIONAL_WALLS)
    walls = read_array(table["optional_walls"], "optional_walls")
    return frozenset(
        read_choice(wall, f"optional_walls[{number}]", _OPTIONAL_WALLS)
        for number, wall in enumerate(walls)
    )


def _rules(entry: Any, field: str) -> Iterator[SyscallRule]:
    table = read_table(entry, field, _RULE_KEYS)
    if "why" not in table:
        raise SpecError(f"{field}.why", "is missing; each entry explains itself")
    why = read_text(table["why"], f"{field}.why")
    actions = [key for key in ("allow", "kill", "errno") if key in table]
    if len(actions) != 1:
        raise SpecError(field, "takes exactly one of allow, kill, errno (with names)")
    action = actions[0]
    if (action == "errno") != ("names" in table):
        raise SpecError(field, "errno takes names, allow and kill are lists of names themselves")
    key = "names" if action == "errno" else action
    names = tuple(
        read_text(name, f"{field}.{key}[{number}]")
        for number, name in enumerate(read_array(table[key], f"{field}.{key}"))
    )
    if not names:
        raise SpecError(f"{field}.{key}", "is empty")
    if action == "errno":
        action = read_text(table["errno"], f"{field}.errno")
        if action not in _ERRNO_NAMES:
            raise SpecError(
                f"{field}.errno", f"{shown(action)} is no errno{suggestion(action, _ERRNO_NAMES)}"
            )
    for where in _conditions(table.get("where", {}), names, f"{field}.where"):
        yield SyscallRule(names, action, where, why)


def _conditions(
    value: Any, names: tuple[str, ...], field: str
) -> Iterator[tuple[ArgumentCheck, ...]]:
    """Every way to satisfy `where`: `one_of` makes one rule for each of its values."""
    ways: list[tuple[ArgumentCheck, ...]] = [()]
    for argument, condition in read_table(value, field).items():
        index = _argument(argument, names, f"{field}.{argument}")
        checks = _checks(condition, index, f"{field}.{argument}")
        ways = [(*way, check) for way in ways for check in checks]
    yield from ways


def _argument(argument: str, names: tuple[str, ...], field: str) -> int:
    if argument in ("0", "1", "2", "3", "4", "5"):
        return int(argument)
    known = [ARGUMENTS.get(name, {}) for name in names]
    indices = {arguments[argument] for arguments in known if argument in arguments}
    if len(indices) != 1 or not all(argument in arguments for arguments in known):
        near = suggestion(argument, [a for arguments in known for a in arguments])
        raise SpecError(
            field, f"is no argument of {', '.join(names)}; write its index, 0 to 5{near}"
        )
    return indices.pop()


def _checks(value: Any, index: int, field: str) -> list[ArgumentCheck]:
    table = read_table(value, field, ("mask", "equals", "not_equals", "one_of"))
    mask = _number(table["mask"], f"{field}.mask") if "mask" in table else _ALL_BITS
    tests = [key for key in ("equals", "not_equals", "one_of") if key in table]
    if len(tests) != 1:
        raise SpecError(field, "takes exactly one of equals, not_equals, one_of")
    test = tests[0]
    values = read_array(table[test], f"{field}.{test}") if test == "one_of" else [table[test]]
    numbers = [_number(value, f"{field}.{test}") for value in values]
    if not numbers:
        raise SpecError(f"{field}.{test}", "is empty")
    for number in numbers:
        if number & ~mask:
            raise SpecError(f"{field}.{test}", f"{number:#x} has bits outside the mask {mask:#x}")
    return [ArgumentCheck(index, mask, number, test == "not_equals") for number in numbers]


def _number(value: Any, field: str) -> int:
    if isinstance(value, str):
        if value not in CONSTANTS:
            raise SpecError(field, f"{shown(value)} is no constant{suggestion(value, CONSTANTS)}")
        return CONSTANTS[value]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _ALL_BITS:
        raise SpecError(field, f"{shown(value)} is neither a constant nor a number of 64 bits")
    return value
