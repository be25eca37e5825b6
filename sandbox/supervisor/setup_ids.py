"""Granting subordinate ids to a user, and taking back exactly what was granted."""

import contextlib
import fcntl
import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sandbox.spec.errors import HostError
from sandbox.supervisor.subids import Range, SubidFile, read_subids

__all__ = ["grant_ranges", "locked_accounts", "revoke"]

_COUNT = 65536  # what useradd(8) gives, too


@contextlib.contextmanager
def locked_accounts(etc: Path) -> Iterator[None]:
    """Keep usermod(8) and its kin from editing the files of `etc` meanwhile. lckpwdf(3)."""
    fd = os.open(etc / ".pwd.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise HostError(
            f"another program edits the accounts in {etc}; fix: run the same again"
        ) from error
    finally:
        os.close(fd)


def grant_ranges(etc: Path, name: str, uid: int, gid: int) -> dict[str, str]:
    """Append a free range to /etc/subuid and /etc/subgid, where the user has none that is safe.

    Returns what was appended to which file, for `revoke`. Needs `locked_accounts`. subuid(5).
    """
    files = {file: read_subids(etc / file) for file in ("subuid", "subgid")}
    lacking = [
        file for file, own_id in (("subuid", uid), ("subgid", gid))
        if not files[file].usable(uid, own_id)[0]
    ]  # fmt: skip
    start = _free_range([*files.values()]).start
    appended = {}
    for file in lacking:
        path = etc / file
        before = path.read_bytes() if path.exists() else b""
        text = f"{name}:{start}:{_COUNT}\n"
        if before and not before.endswith(b"\n"):
            text = "\n" + text
        _replace(path, before + text.encode())
        appended[file] = text
    return appended


def revoke(etc: Path, file: str, text: str) -> bool:
    """Take what `grant_ranges` appended out of `file`; whether it was still there.

    A file that is empty then goes too: an absent one means the same.
    """
    path = etc / file
    before = path.read_bytes() if path.exists() else b""
    place = before.rfind(text.encode())
    if place < 0:
        return False
    after = before[:place] + before[place + len(text) :]
    if after:
        _replace(path, after)
    else:
        path.unlink()
    return True


def _free_range(files: list[SubidFile]) -> Range:
    """One that is free in both files: the same numbers as uids and gids are easier to read."""
    accounts = {entry.pw_uid for entry in pwd.getpwall()} | {g.gr_gid for g in grp.getgrall()}
    taken = [Range(number, 1) for number in accounts]
    taken += [range_ for file in files for _, range_ in file.entries]
    return files[0].free_range(_COUNT, taken)


def _replace(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, with the old one's owner, mode and attributes."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as new:
        try:
            if path.exists():
                shutil.copystat(path, new.name)
                os.fchown(new.fileno(), path.stat().st_uid, path.stat().st_gid)
            else:
                os.fchmod(new.fileno(), 0o644)
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).rename(path)
        except BaseException:
            Path(new.name).unlink()
            raise
