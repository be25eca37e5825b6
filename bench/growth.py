"""What grew in a long run: the last third of its samples against the first."""

import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bench.table import format_rows

__all__ = ["growth", "leaves", "print_verdict"]

_MOST_FAULTS = 20


def growth(
    samples: Sequence[Any],
    slack: Mapping[str, tuple[float, float]],
    not_judged: Collection[str] = (),
) -> dict[str, tuple[float, float]]:
    """What rose from the first third to the last: the medians of both.

    `samples`: named tuples of numbers. `slack`: how much of a rise is none, a share and beside it
    a number.
    """
    third = len(samples) // 3
    grown = {}
    for name in samples[0]._fields if third else ():
        if name in not_judged:
            continue
        first, last = (
            statistics.median(getattr(sample, name) for sample in part)
            for part in (samples[:third], samples[-third:])
        )
        share, number = slack.get(name, (0.0, 0.0))
        if last > first * (1 + share) + number:
            grown[name] = (first, last)
    return grown


def print_verdict(
    samples: Sequence[Any],
    told: str,
    grown: Mapping[str, tuple[float, float]],
    faults: Sequence[str],
) -> None:
    """The samples as a table, what was `told` of the run, and what is wrong with it."""
    if samples:
        rows = [tuple(name.replace("_", " ") for name in samples[0]._fields)]
        rows += [tuple(map(str, sample)) for sample in samples]
        print(format_rows(rows, markdown=False))
    print(f"\n{told}")
    for name, (first, last) in grown.items():
        print(f"GROWN: {name}: {first:g} in the first third, {last:g} in the last")
    for fault, count in Counter(faults).most_common(_MOST_FAULTS):
        print(f"FAULT: {fault}" + (f" ({count} times)" if count > 1 else ""))
    if len(faults) > _MOST_FAULTS:
        print(f"{len(faults)} faults in all")
    if not grown and not faults and samples:
        print("nothing grew, and every job came to what it had to")


def leaves(error: BaseException) -> str:
    """What is in a group of errors, in one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(map(leaves, error.exceptions))
    return repr(error)
