"""kill -9 of who keeps a journal, at random moments: what it acknowledged is there, once a key."""

import contextlib
import os
import random
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import trio

from sandbox.server.journal import Entry, open_journal

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = 8
TENANT = "uid-1"

# Two attempts at each key, at the same time, under two ids; then the job ends. Each line was
# acknowledged before it was written: "key job" as accepted, "end job". Every round repeats keys.
CHILD = """
import os, sys, trio
from pathlib import Path
sys.path.insert(0, {root!r})
from sandbox.server import journal_thread
from sandbox.server.journal import Entry, open_journal
journal_thread._CHECKPOINT_BYTES = 1 << 20  # so that some kill meets a checkpoint
def say(text): os.write(1, text.encode() + b"\\n")
async def attempt(journal, key, job, power):
    request = job.encode()
    noted = Entry({tenant!r}, job, key, "queued", None, 0, 0, 1, 1.0, None, None, request, None)
    found = await journal.accept(noted, power=power)
    say(f"{{key}} {{job if found is None else found.job}}")
    if found is None:
        journal.start(job, 1, 2.0)
        await journal.finish(job, "ended", 3.0, os.urandom(2000), power=power)
        say(f"end {{job}}")
async def client(journal, number, first):
    for count in range(first, first + 10000):
        async with trio.open_nursery() as nursery:
            for attempt_number in (0, 1):
                job = f"{{{run}:06x}}{{count:012x}}{{number:02x}}{{attempt_number:02x}}"
                power = number % 2 == 0
                nursery.start_soon(attempt, journal, f"key-{{number}}-{{count}}", job, power)
async def main():
    async with open_journal(Path({path!r})) as journal, trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(client, journal, number, {first})
trio.run(main)
"""


def run_and_kill(path: Path, run: int, first: int, lines: int) -> list[str]:
    """Kill a child after it wrote about so many lines; all whole lines that it wrote."""
    code = CHILD.format(root=str(ROOT), path=str(path), tenant=TENANT, run=run, first=first)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        said = b""
        while said.count(b"\n") < lines:
            piece = os.read(child.stdout.fileno(), 1 << 16)
            assert piece, "it ended by itself"
            said += piece
        child.kill()
        with contextlib.suppress(OSError):
            while piece := os.read(child.stdout.fileno(), 1 << 16):
                said += piece
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    return said[: said.rindex(b"\n")].decode().splitlines()  # the last may be cut short


@pytest.mark.parametrize("seed", range(2))
def test_what_was_acknowledged_is_there_after_any_kill_once_a_key(
    tmp_path: Path, seed: int
) -> None:
    path = tmp_path / "journal.sqlite"
    chance = random.Random(seed)
    accepted: dict[str, set[str]] = defaultdict(set)
    ended: set[str] = set()
    for run in range(ROUNDS):
        # Half of the rounds begin where the last did, so that their keys are known already.
        first = (run // 2) * 100
        for line in run_and_kill(path, run, first, chance.randint(1, 1500)):
            key, job = line.split()
            if key == "end":
                ended.add(job)
            else:
                accepted[key].add(job)
        entries = trio.run(read, path)
        jobs = {each.job: each for each in entries}
        keys = [each.key for each in entries]
        assert len(set(keys)) == len(keys)
        for key, answers in accepted.items():
            assert len(answers) == 1, f"two jobs were acknowledged for {key}"
            assert jobs[next(iter(answers))].key == key
        for job in ended:
            assert jobs[job].state == "ended"
    assert len(accepted) > ROUNDS and ended  # else it has shown nothing


async def read(path: Path) -> list[Entry]:
    """Everything in the journal, which has each request whole."""
    async with open_journal(path) as journal:
        found: list[Entry] = []
        while page := await journal.list(TENANT, None, found[-1].job if found else None, 1000):
            found += page
        for each in found[:: max(len(found) // 50, 1)]:
            whole = await journal.find(TENANT, each.job)
            assert whole is not None and whole.request == each.job.encode()
            assert (whole.outcome is None) == (whole.state != "ended")
        return found
