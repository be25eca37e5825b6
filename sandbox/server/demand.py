"""What jobs take of the host while they run, and sums of it that come out even."""

from __future__ import annotations

import math
import operator
from typing import NamedTuple

from sandbox.spec.quantities import format_size

__all__ = [
    "JOBS",
    "NOTHING",
    "OWN_CORES",
    "UNLIMITED",
    "Amount",
    "Demand",
    "Share",
    "compared",
    "minus",
    "part",
    "plus",
    "shortage",
]


class Demand(NamedTuple):
    """What jobs take while they run; also a budget, and a cap. `cpus` may have a fraction."""

    jobs: int
    memory_bytes: int
    cpus: float
    processes: int
    uids: int
    disk_bytes: int


class Share(NamedTuple):
    """What a tenant is entitled to: `weight` (above 0) against the others', and at most `most`."""

    weight: float = 1.0
    most: Demand | None = None  # of all its jobs that run at once; None: the whole budget
    most_queued: int = 1000


class Amount(tuple[int, ...]):
    """A Demand and a number of whole cores, in integers: what is added can be taken away again.

    Sums of a float's tenths drift: ten jobs of 0.1 CPUs would not fit into one.
    """

    __slots__ = ()

    @classmethod
    def of(cls, demand: Demand, own_cores: int) -> Amount:
        """`demand` with `own_cores`. Raises ValueError: a part is negative or no finite number."""
        if not math.isfinite(demand.cpus) or min(demand) < 0 or own_cores < 0:
            raise ValueError(f"no amount: {demand}, own_cores={own_cores}")
        jobs, memory_bytes, cpus, processes, uids, disk_bytes = demand
        millionths = round(cpus * _MILLION)
        return cls((jobs, memory_bytes, millionths, processes, uids, disk_bytes, own_cores))

    def demand(self) -> Demand:
        """The amount without its whole cores."""
        jobs, memory_bytes, millionths, processes, uids, disk_bytes, _ = self
        return Demand(jobs, memory_bytes, millionths / _MILLION, processes, uids, disk_bytes)


_KINDS = ("jobs", "memory", "cpus", "processes", "uids", "disk", "own cores")
_MILLION = 1_000_000
_CPUS = _KINDS.index("cpus")
JOBS = _KINDS.index("jobs")
OWN_CORES = _KINDS.index("own cores")
NOTHING = Amount([0] * len(_KINDS))
UNLIMITED = Amount([1 << 80] * len(_KINDS))


def plus(one: Amount, other: Amount) -> Amount:
    """Both together."""
    return Amount(map(operator.add, one, other))


def minus(one: Amount, other: Amount) -> Amount:
    """What is left of `one`, which has `other` in it."""
    return Amount(map(operator.sub, one, other))


def shortage(asked: Amount, taken: Amount, most: Amount) -> int | None:
    """The first kind of which `most` has not enough left beside `taken`, or None: it fits.

    Where nothing is asked of a kind, it does not matter that too much of it is taken.
    """
    for kind, (more, already, limit) in enumerate(zip(asked, taken, most, strict=True)):
        if more and already + more > limit:
            return kind
    return None


def part(taken: Amount, budget: Amount) -> float:
    """The dominant share: the greatest part that `taken` is of any kind in `budget`, 0 to 1."""
    pairs = zip(taken, budget, strict=True)
    return max((some / whole for some, whole in pairs if whole), default=0.0)


def compared(asked: Amount, most: Amount, kind: int) -> tuple[str, str, str]:
    """The name of `kind`, and how much of it the two are, as people write it."""
    return _KINDS[kind], _shown(asked, kind), _shown(most, kind)


def _shown(amount: Amount, kind: int) -> str:
    if _KINDS[kind] in ("memory", "disk"):
        return format_size(amount[kind])
    return f"{amount[kind] / _MILLION:g}" if kind == _CPUS else str(amount[kind])
