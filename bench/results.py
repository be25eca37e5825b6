"""One run of the bench as a file: written as JSON, and read again to be compared."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.machine import Machine
from bench.ratios import Goal, Ratio

__all__ = ["Results", "read_results", "write_results"]


class Results(NamedTuple):
    """What one run found."""

    machine: Machine
    left_out: Mapping[str, str]  # peer -> why
    ratios: Sequence[Ratio]


def write_results(results: Results, file: Path) -> None:
    """Write it all. OSError."""
    ratios = [
        ratio._asdict() | {"goal": ratio.goal and ratio.goal._asdict()} for ratio in results.ratios
    ]
    document = results._asdict() | {"machine": results.machine._asdict(), "ratios": ratios}
    file.write_text(json.dumps(document, indent=2) + "\n")


def read_results(file: Path) -> Results:
    """Read what `write_results` wrote. OSError; ValueError, KeyError, TypeError: it is not that."""
    document = json.loads(file.read_text())
    ratios = [
        Ratio(**ratio | {"goal": ratio["goal"] and Goal(**ratio["goal"])})
        for ratio in document["ratios"]
    ]
    return Results(Machine(**document["machine"]), document["left_out"], ratios)
