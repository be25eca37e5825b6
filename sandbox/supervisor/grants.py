"""Changing /etc/subuid and /etc/subgid: a range for a user who has none, and taking it back."""

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.spec.errors import HostError
from sandbox.supervisor.privileges import ROOT_RANGE
from sandbox.supervisor.subids import Range, read_subids

__all__ = ["COUNT", "Grant", "free_range", "plan_grant", "revoke", "write_grant"]

COUNT = 65536  # what useradd(8) gives, SUB_UID_COUNT of login.defs(5)


class Grant(NamedTuple):
    """The exact text that was put at the end of one file, so that just that can be taken out."""

    text: str
    was_missing: bool

    @classmethod
    def from_json(cls, value: Any) -> "Grant":
        """What `_asdict` made, read back from a state file."""
        return cls(str(value["text"]), bool(value["was_missing"]))


def plan_grant(path: Path, owner: str, range_: Range) -> Grant:
    """What is to be added to `path`, so that `owner` has `range_`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Grant(f"{owner}:{range_.start}:{range_.count}\n", True)
    gap = "\n" if content and not content.endswith(b"\n") else ""
    return Grant(f"{gap}{owner}:{range_.start}:{range_.count}\n", False)


def free_range(etc: Path) -> Range:
    """The lowest ids that neither file grants and no account has. HostError: there are none."""
    groups = read_subids(etc / "subgid")
    taken = [range_ for _, range_ in groups.entries]
    taken += [Range(account.pw_uid, 1) for account in pwd.getpwall()]
    found = read_subids(etc / "subuid").free_range(COUNT, taken)
    if found.end > ROOT_RANGE.start:
        raise HostError(f"{etc}/subuid has no {COUNT} free ids; fix: remove unused lines")
    return found


def write_grant(path: Path, grant: Grant) -> None:
    """Add it, in one step for every reader. Raises HostError: somebody else changes the file."""
    with _locked(path):
        content = b"" if grant.was_missing and not path.exists() else path.read_bytes()
        _replace(path, content + grant.text.encode())


def revoke(path: Path, grant: Grant) -> bool:
    """Take it out again; False: it is no longer there. Raises HostError like `write_grant`."""
    with _locked(path):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return False
        before, found, after = content.rpartition(grant.text.encode())
        is_line = bool(found) and (not before or before.endswith(b"\n") or grant.text[0] == "\n")
        if not is_line:
            return False
        if grant.was_missing and not before + after:
            path.unlink()
        elif grant.text[0] == "\n" and after:
            _replace(path, before + b"\n" + after)  # lines came later: they begin on their own
        else:
            _replace(path, before + after)
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock that usermod(8) and useradd(8) take: a link named FILE.lock that holds a pid."""
    lock = path.with_name(path.name + ".lock")
    own = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        own.write_text(f"{os.getpid()}\0")
        try:
            lock.hardlink_to(own)
        finally:
            own.unlink()
    except FileExistsError as error:
        raise HostError(
            f"{path} is being changed by another program; fix: wait, or where none runs: rm {lock}"
        ) from error
    except OSError as error:
        raise HostError(f"{path.parent}: {error.strerror}; fix: run as root") from error
    try:
        yield
    finally:
        lock.unlink()


def _replace(path: Path, content: bytes) -> None:
    """Put `content` in the place of `path`, with the owner and mode that it has."""
    mode, owner = 0o644, None
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        mode, owner = found.st_mode & 0o7777, (found.st_uid, found.st_gid)
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with open(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(fd, mode)
            if owner is not None:
                os.fchown(fd, *owner)
            os.fsync(fd)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
