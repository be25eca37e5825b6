"""Problem packages of one tenant, unpacked: each once, by the SHA-256 of its archive.

The archive is read in a sandbox; what comes out of it is parsed and written here (unpacking.py).
A package is a directory SHA256 with `manifest` and `problem/`, and appears whole, by a rename;
`read` is for reading.py, and `note` for the judge. A power cut may leave one whose bytes did not
get to the disk, so those found at start are read and hashed before their first use. They are a
copy: the archive is a blob, and can be uploaded again.
"""

from __future__ import annotations

import contextlib
import functools
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import msgpack
import trio

from sandbox.judge.problem import Problem
from sandbox.judge.service.reading import PackageReader
from sandbox.judge.service.runner import run_one
from sandbox.judge.sources import directories_of
from sandbox.judge.unpacking import Entry, Unpacking, digest_of, package_in, unpack_package
from sandbox.server.orders import Orders
from sandbox.spec.errors import HostError

__all__ = ["Packages", "remove_tree"]

_SHA256 = re.compile("[0-9a-f]{64}")
_REMOVAL_SECONDS = 2.0
_ENTRY_BYTES = 4096  # a block, and its place in `manifest` and `read`

Blob = Callable[[], Awaitable[Any]]  # a Hold of the archive


class _Kept:
    """One package on the disk."""

    def __init__(self, size_bytes: int, used_at: float, top: Path | None = None) -> None:
        """`top`: its own directory; None: it is not looked at yet."""
        self.size_bytes, self.used_at, self.top = size_bytes, used_at, top
        self.holds = 0
        self.reading = trio.Lock()


class Packages:
    """In a directory that is ours alone. Whoever is given one holds it until the block ends."""

    def __init__(
        self,
        directory: Path,
        tenant: str,
        orders: Orders,
        reader: PackageReader,
        most_bytes: Callable[[], int],
    ) -> None:
        """See what there is, and remove what an earlier process had not finished. Blocks.

        `most_bytes`: of all together, and so of each.
        """
        self._directory, self._tenant, self._orders = directory, tenant, orders
        self._reader, self._most_bytes = reader, most_bytes
        self._locks: dict[str, trio.Lock] = {}  # of those that somebody wants
        self._kept: dict[str, _Kept] = {}
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in directory.iterdir():
            manifest = _read_manifest(path) if _SHA256.fullmatch(path.name) else None
            if manifest is None:
                shutil.rmtree(path, ignore_errors=True)
                continue
            size_bytes = _disk_bytes(manifest[0])
            self._kept[path.name] = _Kept(size_bytes, path.stat().st_mtime)

    def has(self, sha256: str) -> bool:
        """Whether it is unpacked."""
        return sha256 in self._kept

    @contextlib.asynccontextmanager
    async def open(self, sha256: str, blob: Blob) -> AsyncIterator[Problem]:
        """The package, unpacked and read now or earlier; it stays for as long as the block.

        `blob`: holds the archive, asked only where it is needed. Raises SpecError("problem", the
        rule that is broken); HostError; as `blob`.
        """
        kept = await self._held(sha256, blob)
        try:
            kept.used_at = time.time()
            assert kept.top is not None, "it was checked"
            async with kept.reading:
                place = self._directory / sha256 / "read"
                problem = await self._reader.read(self._tenant, kept.top, place)
            yield problem
        finally:
            kept.holds -= 1
            await self._make_room()

    async def _held(self, sha256: str, blob: Blob) -> _Kept:
        lock = self._locks.setdefault(sha256, trio.Lock())
        try:
            async with lock:
                kept = self._kept.get(sha256)
                if kept is not None and kept.top is None and not await self._check(sha256, kept):
                    kept = None
                if kept is None:
                    kept = await self._unpack(sha256, blob)
                kept.holds += 1
                return kept
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(sha256, None)

    def place_of_note(self, sha256: str) -> Path:
        """Where the judge may note something of a package that is held: it goes with it."""
        return self._directory / sha256 / "note"

    async def _check(self, sha256: str, kept: _Kept) -> bool:
        path = self._directory / sha256
        # It reads all of it, and writes nothing: whoever is cancelled need not wait for that.
        kept.top = await trio.to_thread.run_sync(_whole, path, abandon_on_cancel=True)
        if kept.top is None:
            await self._forget([sha256])
        return kept.top is not None

    async def _unpack(self, sha256: str, blob: Blob) -> _Kept:
        path = self._directory / sha256
        with await blob() as hold:
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self._directory))
            try:
                draft.chmod(0o755)
                (draft / "problem").mkdir(mode=0o755)
                (draft / "problem").chmod(0o755)
                unpacking = Unpacking(draft / "problem", self._most_bytes())
                await unpack_package(
                    functools.partial(run_one, self._orders, self._tenant),
                    hold.path, unpacking, self._most_bytes(),
                )  # fmt: skip
                top = await trio.to_thread.run_sync(_finish, draft, unpacking)
                draft.rename(path)
            except OSError as error:
                raise HostError(
                    f"no room for unpacking it: {self._directory}: {error.strerror}; fix: free some"
                ) from error
            finally:
                await remove_tree(draft)  # half of it is of no use to anybody
        size_bytes = _disk_bytes(unpacking.entries)
        kept = self._kept[sha256] = _Kept(size_bytes, time.time(), path / "problem" / top)
        return kept

    async def _make_room(self) -> None:
        """Remove what was not used for the longest time, and is not in use, until they fit."""
        most_bytes = self._most_bytes()
        total = sum(kept.size_bytes for kept in self._kept.values())
        unwanted = []
        for sha256, kept in sorted(self._kept.items(), key=lambda item: item[1].used_at):
            if total <= most_bytes:
                break
            if not kept.holds and sha256 not in self._locks:
                unwanted.append(sha256)
                total -= kept.size_bytes
        if unwanted:
            await self._forget(unwanted)

    async def _forget(self, unwanted: Sequence[str]) -> None:
        # Out of the way at once: half of one must not be found under its name.
        gone = Path(tempfile.mkdtemp(prefix="gone-", dir=self._directory))
        for sha256 in unwanted:
            del self._kept[sha256]
            (self._directory / sha256).rename(gone / sha256)
        await remove_tree(gone)


async def remove_tree(directory: Path) -> None:
    """Cancelled or not. Whoever waits does not wait for long: if we end, the next process goes on
    with it."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + _REMOVAL_SECONDS):
        await trio.to_thread.run_sync(shutil.rmtree, directory, True, abandon_on_cancel=True)


def _disk_bytes(entries: Collection[Entry]) -> int:
    """About what they take, with what is noted of them: of ten thousand tests that is most."""
    inodes = len(entries) + len(directories_of(entry.name for entry in entries))
    return sum(entry.size for entry in entries) + inodes * _ENTRY_BYTES


def _finish(draft: Path, unpacking: Unpacking) -> Path:
    """Note what was unpacked; where the package is, below `problem`. Blocks. Raises SpecError."""
    manifest = {"files": unpacking.entries, "digest": unpacking.finish()}
    (draft / "manifest").write_bytes(msgpack.packb(manifest))
    return package_in(draft / "problem").relative_to(draft / "problem")


def _whole(path: Path) -> Path | None:
    """Where the package is, if it is as it was unpacked; None: it is not. Blocks."""
    manifest = _read_manifest(path)
    if manifest is None or digest_of(path / "problem", manifest[0]) != manifest[1]:
        return None
    return package_in(path / "problem")


def _read_manifest(path: Path) -> tuple[list[Entry], str] | None:
    """Of a package; None: it is none."""
    try:
        table = msgpack.unpackb((path / "manifest").read_bytes())
        entries = [Entry(str(name), int(size), bool(flag)) for name, size, flag in table["files"]]
        return entries, str(table["digest"])
    except (OSError, ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None
