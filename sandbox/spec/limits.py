"""Limits: the bounds on one job, in plain units. A field that is None has no bound."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.spec.fields import read_table
from sandbox.spec.quantities import (
    KIB,
    MIB,
    TIB,
    parse_count,
    parse_cpus,
    parse_seconds,
    parse_size,
)

__all__ = ["GRADES", "LIMIT_NAMES", "Limits", "limits_from_mapping"]

# From strongest to weakest: who enforces a limit.
GRADES = ("kernel", "rlimit", "polled", "none")


class Limits(NamedTuple):
    """One value for each bound on a job. Sizes in bytes, times in seconds, the rest are counts."""

    memory_bytes: int
    processes: int
    cpus: float
    cpu_seconds: float | None
    wall_seconds: float
    idle_seconds: float | None
    extra_seconds: float  # grace between a time limit and the kill
    disk_bytes: int
    disk_inodes: int
    output_bytes: int  # stdout and stderr together
    fds: int
    stack_bytes: int | None
    core: int | None  # pin the job to this CPU


# The names that grades, evidence and --require-grade use, one for each thing somebody enforces.
LIMIT_NAMES = (
    "memory", "processes", "cpus", "cpu_time", "wall", "idle",
    "disk", "output", "fds", "stack", "core",
)  # fmt: skip

_MOST_BYTES = 1024 * TIB
_MOST_SECONDS = 30 * 86400.0
_MOST_INODES = 1 << 32
_PAGE_BYTES = 4096
# Word for "no bound", where that is allowed: it takes back what the policy says.
_UNBOUNDED = "none"


def limits_from_mapping(mapping: Any, field: str = "limits") -> dict[str, Any]:
    """What a `[limits]` table sets, as field of Limits -> value.

    Keys: memory, processes, cpus, cpu_time, wall, idle, extra_time, disk, output, fds, stack,
    core. `disk` is SIZE[:INODES]; a size alone brings one inode for each page of it. cpu_time,
    idle, stack and core may be "none". Raises SpecError that names `field`.key.
    """
    table = read_table(mapping, field, _READERS)
    limits: dict[str, Any] = {}
    for key, value in table.items():
        limits.update(_READERS[key](value, f"{field}.{key}"))
    return limits


def _memory(value: Any, field: str) -> Mapping[str, Any]:
    # Below about a megabyte not even the kernel's own share of an execve fits.
    return {"memory_bytes": parse_size(value, field, least=MIB, most=_MOST_BYTES)}


def _processes(value: Any, field: str) -> Mapping[str, Any]:
    # PID_MAX_LIMIT of 64-bit kernels, proc_sys_kernel(5).
    return {"processes": parse_count(value, field, least=1, most=1 << 22)}


def _cpus(value: Any, field: str) -> Mapping[str, Any]:
    # The kernel takes no quota under 1 ms of a 100 ms period (sched-bwc.rst).
    return {"cpus": parse_cpus(value, field, least=0.01, most=8192)}


def _cpu_time(value: Any, field: str) -> Mapping[str, Any]:
    return {"cpu_seconds": _optional_seconds(value, field)}


def _wall(value: Any, field: str) -> Mapping[str, Any]:
    return {"wall_seconds": parse_seconds(value, field, least=0.001, most=_MOST_SECONDS)}


def _idle(value: Any, field: str) -> Mapping[str, Any]:
    return {"idle_seconds": _optional_seconds(value, field)}


def _extra_time(value: Any, field: str) -> Mapping[str, Any]:
    return {"extra_seconds": parse_seconds(value, field, least=0, most=_MOST_SECONDS)}


def _disk(value: Any, field: str) -> Mapping[str, Any]:
    inodes: Any = None
    if isinstance(value, str) and ":" in value:
        value, _, inodes = value.partition(":")
    # tmpfs reads size=0 and nr_inodes=0 as "no limit" (tmpfs(5)): zero must never get there.
    disk_bytes = parse_size(value, field, least=64 * KIB, most=_MOST_BYTES)
    if inodes is None:
        inodes = disk_bytes // _PAGE_BYTES
    disk_inodes = parse_count(inodes, f"{field}.inodes", least=16, most=_MOST_INODES)
    return {"disk_bytes": disk_bytes, "disk_inodes": disk_inodes}


def _output(value: Any, field: str) -> Mapping[str, Any]:
    return {"output_bytes": parse_size(value, field, least=1, most=_MOST_BYTES)}


def _fds(value: Any, field: str) -> Mapping[str, Any]:
    # Three streams and one for the dynamic linker; the top is the kernel's default nr_open.
    return {"fds": parse_count(value, field, least=4, most=1 << 20)}


def _stack(value: Any, field: str) -> Mapping[str, Any]:
    if value == _UNBOUNDED:
        return {"stack_bytes": None}
    # execve(2) fails where argv does not fit in a quarter of the stack.
    return {"stack_bytes": parse_size(value, field, least=128 * KIB, most=_MOST_BYTES)}


def _core(value: Any, field: str) -> Mapping[str, Any]:
    if value == _UNBOUNDED:
        return {"core": None}
    return {"core": parse_count(value, field, least=0, most=8191)}


def _optional_seconds(value: Any, field: str) -> float | None:
    if value == _UNBOUNDED:
        return None
    return parse_seconds(value, field, least=0.001, most=_MOST_SECONDS)


_READERS = {
    "memory": _memory,
    "processes": _processes,
    "cpus": _cpus,
    "cpu_time": _cpu_time,
    "wall": _wall,
    "idle": _idle,
    "extra_time": _extra_time,
    "disk": _disk,
    "output": _output,
    "fds": _fds,
    "stack": _stack,
    "core": _core,
}
