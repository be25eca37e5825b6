"""Job: what a caller asks for, validated. Host paths are Path, a job's own paths are bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Artifact", "Input", "Job"]


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
