"""Every fault cell, or those that are asked for: `PYTHONPATH=.:tests python -m faults --help`."""

import argparse
import json
import sys
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.cells import SCENARIOS, Cell, cells_of, kills_of, stand


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--only", default="", help="a part of the names of the cells")
    parser.add_argument("--kills", action="store_true", help="deaths instead of errnos")
    parser.add_argument("--part", default="1/1", help="the so many-th of so many parts, as 1/2")
    parser.add_argument("--user", help="as root: run it as this user, with all its ids")
    parser.add_argument(
        "--had",
        action="append",
        default=[],
        choices=SCENARIOS,
        help="leave out what is in that one",
    )
    parser.add_argument("--most", type=int, default=1 << 30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    number, parts = map(int, options.part.split("/"))
    rows: list[dict[str, Any]] = []
    known: set[tuple[Any, ...]] = set()
    counts: Counter[str] = Counter()
    for scenario in options.had:
        with stand(scenario, user=options.user) as here:
            known.update(here.calls(scenario))
    for scenario in options.scenario or SCENARIOS:
        with stand(scenario, user=options.user) as here:
            calls = [call for call in here.calls(scenario) if call not in known]
            known.update(calls)
            alive = {call: roles for call, roles in here.alive().items() if call in calls}
            cells = kills_of(scenario, alive) if options.kills else cells_of(scenario, calls)
            chosen = [cell for cell in cells if options.only in cell.name]
            counts["calls"] += len(calls)
            counts["cells"] += len(chosen)
            # By name, for two parts see the calls of two runs, in the order of each.
            mine = [cell for cell in chosen if zlib.crc32(cell.name.encode()) % parts == number - 1]
            mine = mine[: options.most]
            for row in _run(here, mine):
                rows.append(row)
                if options.json:  # now: it may be stopped
                    options.json.write_text(json.dumps({"counts": counts, "cells": rows}, indent=1))
                if row["problem"]:
                    last = row["message"].strip().splitlines()[-8:]
                    print(row["cell"], row["problem"], *last, sep="\n    ", flush=True)
    print(_table(rows))
    bad = sum(bool(row["problem"]) for row in rows)
    print(f"{dict(counts)}, of this part {len(rows)} run, {bad} bad")
    return 1 if bad else 0


def _run(here: Any, cells: list[Cell]) -> Iterator[dict[str, Any]]:
    for cell in cells:
        begun = time.monotonic()
        row = here.run(cell).plain()
        yield row | {"seconds": round(time.monotonic() - begun, 2)}


def _table(rows: list[dict[str, Any]]) -> str:
    """Cells by process and errno; and what came of them."""
    by: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by[row["role"]][row["errno"]] += 1
        by[row["role"]][row["outcome"]] += 1
    faults = sorted({row["errno"] for row in rows})
    outcomes = sorted({row["outcome"] for row in rows})
    lines = ["| process | " + " | ".join((*faults, *outcomes)) + " |"]
    lines.append("|---" * (1 + len(faults) + len(outcomes)) + "|")
    for role, counts in by.items():
        values = (str(counts[name]) for name in (*faults, *outcomes))
        lines.append(f"| {role} | " + " | ".join(values) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
