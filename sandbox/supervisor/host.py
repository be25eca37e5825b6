"""Facts of this host that explain a job's times."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["TimeFacts", "time_facts"]

_TICKS = os.sysconf("SC_CLK_TCK")


class TimeFacts:
    """A moment on this host, to be compared with a later one."""

    def __init__(self) -> None:
        self._steal_seconds = _steal_seconds()

    def since(self) -> Mapping[str, Any]:
        """What may have disturbed a job since then. `steal_seconds`: taken by the hypervisor."""
        return {
            "kernel": os.uname().release,
            "machine": os.uname().machine,
            "cores": os.cpu_count(),
            "governor": _governor(),
            "load_1min": os.getloadavg()[0],
            "steal_seconds": round(_steal_seconds() - self._steal_seconds, 2),
        }


def time_facts() -> TimeFacts:
    """Look now. Some ten microseconds."""
    return TimeFacts()


def _steal_seconds() -> float:
    # proc_stat(5): the eighth number of the first line, over all cores.
    with Path("/proc/stat").open() as file:
        fields = file.readline().split()
    return int(fields[8]) / _TICKS if len(fields) > 8 else 0.0


def _governor() -> str | None:
    try:
        path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
        return path.read_text().strip()
    except OSError:
        return None
