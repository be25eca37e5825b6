"""python -m bench: ratios to peers, in one interleaved run.

Run it from the checkout, as an ordinary user, on a quiet machine; needs bubblewrap. A C compiler
adds the floor program and the figures of programs inside; crun, nsjail, isolate and podman are
peers where they are installed. Prints the table; writes it as JSON, and a plot of it beside.

python -m bench compare BEFORE AFTER: what a change did, from the JSON of two runs.
python -m bench soak [--jobs N]: what a supervisor grows in a hundred thousand jobs.
python -m bench judge [--rounds N]: what judging many small tests costs over their own time.
python -m bench load [--minutes N]: what a daemon grows and leaves, and whether its jobs come right.
"""

import argparse
import datetime
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from bench.compare import comparison_rows
from bench.connections import measure_connections
from bench.figures import POOL, figures
from bench.jobs import job_of
from bench.judge import main as judge
from bench.load import main as load
from bench.machine import Watch
from bench.memory import measure_memory
from bench.peers import Peers, find_peers
from bench.plot import plot
from bench.ratios import Ratio
from bench.resident import resident
from bench.results import Results, read_results, write_results
from bench.rounds import run_rounds
from bench.service import open_service
from bench.soak import main as soak
from bench.stage import Stage, stage
from bench.table import format_rows, ratio_rows
from bench.yardstick import floor

_RESULTS = Path(__file__).resolve().parent / "results"
_ROUNDS, _QUICK_ROUNDS = 80, 8


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        _compare(sys.argv[2:])
    elif sys.argv[1:2] == ["judge"]:
        judge(sys.argv[2:])
    elif sys.argv[1:2] == ["load"]:
        load(sys.argv[2:])
    elif sys.argv[1:2] == ["soak"]:
        soak(sys.argv[2:])
    else:
        _measure(sys.argv[1:])


def _compare(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench compare")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    runs: list[Results] = []
    for file in (options.before, options.after):
        try:
            runs.append(read_results(file))
        except (OSError, ValueError, KeyError, TypeError) as error:
            parser.error(f"{file}: {error!r}")
    rows = comparison_rows(*(run.ratios for run in runs))
    print(format_rows(rows, markdown=options.markdown))
    for name, run in zip(("before", "after"), runs, strict=True):
        print(f"\n{name}: {run.machine.text()}")


def _measure(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_ROUNDS} rounds")
    parser.add_argument("--only", default="", metavar="TEXT", help="figures with TEXT in the name")
    parser.add_argument("--markdown", action="store_true", help="as docs/performance.md has it")
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="DIRECTORY")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    rounds = _QUICK_ROUNDS if options.quick else options.rounds
    file = options.results / f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}.json"
    try:  # before the work: the checkout may be somebody else's
        options.results.mkdir(exist_ok=True)
        file.touch()
        file.unlink()
    except OSError as error:
        parser.error(f"--results: {error.filename}: {error.strerror}; name another directory")
    with stage() as staged, find_peers(staged.scratch) as peers:
        if "bwrap" not in peers.found:
            parser.error(f"bwrap: {peers.left_out['bwrap']}; it is the scale of most figures")
        if staged.floor is None:
            peers.left_out["the floor, and programs inside"] = "no C compiler"
        watch = Watch()
        ratios = trio.run(_run, staged, peers, rounds, options.only)
        ratios += measure_memory(options.only)
        ratios += measure_connections(staged, options.only)
    machine = watch.machine()
    print(format_rows(ratio_rows(ratios), markdown=options.markdown))
    print(f"\n{rounds} rounds; {machine.text()}")
    for name, why in peers.left_out.items():
        print(f"left out: {name}: {why}")
    write_results(Results(machine, peers.left_out, ratios), file)
    file.with_suffix(".svg").write_text(plot(ratios, machine.text()))
    print(f"written: {file}, and the plot beside it")


async def _run(staged: Stage, peers: Peers, rounds: int, only: str) -> list[Ratio]:
    true = job_of("/usr/bin/true")
    async with AsyncExitStack() as stack:
        cold = await stack.enter_async_context(resident(true))
        warm = await stack.enter_async_context(resident(true, warm=POOL))
        yardstick = stack.enter_context(floor(staged, true)) if staged.floor else None
        service = stack.enter_context(open_service(staged))
        wanted = [
            figure
            for figure in figures(cold, warm, service, staged, peers, yardstick)
            if only in figure.name
        ]
        return await run_rounds(wanted, rounds)


main()
