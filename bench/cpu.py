"""CPU time that the whole machine uses: a job's own, and all that is done for it elsewhere."""

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from bench.rounds import Measure

__all__ = ["busy_seconds", "cpu_of"]

_TICKS = os.sysconf("SC_CLK_TCK")
_CPUACCT = Path("/sys/fs/cgroup/cpuacct/cpuacct.usage")
# Network namespaces are taken down by a kernel worker, after a grace period.
_SETTLE_SECONDS = 0.1


def busy_seconds() -> float:
    """CPU time since boot of all that runs here, kernel workers too."""
    try:
        return int(_CPUACCT.read_text()) / 1e9  # v1: the root's counts every task, to the ns
    except OSError:
        # proc_stat(5): user, nice, system, -, -, irq, softirq; in ticks, and the same on v2.
        fields = Path("/proc/stat").read_text().split(maxsplit=8)[1:8]
        return sum(map(int, (*fields[:3], *fields[5:]))) / _TICKS


def cpu_of(work: Callable[[], Awaitable[object]], jobs: int) -> Measure:
    """CPU seconds a job of `work`, which runs so many. Whatever else runs is counted as well."""

    async def measure() -> Sequence[float]:
        await trio.sleep(_SETTLE_SECONDS)  # what came before
        before = busy_seconds()
        await work()
        await trio.sleep(_SETTLE_SECONDS)
        return [(busy_seconds() - before) / jobs]

    return measure
