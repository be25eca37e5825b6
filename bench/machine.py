"""What machine this is, and what else ran on it: facts that let a noisy run be told."""

import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

from bench.cpu import busy_seconds
from sandbox.supervisor.host import facts

__all__ = ["Machine", "Watch"]

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 1.0


class Machine(NamedTuple):
    """Shares are of all cores together."""

    kernel: str
    cores: int
    cpu: str
    governor: str | None
    cgroups: str
    landlock_abi: int
    python: str
    busy_before: float  # share in use for a second before the first round, when we do nothing
    load_before: float
    load_after: float  # of the last minute, most of it our own
    steal: float  # share taken by the hypervisor meanwhile

    def text(self) -> str:
        """Two lines for people."""
        return (
            f"{self.cpu}, {self.cores} cores; Linux {self.kernel}, cgroup {self.cgroups}, "
            f"Landlock {self.landlock_abi}, Python {self.python}\n"
            f"before: {self.busy_before:.0%} busy, load {self.load_before:.2f}; "
            f"after: load {self.load_after:.2f}, steal {self.steal:.1%}"
        )


class Watch:
    """Looks at the machine from its making on, which takes a second of doing nothing."""

    def __init__(self) -> None:
        self._load_before = os.getloadavg()[0]
        before = busy_seconds()
        time.sleep(_LOOK_SECONDS)
        self._busy_before = (busy_seconds() - before) / _LOOK_SECONDS / _cores()
        self._started_at, self._steal_before = time.monotonic(), _steal_seconds()

    def machine(self) -> Machine:
        """What was seen until now."""
        host = facts()
        passed = time.monotonic() - self._started_at
        return Machine(
            kernel=host.kernel,
            cores=_cores(),
            cpu=_cpu_model() or host.machine,
            governor=host.governor,
            cgroups=host.cgroups,
            landlock_abi=host.landlock_abi,
            python=platform.python_version(),
            busy_before=self._busy_before,
            load_before=self._load_before,
            load_after=os.getloadavg()[0],
            steal=(_steal_seconds() - self._steal_before) / passed / _cores(),
        )


def _cores() -> int:
    return os.cpu_count() or 1


def _steal_seconds() -> float:
    fields = Path("/proc/stat").read_text().split(maxsplit=9)  # proc_stat(5)
    return int(fields[8]) / _TICKS


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
