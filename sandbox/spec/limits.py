"""Limits: the bounds on one job, in plain units. A field that is None has no bound."""

from dataclasses import dataclass

__all__ = ["GRADES", "LIMIT_NAMES", "Limits"]

# From strongest to weakest: who enforces a limit (DESIGN: grade).
GRADES = ("kernel", "rlimit", "polled", "none")


@dataclass(frozen=True, slots=True)
class Limits:
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
