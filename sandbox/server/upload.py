"""One upload in progress: bytes in order, hashed as they come, and a name only once they agree."""

import hashlib
import os
import secrets
from pathlib import Path

import trio

from sandbox.wire.errors import InvalidParamsError

__all__ = ["DRAFT_SUFFIX", "Upload"]

DRAFT_SUFFIX = ".draft"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOB_MODE = 0o755  # jobs, which are other users, execute programs from blobs


class Upload:
    """The draft of the blob `final`, whose name is its hash; of `size_bytes` in the end.

    Whoever writes or drops it holds `lock`: the writing is done in threads.
    """

    def __init__(self, final: Path, size_bytes: int, now: float) -> None:
        """Creates the draft beside `final`. Raises OSError."""
        self.size_bytes, self.offset = size_bytes, 0
        self.last_used = now
        self.is_published = False
        self.lock = trio.Lock()
        self._final = final
        # A name of its own: what an earlier upload of this blob still does cannot reach this one.
        self._draft = final.with_name(f"{final.name}.{secrets.token_hex(8)}{DRAFT_SUFFIX}")
        self._hash = hashlib.sha256()
        self._fd = os.open(self._draft, _CREATE, 0o600)

    def take(self, data: bytes) -> None:
        """Append `data`; the last of it publishes the blob. Blocks: for a thread.

        Raises InvalidParamsError where all is there and hashes to something else, and OSError.
        After either the upload is good for nothing but `drop`.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self._hash.update(data)
        self.offset += len(data)
        if self.offset == self.size_bytes:
            self._publish()

    def drop(self) -> None:
        """Close and remove the draft; a published blob is left alone. Idempotent."""
        self._close()
        self._draft.unlink(missing_ok=True)

    def _publish(self) -> None:
        found = self._hash.hexdigest()
        if found != self._final.name:
            raise InvalidParamsError("sha256", f"the {self.size_bytes} bytes hash to {found}")
        os.fchmod(self._fd, _BLOB_MODE)
        # Closed before anyone can find it: a file that is open for writing cannot be executed
        # (ETXTBSY, execve(2)).
        self._close()
        self._draft.rename(self._final)
        self.is_published = True

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
