"""Files of a job's cgroup that not every kernel has, and what stands in for each."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sandbox.spec.errors import HostError

__all__ = ["FEATURES", "Feature", "check_required", "stand_ins"]


class Feature(NamedTuple):
    """One file, of one version of cgroups."""

    version: int
    file: str
    since: str  # of Linux; v2: admin-guide/cgroup-v2, and the commits that brought them
    gives: str  # what it is for: a measurement, or in words
    instead: str | None  # None: nothing can, and the host is refused


# Whole controllers are not here: without one its limit has no grade (`Backend.gaps` tells the fix),
# or, for memory and pids, there is no backend.
FEATURES = (
    Feature(2, "memory.oom.group", "4.19", "the OOM killer ends the whole job", None),
    Feature(2, "cgroup.kill", "5.14", "the kill at once", "init kills all of its pid namespace"),
    Feature(2, "memory.peak", "5.19", "memory_peak_bytes", "sampled from memory.current"),
    Feature(2, "pids.peak", "6.1", "processes_peak", "sampled from pids.current"),
    Feature(2, "memory.swap.max", "4.5", "no swap for jobs", "the host has none, or is refused"),
    Feature(1, "pids.peak", "6.1", "processes_peak", "sampled from pids.current"),
    Feature(1, "memory.memsw.limit_in_bytes", "2.6.34", "no swap for jobs", "memory.swappiness"),
)


def stand_ins(version: int, has: Callable[[str], bool]) -> Mapping[str, str]:
    """What stands in for what this kernel lacks: by measurement or purpose, what and for which."""
    return {
        feature.gives: f"{feature.instead} (no {feature.file}, Linux {feature.since})"
        for feature in FEATURES
        if feature.version == version and feature.instead and not has(feature.file)
    }


def check_required(version: int, has: Callable[[str], bool]) -> None:
    """Raises HostError: this kernel lacks what nothing stands in for."""
    for feature in FEATURES:
        if feature.version == version and feature.instead is None and not has(feature.file):
            raise HostError(
                f"this kernel has no cgroup v{version} {feature.file} ({feature.gives}); fix: a "
                f"kernel from Linux {feature.since} on"
            )
