"""`python -m fuzz.planted`: how long each target takes to find the bug that was planted for it."""

import argparse
import sys

from bench.table import format_rows
from fuzz.planted.trial import Planted, clean_copy, plant, planted, try_to_find

_HEAD = ("planted", "target", "found", "inputs", "seconds", "seeds left out", "what it is")


def main() -> int:
    """Try them all; 1 if one was not found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.planted")
    parser.add_argument("--seconds", type=int, default=120, help="at most, for each (default: 120)")
    parser.add_argument("--seed", type=int, help="the same inputs each time")
    parser.add_argument("--own", action="store_true", help="not by atheris, though it is there")
    parser.add_argument("names", nargs="*", metavar="NAME", help="these only")
    options = parser.parse_args()
    chosen = [bug for bug in planted() if not options.names or bug.name in options.names]
    arguments = [f"--seconds={options.seconds}", *(["--own"] if options.own else [])]
    arguments += [] if options.seed is None else [f"--seed={options.seed}"]
    rows = [_row(bug, arguments) for bug in chosen]
    print(format_rows([_HEAD, *rows], markdown=False))
    return int(any(row[2] == "no" for row in rows))


def _row(bug: Planted, arguments: list[str]) -> tuple[str, ...]:
    with clean_copy() as root:
        plant(bug, root)
        outcome, left_out = try_to_find(bug, arguments, root)
    print(f"{bug.name}: {'found' if outcome.finding else 'NOT found'}", file=sys.stderr)
    found = "yes" if outcome.finding else "no"
    numbers = (str(outcome.inputs), f"{outcome.seconds:.1f}", str(len(left_out)))
    return (bug.name, bug.target, found, *numbers, bug.why)


if __name__ == "__main__":
    sys.exit(main())
