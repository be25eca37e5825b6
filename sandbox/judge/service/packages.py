"""Problem packages of one tenant, unpacked: each once, by the SHA-256 of its archive.

The archive is read in a sandbox; what comes out of it is parsed and written here (unpacking.py).
A package is a directory SHA256 with `manifest` and `problem/`, and appears whole, by a rename. A
power cut may leave one whose bytes did not get to the disk, so those found at start are read and
hashed before their first use. They are a copy: the archive is a blob, and can be uploaded again.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgpack
import trio

from sandbox.judge.service.unpacking import FILES_MOST, Entry, Unpacking, digest_of
from sandbox.server.orders import Orders
from sandbox.spec.errors import HostError, SandboxError, SpecError
from sandbox.spec.fields import printable
from sandbox.spec.job import Input, Job
from sandbox.supervisor.library import Order

__all__ = ["Packages"]

_SHA256 = re.compile("[0-9a-f]{64}")
_SCRIPT = Path(__file__).with_name("unpack_inside.py").read_bytes()
_PLACE = b"/data/package"
_MOST_STDERR_BYTES = 4096
_SPARE_BYTES = FILES_MOST * (11 + 1024) + 4096  # headers and names
_LIMITS = {"memory_bytes": 512 << 20, "cpu_seconds": 300.0, "wall_seconds": 900.0, "cpus": 1.0}
_TOPS = ("problem.yaml", "domjudge-problem.ini", "data")  # by one of them a package is known

Blob = Callable[[], Awaitable[Any]]  # a Hold of the archive


class _Kept:
    """One package on the disk."""

    def __init__(self, size_bytes: int, used_at: float, *, is_checked: bool) -> None:
        self.size_bytes, self.used_at, self.is_checked = size_bytes, used_at, is_checked
        self.holds = 0


class Packages:
    """In a directory that is ours alone. Whoever is given one holds it until the block ends."""

    def __init__(
        self, directory: Path, tenant: str, orders: Orders, most_bytes: Callable[[], int]
    ) -> None:
        """See what there is, and remove what an earlier process had not finished. Blocks.

        `most_bytes`: of all together, and so of each.
        """
        self._directory, self._tenant, self._orders = directory, tenant, orders
        self._most_bytes = most_bytes
        self._locks: dict[str, trio.Lock] = {}  # of those that somebody wants
        self._kept: dict[str, _Kept] = {}
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in directory.iterdir():
            manifest = _read_manifest(path) if _SHA256.fullmatch(path.name) else None
            if manifest is None:
                shutil.rmtree(path, ignore_errors=True)
                continue
            size_bytes = sum(entry.size for entry in manifest[0])
            used_at = path.stat().st_mtime
            self._kept[path.name] = _Kept(size_bytes, used_at, is_checked=False)

    def has(self, sha256: str) -> bool:
        """Whether it is unpacked."""
        return sha256 in self._kept

    @contextlib.asynccontextmanager
    async def open(self, sha256: str, blob: Blob) -> AsyncIterator[Path]:
        """The package's own directory, unpacked now or earlier; it stays for as long as the block.

        `blob`: holds the archive, asked only where it is needed. Raises SpecError("problem", the
        rule that the archive breaks); HostError; as `blob`.
        """
        lock = self._locks.setdefault(sha256, trio.Lock())
        try:
            async with lock:
                kept = self._kept.get(sha256)
                if kept is not None and not kept.is_checked and not await self._check(sha256, kept):
                    kept = None
                if kept is None:
                    kept = await self._unpack(sha256, blob)
                kept.holds += 1
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(sha256, None)
        try:
            kept.used_at = time.time()
            yield _top(self._directory / sha256 / "problem")
        finally:
            kept.holds -= 1
            await self._make_room()

    def place_of_note(self, sha256: str) -> Path:
        """Where the judge may note something of a package that is held: it goes with it."""
        return self._directory / sha256 / "note"

    async def _check(self, sha256: str, kept: _Kept) -> bool:
        path = self._directory / sha256
        manifest = _read_manifest(path)
        if manifest is not None:
            found = await trio.to_thread.run_sync(digest_of, path / "problem", manifest[0])
            kept.is_checked = found == manifest[1]
        if not kept.is_checked:
            del self._kept[sha256]
            await trio.to_thread.run_sync(shutil.rmtree, path, True)
        return kept.is_checked

    async def _unpack(self, sha256: str, blob: Blob) -> _Kept:
        with await blob() as hold:
            draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self._directory))
            try:
                draft.chmod(0o755)
                (draft / "problem").mkdir(mode=0o755)
                (draft / "problem").chmod(0o755)
                unpacking = Unpacking(draft / "problem", self._most_bytes())
                try:
                    await self._run(hold.path, unpacking)
                    digest = unpacking.finish()
                finally:
                    unpacking.close()
                _top(draft / "problem")
                manifest = {"files": unpacking.entries, "digest": digest}
                (draft / "manifest").write_bytes(msgpack.packb(manifest))
                draft.rename(self._directory / sha256)
            except OSError as error:
                raise HostError(
                    f"no room to unpack it: {self._directory}: {error.strerror}; fix: free some"
                ) from error
            finally:
                with trio.CancelScope(shield=True):  # half of it is of no use to anybody
                    await trio.to_thread.run_sync(shutil.rmtree, draft, True)
        size_bytes = sum(entry.size for entry in unpacking.entries)
        kept = self._kept[sha256] = _Kept(size_bytes, time.time(), is_checked=True)
        return kept

    async def _run(self, archive: Path, unpacking: Unpacking) -> None:
        most_bytes = self._most_bytes()
        failure: list[SandboxError] = []
        stderr = bytearray()

        async def sink(stream: str, data: bytes) -> None:
            if stream == "stderr":
                stderr.extend(data[: _MOST_STDERR_BYTES - len(stderr)])
                return
            try:
                await trio.to_thread.run_sync(unpacking.feed, data)
            except SpecError as error:
                failure.append(error)
            except OSError as error:
                failure.append(HostError(f"no room to unpack it: {error.strerror}; fix: free some"))
            if failure:
                raise BrokenPipeError  # as one who has heard enough: the job ends

        job = Job(
            command=(
                b"python3", b"-I", b"-S", b"-c", _SCRIPT, _PLACE,
                str(FILES_MOST).encode(), str(most_bytes).encode(),
            ),
            policy="python",
            limits={**_LIMITS, "output_bytes": most_bytes + _SPARE_BYTES},
            inputs=(Input(archive, _PLACE, copied=False),),
        )  # fmt: skip
        (outcome,) = await self._orders.run(self._tenant, [Order(job, None, sink)])
        if failure:
            raise failure[0]
        if isinstance(outcome, SandboxError):
            raise outcome
        result = outcome.result
        if result.verdict != "exited":
            why = "; ".join(result.evidence)
            raise SpecError("problem", f"unpacking it was ended: {result.verdict}: {why}")
        if result.exit_code:
            said = printable(stderr.decode("utf-8", "replace"))
            raise SpecError("problem", said or f"unpacking it ended with {result.exit_code}")

    async def _make_room(self) -> None:
        """Remove what was not used for the longest time, and is not in use, until they fit."""
        most_bytes = self._most_bytes()
        in_order = sorted(self._kept, key=lambda sha256: self._kept[sha256].used_at)
        for sha256 in in_order:
            if sum(kept.size_bytes for kept in self._kept.values()) <= most_bytes:
                break
            if not self._kept[sha256].holds and sha256 not in self._locks:
                del self._kept[sha256]
                # Out of the way at once: half of it must not be found under its name.
                gone = Path(tempfile.mkdtemp(prefix="gone-", dir=self._directory))
                (self._directory / sha256).rename(gone / sha256)
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(shutil.rmtree, gone, True)


def _read_manifest(path: Path) -> tuple[list[Entry], str] | None:
    """Of a package; None: it is none."""
    try:
        table = msgpack.unpackb((path / "manifest").read_bytes())
        entries = [Entry(str(name), int(size), bool(flag)) for name, size, flag in table["files"]]
        return entries, str(table["digest"])
    except (OSError, ValueError, TypeError, KeyError, msgpack.UnpackException):
        return None


def _top(files: Path) -> Path:
    """The package: all of it, or the one directory in it that looks like one.

    Raises SpecError: there is none, or several.
    """
    if any((files / name).exists() for name in _TOPS):
        return files
    found = [one for one in files.iterdir() if any((one / name).exists() for name in _TOPS)]
    if len(found) != 1:
        raise SpecError(
            "problem",
            f"{len(found) or 'no'} directories in it have a problem.yaml; it is to be at the top,"
            " or in one directory there",
        )
    return found[0]
