"""A client process of the load: some tasks, each with one job after the other.

python -m bench.load_client ADDRESS SEED PROGRAMS, the last a directory; SANDBOX_TOKEN says whose it
is. It runs jobs from each line "go" on stdin until the next, "pause". When all of them are over,
and before the first, it tells of everything so far with a line of JSON.
"""

import json
import random
import sys
from pathlib import Path

import trio

from bench.growth import leaves
from bench.load_jobs import KINDS, PROGRAMS, Kind, Visit
from sandbox.client.aio import AsyncClient
from sandbox.client.errors import DisconnectedError
from sandbox.spec.errors import ZygoteError
from sandbox.wire.errors import LostError, NotFoundError

__all__: list[str] = []

_TASKS = 4
_PATIENCE_SECONDS = 120.0
_VISIT_SECONDS = 100.0


class _Client:
    """What one process does, and the account of it."""

    def __init__(self, address: str, seed: str) -> None:
        self._address, self._seed = address, seed
        self._is_paused = False
        self._turns = 0
        self._programs: dict[str, str] = {}
        self._visits = 0
        # What went wrong: with an init, with the daemon (which may have been killed), and else.
        self._wrong: dict[str, list[str]] = {"init": [], "daemon": [], "faults": []}

    def connect(self) -> AsyncClient:
        """A connection as this client's tenant."""
        return AsyncClient(
            self._address,
            reconnect_seconds=_PATIENCE_SECONDS,
            answer_seconds=_PATIENCE_SECONDS,
        )

    async def obey(self, programs: Path) -> None:
        """Run jobs as stdin says, until it ends."""
        async with self.connect() as client:
            for name in PROGRAMS:
                self._programs[name] = await client.blob(programs / name)
            self._tell()
            while await _line():
                self._is_paused = False
                async with trio.open_nursery() as nursery:
                    for number in range(_TASKS):
                        nursery.start_soon(self._work, client, number)
                    await _line()
                    self._is_paused = True
                self._tell()

    def _tell(self) -> None:
        print(json.dumps({"visits": self._visits, **self._wrong}), flush=True)

    async def _work(self, client: AsyncClient, number: int) -> None:
        while not self._is_paused:
            self._turns += 1
            key = f"{self._seed}-{self._turns}"
            chance = random.Random(key)
            (kind,) = chance.choices(KINDS, [kind.weight for kind in KINDS])
            visit = Visit(client, self.connect, chance, self._programs, key)
            await self._visit(kind, visit)

    async def _visit(self, kind: Kind, visit: Visit) -> None:
        self._visits += 1
        try:
            with trio.fail_after(_VISIT_SECONDS):
                await kind.run(visit)
        except Exception as error:  # whatever it is, it is told at the end
            self._wrong[_whose(error)].append(f"{kind.name}: {leaves(error)}")
            if isinstance(error, trio.TooSlowError):
                print(f"{kind.name} {visit.key} does not end", file=sys.stderr)


def _whose(error: Exception) -> str:
    # That its init died is also told, as another error, to the others of its pipeline.
    if "init died" in str(error) or (isinstance(error, ZygoteError) and "init" in str(error)):
        return "init"
    is_lost = isinstance(error, LostError | NotFoundError | DisconnectedError)
    return "daemon" if is_lost else "faults"


async def _line() -> str:
    return await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)


if __name__ == "__main__":
    trio.run(_Client(*sys.argv[1:3]).obey, Path(sys.argv[3]))
