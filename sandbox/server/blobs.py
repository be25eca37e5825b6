"""Blobs: what tenants uploaded, by SHA-256, within their quotas, until nobody used it for a time.

A blob is a file `TENANT/SHA256` in the store's directory, where TENANT is a hash of the tenant's
name. Nothing is shared between tenants: who uploads what another has would learn that he has it.
The directory is all the state there is; the time of a blob's last use is its file's mtime.

A complete blob is not flushed to the disk (see `Hold.flush`), so a power cut may leave half of it
under its name. Therefore those found at start are hashed again before their first use.
"""

import heapq
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import trio

from sandbox.server.blob_file import flush
from sandbox.server.blob_space import IDLE_SECONDS, SHA256, KeptBlob, Space
from sandbox.server.directories import directory_name
from sandbox.spec.errors import HostError
from sandbox.spec.fields import shown
from sandbox.wire.errors import InvalidParamsError, NotFoundError

__all__ = ["Blob", "BlobStore", "Hold", "Progress"]

_TENANT = re.compile(r"[0-9a-f]{32}")
_MOST_THREADS = 4
_SWEEP_ITEMS = 64  # removed in one go: some milliseconds, in which nothing else runs


class Progress(NamedTuple):
    """How far an upload is: the offset of the byte that is expected next."""

    offset: int
    is_complete: bool


class Blob(NamedTuple):
    """A blob, or an upload in progress; `size_bytes` in the end, `expires_at` in Unix seconds."""

    sha256: str
    size_bytes: int
    is_complete: bool
    expires_at: float


class Hold:
    """A blob that stays at `path` until `release`, or the end of a with block."""

    def __init__(self, space: Space, sha256: str, kept: KeptBlob) -> None:
        self.path = space.path / sha256
        self._space, self._sha256, self._kept = space, sha256, kept
        self._is_released = False
        kept.holds += 1

    def release(self) -> None:
        """Let it go. Idempotent."""
        if not self._is_released:
            self._is_released = True
            self._space.release(self._sha256, self._kept)

    async def flush(self) -> None:
        """Return once it would survive a power cut, as jobs of durability "power" promise."""
        if not self._kept.is_flushed:
            await trio.to_thread.run_sync(flush, self.path)
            self._kept.is_flushed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class BlobStore:
    """The blobs of all tenants, in a directory that is ours alone: one store at a time.

    Methods take the tenant's name; what is another tenant's is as good as absent. A `sha256` that
    is none raises InvalidParamsError.
    """

    def __init__(
        self,
        directory: Path,
        quota_bytes: Callable[[str], int],
        retention_seconds: float,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """See what there is, and remove what uploads left behind. Blocks, as long as that takes.

        `quota_bytes`: by a tenant's name. Raises HostError where others could write there.
        """
        self._directory = directory
        self._quota_bytes = quota_bytes
        self._retention_seconds = retention_seconds
        self._clock = clock
        # Threads, because the kernel lets who writes much wait for the disk. Few of them, so that
        # uploads leave cores and threads to the jobs.
        self._threads = trio.CapacityLimiter(_MOST_THREADS)
        self._spaces = {space.path.name: space for space in self._find_spaces()}

    async def put(
        self, tenant: str, sha256: str, size_bytes: int, offset: int, data: bytes
    ) -> Progress:
        """Append `data` to an upload, or begin one; the last of `size_bytes` completes the blob.

        An `offset` that is not the expected one writes nothing: the answer says where to go on.
        Empty `data` asks for that; what is held already is complete at once, and counts as used.

        Raises RefusedError: quota, too many uploads, disk full. InvalidParamsError: "sha256" if
        the content has another hash, and the upload is gone; "bytes", "data" if they contradict.
        """
        space = self._space(tenant, sha256)
        kept = space.kept.get(sha256)
        if kept and await space.is_there(sha256, kept, self._clock(), self._threads):
            _require_size(kept.size_bytes, size_bytes)
            kept.is_deleted = False
            return Progress(size_bytes, True)
        upload = space.uploads.get(sha256)
        if upload is None:
            if offset or (size_bytes and not data):
                return Progress(0, False)
            upload = space.begin(sha256, size_bytes, self._quota_bytes(tenant), self._clock())
            self._spaces[space.path.name] = space  # only now: who only asks takes no memory
        async with upload.lock:
            if space.uploads.get(sha256) is not upload:  # it ended while we waited
                is_complete = sha256 in space.kept
                return Progress(size_bytes if is_complete else 0, is_complete)
            _require_size(upload.size_bytes, size_bytes)
            if offset == upload.offset:
                left_bytes = upload.size_bytes - offset
                if len(data) > left_bytes:
                    problem = f"{len(data)} bytes at {offset}, where {left_bytes} are left"
                    raise InvalidParamsError("data", problem)
                await space.append(sha256, data, self._clock(), self._threads)
            return Progress(upload.offset, upload.is_published)

    async def hold(self, tenant: str, sha256: str) -> Hold:
        """Keep a complete blob where it is, and count it as used. Raises NotFoundError."""
        space = self._space(tenant, sha256)
        kept = space.kept.get(sha256)
        is_there = kept and await space.is_there(sha256, kept, self._clock(), self._threads)
        if not kept or not is_there or kept.is_deleted:
            raise _not_found(sha256)
        return Hold(space, sha256, kept)

    def stat(self, tenant: str, sha256: str) -> Blob:
        """A blob, or an upload that is in progress. Raises NotFoundError."""
        space = self._space(tenant, sha256)
        kept, upload = space.kept.get(sha256), space.uploads.get(sha256)
        if kept and not kept.is_deleted:
            return self._blob(sha256, kept)
        if upload:
            return Blob(sha256, upload.size_bytes, False, upload.last_used + IDLE_SECONDS)
        raise _not_found(sha256)

    def list(self, tenant: str, after: str = "", most: int = 1000) -> list[Blob]:
        """The first `most` complete blobs, by name, that follow the name `after`."""
        space = self._spaces.get(directory_name(tenant))
        kept = space.kept if space else {}
        names = (name for name, blob in kept.items() if name > after and not blob.is_deleted)
        return [self._blob(name, kept[name]) for name in heapq.nsmallest(most, names)]

    async def delete(self, tenant: str, sha256: str) -> None:
        """Remove a blob, with its last hold at the latest, or an upload. Raises NotFoundError."""
        space = self._space(tenant, sha256)
        kept, upload = space.kept.get(sha256), space.uploads.get(sha256)
        if kept and not kept.is_deleted:
            kept.is_deleted = True
            if not kept.holds:
                space.remove(sha256, kept)
        elif upload:
            async with upload.lock:
                space.drop(sha256, upload)
        else:
            raise _not_found(sha256)

    def used_bytes(self, tenant: str) -> int:
        """What counts against the tenant's quota: whole blocks, those reserved included."""
        space = self._spaces.get(directory_name(tenant))
        return space.used_bytes if space else 0

    @property
    def total_bytes(self) -> int:
        """What counts against the quotas of all tenants together."""
        return sum(space.used_bytes for space in self._spaces.values())

    async def sweep(self, now: float) -> None:
        """Remove the blobs that nobody held or used for the retention time, and idle uploads."""
        removed = 0
        for space in list(self._spaces.values()):
            space.drop_idle(now)
            for sha256, kept in list(space.kept.items()):
                if kept.last_used + self._retention_seconds <= now and not kept.holds:
                    space.remove(sha256, kept)
                    removed += 1
                    if removed % _SWEEP_ITEMS == 0:
                        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Drop the uploads. No other call may be going on."""
        for space in self._spaces.values():
            for sha256, upload in list(space.uploads.items()):
                space.drop(sha256, upload)

    def _find_spaces(self) -> Iterator[Space]:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        status = self._directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise HostError(f"{self._directory} is no directory of ours; fix: remove it")
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise HostError(f"others can write to it; fix: chmod 700 {self._directory}")
        for path in self._directory.iterdir():
            if _TENANT.fullmatch(path.name) and stat.S_ISDIR(path.lstat().st_mode):
                space = Space(path)
                space.find_blobs(self._clock())
                yield space

    def _space(self, tenant: str, sha256: str) -> Space:
        if not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise InvalidParamsError("sha256", f"{shown(sha256)} is not 64 digits of 0-9, a-f")
        name = directory_name(tenant)
        return self._spaces.get(name) or Space(self._directory / name)

    def _blob(self, sha256: str, kept: KeptBlob) -> Blob:
        return Blob(sha256, kept.size_bytes, True, kept.last_used + self._retention_seconds)


def _not_found(sha256: str) -> NotFoundError:
    return NotFoundError(f"no blob {sha256}")


def _require_size(known_bytes: int, size_bytes: int) -> None:
    if size_bytes != known_bytes:
        raise InvalidParamsError("bytes", f"{size_bytes}, and this blob has {known_bytes}")
