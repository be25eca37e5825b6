"""`python -m fuzz`: every target for a while, and a table of what each tried, reached and found."""

import argparse
import csv
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.table import format_rows
from fuzz.campaign import Moment, Outcome, run
from fuzz.curves import curves
from fuzz.targets import TARGETS

_MOMENTS = (10, 60, 300)  # seconds, at which the table shows what was reached, and at the end


def main() -> int:
    """Run it; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--inputs", type=int, help="so many for each, whatever the time")
    parser.add_argument("--seed", type=int, help="the same inputs each time")
    parser.add_argument("--targets", help=f"some of {','.join(TARGETS)} (default: all)")
    parser.add_argument("--at-once", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--own", action="store_true", help="not by atheris, though it is there")
    parser.add_argument("--results", type=Path, help="write JSON, CSV and a plot to this directory")
    options = parser.parse_args()
    targets = options.targets.split(",") if options.targets else TARGETS
    if unknown := set(targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    arguments = [f"--seconds={options.seconds}", *(["--own"] if options.own else [])]
    arguments += [] if options.inputs is None else [f"--inputs={options.inputs}"]
    arguments += [] if options.seed is None else [f"--seed={options.seed}"]
    is_own = options.own or options.inputs is not None or options.seed is not None
    unit = "lines" if is_own or importlib.util.find_spec("atheris") is None else "edges"
    outcomes = run(targets, arguments, options.at_once, _tell)
    print(format_rows(_rows(outcomes, unit), markdown=False))
    for outcome in outcomes:
        if outcome.finding:
            print(f"\n{outcome.target}:\n{outcome.finding}")
    if options.results is not None:
        _write(options.results, outcomes, unit)
    return int(any(outcome.finding for outcome in outcomes))


def _tell(outcome: Outcome) -> None:
    print(f"{outcome.target}: {'FOUND something' if outcome.finding else 'done'}", file=sys.stderr)


def _rows(outcomes: Sequence[Outcome], unit: str) -> list[tuple[str, ...]]:
    longest = max(outcome.seconds for outcome in outcomes)
    moments = [seconds for seconds in _MOMENTS if seconds < longest]
    head = ("target", "inputs", "seconds", *(f"at {s} s" for s in moments), unit, "found")
    return [
        head,
        *(
            (
                *(o.target, str(o.inputs), f"{o.seconds:.0f}"),
                *(str(o.reached_at(seconds)) for seconds in moments),
                str(o.reached_at(o.seconds)),
                "yes" if o.finding else "nothing",
            )
            for o in outcomes
        ),
    ]


def _write(directory: Path, outcomes: Sequence[Outcome], unit: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    document = {
        outcome.target: outcome._asdict() | {"moments": [m._asdict() for m in outcome.moments]}
        for outcome in outcomes
    }
    text = json.dumps({"unit": unit, "targets": document}, indent=2)
    (directory / "fuzz.json").write_text(f"{text}\n")
    with (directory / "fuzz.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("target", *Moment._fields))
        rows.writerows((o.target, *moment) for o in outcomes for moment in o.moments)
    (directory / "fuzz.svg").write_text(curves(outcomes, unit))


if __name__ == "__main__":
    sys.exit(main())
