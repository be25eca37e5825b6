"""What one tenant has in the blob store: blobs, uploads, and what both count against its quota."""

import re
import stat
from pathlib import Path

import trio

from sandbox.server.blob_file import has_hash, refusing_when_full, touch
from sandbox.server.upload import DRAFT_SUFFIX, Upload
from sandbox.spec.errors import RefusedError
from sandbox.spec.quantities import format_size

__all__ = ["IDLE_SECONDS", "SHA256", "KeptBlob", "Space"]

SHA256 = re.compile(r"[0-9a-f]{64}")
IDLE_SECONDS = 300.0  # then an upload is dropped: its client does not come back

_BLOCK_BYTES = 4096  # no file takes less, so none is counted for less
_MOST_BLOBS = 1 << 16  # each takes an inode, and memory of ours
_MOST_UPLOADS = 16  # each takes an fd
_RETRY_SECONDS = 1.0


class KeptBlob:
    """A complete blob, and what is known of it."""

    def __init__(self, size_bytes: int, last_used: float, *, is_checked: bool) -> None:
        self.size_bytes, self.last_used = size_bytes, last_used
        self.is_checked = is_checked  # its content was seen to have its hash, since we started
        self.is_flushed = False
        self.is_deleted = False  # it goes with its last hold
        self.holds = 0


class Space:
    """The directory of one tenant. Another tenant's is another object: nothing is shared."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist before the first upload."""
        self.path = path
        self.kept: dict[str, KeptBlob] = {}
        self.uploads: dict[str, Upload] = {}
        self.used_bytes = 0  # whole blocks of what is kept, and reserved for uploads

    def find_blobs(self, now: float) -> None:
        """Take what lies in the directory, and remove the drafts that a killed server left."""
        for path in self.path.iterdir():
            status = path.lstat()
            if path.name.endswith(DRAFT_SUFFIX):
                path.unlink()
            elif SHA256.fullmatch(path.name) and stat.S_ISREG(status.st_mode):
                # min: a clock that was ahead must not keep it forever.
                last_used = min(status.st_mtime, now)
                self.kept[path.name] = KeptBlob(status.st_size, last_used, is_checked=False)
                self.used_bytes += _counted_bytes(status.st_size)

    def begin(self, sha256: str, size_bytes: int, quota_bytes: int, now: float) -> Upload:
        """An upload, with all its bytes reserved. Raises RefusedError: quota, too many, disk."""
        if len(self.uploads) >= _MOST_UPLOADS:
            self.drop_idle(now)
        if len(self.uploads) >= _MOST_UPLOADS:
            problem = f"busy: {_MOST_UPLOADS} uploads are in progress"
            raise RefusedError(problem, _RETRY_SECONDS)
        if len(self.kept) + len(self.uploads) >= _MOST_BLOBS:
            raise RefusedError(f"{_MOST_BLOBS} blobs are held, the most there may be; delete some")
        counted_bytes = _counted_bytes(size_bytes)
        if self.used_bytes + counted_bytes > quota_bytes:
            raise RefusedError(
                f"a blob of {size_bytes} bytes does not fit: {format_size(self.used_bytes)} of "
                f"{format_size(quota_bytes)} are taken; delete some, or wait until they expire"
            )
        with refusing_when_full():
            self.path.mkdir(mode=0o700, exist_ok=True)
            if self.path.is_symlink():  # which mkdir takes for what it points to
                raise NotADirectoryError(self.path)
            upload = Upload(self.path / sha256, size_bytes, now)
        self.uploads[sha256] = upload
        self.used_bytes += counted_bytes
        return upload

    async def append(
        self, sha256: str, data: bytes, now: float, threads: trio.CapacityLimiter
    ) -> None:
        """Go on with an upload, whose lock the caller has; the last of it makes it a kept blob.

        Raises what Upload.take raises, or RefusedError for a full disk: the upload is dropped.
        """
        upload = self.uploads[sha256]
        try:
            with refusing_when_full():
                await trio.to_thread.run_sync(upload.take, data, limiter=threads)
        except trio.Cancelled:
            raise  # before the thread began: the client may come back and go on
        except BaseException:
            self.drop(sha256, upload)
            raise
        if data:
            upload.last_used = now
        if upload.is_published:
            del self.uploads[sha256]
            self.kept[sha256] = KeptBlob(upload.size_bytes, now, is_checked=True)

    async def is_there(
        self, sha256: str, kept: KeptBlob, now: float, threads: trio.CapacityLimiter
    ) -> bool:
        """Whether its file is what it was, which counts as a use; if not, it is forgotten."""
        path = self.path / sha256
        kept.holds += 1  # it stays while we look
        try:
            if not kept.is_checked:
                kept.is_checked = await trio.to_thread.run_sync(
                    has_hash, path, sha256, limiter=threads
                )
            if kept.is_checked and touch(path, kept.size_bytes, now):
                kept.last_used = now
            else:
                self.remove(sha256, kept)
        finally:
            self.release(sha256, kept)
        return self.kept.get(sha256) is kept

    def release(self, sha256: str, kept: KeptBlob) -> None:
        """Take one hold back; the last one takes a deleted blob along."""
        kept.holds -= 1
        if not kept.holds and kept.is_deleted:
            self.remove(sha256, kept)

    def remove(self, sha256: str, kept: KeptBlob) -> None:
        """Unlink a blob, unless it is gone: another may have its name by now."""
        if self.kept.get(sha256) is kept:
            del self.kept[sha256]
            self.used_bytes -= _counted_bytes(kept.size_bytes)
            (self.path / sha256).unlink(missing_ok=True)

    def drop(self, sha256: str, upload: Upload) -> None:
        """End an upload, whose lock nobody else has, unless it is over."""
        if self.uploads.get(sha256) is upload:
            del self.uploads[sha256]
            self.used_bytes -= _counted_bytes(upload.size_bytes)
            upload.drop()

    def drop_idle(self, now: float) -> None:
        """Drop the uploads that got nothing for IDLE_SECONDS."""
        for sha256, upload in list(self.uploads.items()):
            if upload.last_used + IDLE_SECONDS <= now and not upload.lock.locked():
                self.drop(sha256, upload)


def _counted_bytes(size_bytes: int) -> int:
    return max(1, -(-size_bytes // _BLOCK_BYTES)) * _BLOCK_BYTES
