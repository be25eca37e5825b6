"""How a number of CPUs becomes a quota for each period of the kernel's CPU bandwidth control."""

import os
from typing import NamedTuple

__all__ = ["CORES", "OUR_CORES", "Bandwidth", "bandwidth"]

_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1_000  # the kernel's own bound for quota and period; sched-bwc.rst
_LONGEST_PERIOD_US = 1_000_000

CORES = os.cpu_count() or 1  # of this host; asking takes longer than it should, for a job
# Those that we may use. The service leaves some of them later, to jobs that want one of their own.
OUR_CORES = frozenset(os.sched_getaffinity(0))


class Bandwidth(NamedTuple):
    """Microseconds of CPU time for each period of so many microseconds."""

    quota_us: int
    period_us: int


def bandwidth(cpus: float, core: int | None) -> Bandwidth | None:
    """The quota that grants `cpus`, or None where the job cannot use more than that anyway.

    None for a job on one core of its own, or with all CPUs of the host: a quota would bound
    nothing, and throttle now and then by the slices that other cores keep, which blurs times.
    """
    if cpus >= (1 if core is not None else CORES):
        return None
    period_us = _PERIOD_US
    if cpus * period_us < _LEAST_QUOTA_US:  # a smaller share needs a longer period
        period_us = _LONGEST_PERIOD_US
    return Bandwidth(max(_LEAST_QUOTA_US, round(cpus * period_us)), period_us)
