"""The files of subordinate ids, /etc/subuid and /etc/subgid: who may map which host ids."""

import pwd
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Range", "SubidFile", "read_subids"]

_LAST_ID = 0xFFFFFFFE  # 0xFFFFFFFF is (uid_t)-1, "no id"


class Range(NamedTuple):
    """`count` host ids from `start` on."""

    start: int
    count: int

    @property
    def end(self) -> int:
        """The first id after the range."""
        return self.start + self.count

    def overlaps(self, other: "Range") -> bool:
        """Whether some id is in both."""
        return self.start < other.end and other.start < self.end


class SubidFile(NamedTuple):
    """What one file grants: (owner as written, range) in its order, and what was ignored, why."""

    path: Path
    entries: tuple[tuple[str, Range], ...]
    ignored: tuple[str, ...]

    def usable(self, uid: int, own_id: int) -> tuple[list[Range], list[str]]:
        """The ranges of user `uid` that are safe to map, largest first, and why others are not.

        A range that somebody else's overlaps is not: that user could act as our jobs. Nor is one
        with root's id, or with `own_id`, the caller's own id in this file: the kernel takes no
        id twice (user_namespaces(7)).
        """
        names = owner_names(uid)
        good, problems = [], []
        for owner, mine in self.entries:
            if owner not in names:
                continue
            line = f"{self.path}: {owner}:{mine.start}:{mine.count}"
            others = sorted(
                other for other, range_ in self.entries
                if other not in names and range_.overlaps(mine)
            )  # fmt: skip
            if others:
                problems.append(f"{line} overlaps a range of {others[0]}")
            elif any(mine.start <= known < mine.end for known in (0, own_id)):
                problems.append(f"{line} holds the id of root or of the user")
            else:
                good.append(mine)
        return sorted(good, key=lambda range_: -range_.count), problems

    def free_range(self, count: int, taken: Iterable[Range] = ()) -> Range:
        """The lowest `count` ids from 100000 on that neither this file nor `taken` names.

        100000 is SUB_UID_MIN of login.defs(5).
        """
        candidate = Range(100000, count)
        for _, used in sorted([*self.entries, *(("", range_) for range_ in taken)], key=_by_start):
            if used.overlaps(candidate):
                candidate = Range(used.end, count)
        return candidate


def owner_names(uid: int) -> set[str]:
    """How a line may name this user: by number, and by login name where there is one."""
    try:
        return {str(uid), pwd.getpwuid(uid).pw_name}
    except KeyError:
        return {str(uid)}


def read_subids(path: Path) -> SubidFile:
    """The file at `path`; without one that can be read nobody is granted any. subuid(5)."""
    try:
        lines = path.read_text("utf-8", "surrogateescape").split("\n")
    except OSError as error:
        return SubidFile(path, (), (f"{path}: {error.strerror}",))
    entries, ignored = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            entries.append(_parse(line))
        except ValueError as error:
            ignored.append(f"{path}:{number}: {error}")
    return SubidFile(path, tuple(entries), tuple(ignored))


def _parse(line: str) -> tuple[str, Range]:
    fields = line.strip().split(":")
    if len(fields) != 3 or not fields[0]:
        raise ValueError("not owner:start:count")
    if not all(field.isascii() and field.isdigit() and len(field) <= 10 for field in fields[1:]):
        raise ValueError("start and count must be decimal numbers")
    range_ = Range(int(fields[1]), int(fields[2]))
    if range_.count == 0 or range_.end - 1 > _LAST_ID:
        raise ValueError("the range is empty or leaves the 32 bits of an id")
    return fields[0], range_


def _by_start(entry: tuple[str, Range]) -> int:
    return entry[1].start
