"""python -m bench: ratios to peers, in one interleaved run.

Run it from the checkout, as an ordinary user, on a quiet machine; needs gcc and bubblewrap.
Prints the table, and writes it to a file as JSON.
"""

import argparse
import datetime
import json
import os
import platform
from pathlib import Path

import trio

from bench.figures import figures, job_of
from bench.memory import Memory, measure_memory
from bench.resident import resident
from bench.rounds import Ratio, run_rounds
from bench.stage import Stage, stage

_RESULTS = Path(__file__).resolve().parent / "results"
_MEMORY = "memory"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", metavar="TEXT", help="figures with TEXT in the name")
    parser.add_argument("--markdown", action="store_true", help="as docs/performance.md has it")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIRECTORY")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    file = options.results / f"{datetime.date.today()}.json"
    try:  # before the work: the checkout may be somebody else's
        options.results.mkdir(exist_ok=True)
        file.touch()
    except OSError as error:
        parser.error(f"--results: {error.filename}: {error.strerror}; name another directory")
    with stage() as staged:
        ratios, memory = trio.run(_measure, staged, options.rounds, options.only)
    if ratios:
        _print_ratios(ratios, markdown=options.markdown)
    for found in memory:
        print(
            f"\nThe {found.process} grows to {found.ratio:.2f} of its memory while {found.jobs} "
            f"jobs run: {found.kib_per_job:.0f} KiB a job."
        )
    document = {
        "machine": {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
        },
        "ratios": [ratio._asdict() for ratio in ratios],
        _MEMORY: [found._asdict() for found in memory],
    }
    file.write_text(json.dumps(document, indent=2) + "\n")


async def _measure(staged: Stage, rounds: int, only: str) -> tuple[list[Ratio], list[Memory]]:
    with resident(job_of(staged, "true")) as here:
        wanted = [figure for figure in figures(here, staged) if only in figure.name]
        ratios = await run_rounds(wanted, rounds)
        if only not in _MEMORY:
            return ratios, []
        return ratios, await measure_memory(here, job_of(staged, "cat"))


def _print_ratios(ratios: list[Ratio], *, markdown: bool) -> None:
    rows = [("figure", "÷ peer", "ratio", "p10 to p90", "goal")]
    for found in ratios:
        goal = "" if found.goal is None else f"≤ {found.goal:g}"
        spread = f"{found.low:.2f} to {found.high:.2f}"
        rows.append((found.figure, found.peer, f"{found.median:.2f}", spread, goal))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    if markdown:
        rows.insert(1, tuple("-" * width for width in widths))
    left, between, right = ("| ", " | ", " |") if markdown else ("", "  ", "")
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"{left}{between.join(cells)}{right}".rstrip())


main()
