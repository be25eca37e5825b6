"""python -m bench [--rounds N] [--only TEXT]: ratios to peers, in one interleaved run.

Run it from the checkout, as an ordinary user, on a quiet machine; needs gcc and bubblewrap.
Prints the table of docs/performance.md and writes bench/results/latest.json.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import trio

from bench.figures import Resident, figures, memory_per_job, resident
from bench.rounds import Ratio, run_rounds

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--only", default="", metavar="TEXT", help="figures with TEXT in the name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        programs = Path(directory)
        programs.chmod(0o755)
        for source in (HERE / "programs").glob("*.c"):
            program = programs / source.stem
            subprocess.run(["gcc", "-O2", "-static", "-o", program, source], check=True)
        with resident(programs) as here:
            ratios, memory = trio.run(_measure, here, programs, options.rounds, options.only)
    print("| figure | peer | ratio | p10 to p90 | goal |\n|---|---|---|---|---|")
    for ratio in ratios:
        print(_row(ratio))
    for name, value in memory.items():
        print(f"\n{name}: {value:.0f}", end="")
    print()
    _write(ratios, memory)


async def _measure(
    here: Resident, programs: Path, rounds: int, only: str
) -> tuple[list[Ratio], dict[str, float]]:
    wanted = [figure for figure in figures(here, programs) if only in figure.name]
    return await run_rounds(wanted, rounds), {} if only else await memory_per_job(here)


def _row(ratio: Ratio) -> str:
    figure = ratio.figure
    goal = "" if figure.goal is None else f"≤ {figure.goal:g}"
    spread = f"{ratio.low:.2f} to {ratio.high:.2f}"
    return f"| {figure.name} | {figure.peer_name} | {ratio.median:.2f} | {spread} | {goal} |"


def _write(ratios: list[Ratio], memory: dict[str, float]) -> None:
    results = HERE / "results"
    results.mkdir(exist_ok=True)
    table = [
        {
            "figure": ratio.figure.name,
            "peer": ratio.figure.peer_name,
            "rounds": ratio.rounds,
            "ratio": ratio.median,
            "p10": ratio.low,
            "p90": ratio.high,
        }
        for ratio in ratios
    ]
    document = {"ratios": table, "memory": memory}
    (results / "latest.json").write_text(json.dumps(document, indent=2) + "\n")


main()
