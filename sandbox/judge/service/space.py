"""What the service keeps of one tenant: his judgings, and the packages and programs for them."""

from __future__ import annotations

import functools
import heapq
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from sandbox.judge.service.judging import Judging
from sandbox.judge.service.packages import Packages
from sandbox.judge.service.reading import PackageReader
from sandbox.server.blobs import Hold
from sandbox.server.orders import Orders
from sandbox.spec.errors import HostError

__all__ = ["Space"]

_MOST_KEPT = 10_000  # judgings
_DRAFT = "draft-"


class Space:
    """In a directory that is ours alone."""

    def __init__(
        self,
        directory: Path,
        tenant: str,
        orders: Orders,
        reader: PackageReader,
        most_bytes: Callable[[], int],
    ) -> None:
        """See what there is, and remove what was not finished. Blocks.

        `most_bytes`: of unpacked packages, and as much of judgings.
        """
        self.tenant = tenant
        self._most_bytes = most_bytes
        self._directory = directory / "judgings"
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = directory / "tenant"
        if not name.exists():
            name.write_text(tenant)
        self.packages = Packages(directory / "packages", tenant, orders, reader, most_bytes)
        self.builds = directory / "builds"
        self.builds.mkdir(mode=0o700, exist_ok=True)
        self.lock = trio.Lock()  # of whoever adds a judging
        self.running = 0
        self.judgings: dict[str, Judging] = {}  # the oldest first
        self.keys: dict[str, Judging] = {}
        self.holds: dict[str, Hold] = {}  # of the archives of those that are not over
        self._waiting: list[tuple[int, str]] = []  # a heap
        self.broken: list[str] = []  # what was found, and is no judging
        for path in sorted(self._directory.iterdir()):
            try:
                if path.name.startswith(_DRAFT):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    self.add(Judging.load(path))
            except HostError as error:
                self.broken.append(str(error))
                shutil.rmtree(path, ignore_errors=True)

    @classmethod
    def found(
        cls,
        directory: Path,
        orders: Orders,
        reader: PackageReader,
        most_bytes: Callable[[str], int],
    ) -> Iterator[Space]:
        """Those of an earlier process, each below `directory`. Blocks."""
        for path in sorted(directory.iterdir()):
            if (path / "tenant").exists():
                tenant = (path / "tenant").read_text()
                yield cls(path, tenant, orders, reader, functools.partial(most_bytes, tenant))

    def place(self, judging: str) -> Path:
        """Where the judging of this id is, or will be."""
        return self._directory / judging

    def add(self, judging: Judging) -> None:
        """Have it found, and queued unless it is over."""
        self.judgings[judging.id] = judging
        if judging.request.key is not None:
            self.keys[judging.request.key] = judging
        if not judging.is_over:
            heapq.heappush(self._waiting, (-judging.request.priority, judging.id))

    @property
    def waiting(self) -> int:
        """How many are queued."""
        return len(self._waiting)

    @property
    def unended_bytes(self) -> int:
        """Of the files of those that are not over: no room is made of them."""
        return sum(one.size_bytes for one in self.judgings.values() if not one.is_over)

    def next(self) -> Judging | None:
        """The one that is to run next, out of the queue; None: none waits."""
        return self.judgings[heapq.heappop(self._waiting)[1]] if self._waiting else None

    def unqueue(self, judging: Judging) -> bool:
        """Take it out of the queue; whether it was there."""
        entry = (-judging.request.priority, judging.id)
        if entry not in self._waiting:
            return False
        self._waiting.remove(entry)
        heapq.heapify(self._waiting)
        return True

    def release(self, judging: Judging) -> None:
        """It needs its package's archive no more."""
        if (hold := self.holds.pop(judging.id, None)) is not None:
            hold.release()

    async def delete(self, judging: Judging) -> None:
        """Forget one that is over, and its files."""
        if self.judgings.pop(judging.id, None) is None:
            return
        if self.keys.get(judging.request.key or "") is judging:
            del self.keys[judging.request.key or ""]
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(judging.remove)

    async def make_room(self) -> None:
        """Forget the oldest of those that are over, until there are few enough."""
        sizes = {id_: one.size_bytes + one.events.size_bytes for id_, one in self.judgings.items()}
        total = sum(sizes.values())
        for judging in list(self.judgings.values()):
            if len(self.judgings) <= _MOST_KEPT and total <= self._most_bytes():
                break
            if judging.is_over:
                total -= sizes[judging.id]
                await self.delete(judging)
