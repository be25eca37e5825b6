"""What /proc tells of a process: what it has, and what could be left behind."""

from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = [
    "anonymous_kib", "children", "entries", "is_zombie", "mounts", "namespaces", "zombies",
    "zygotes",
]  # fmt: skip

_NAMESPACES = ("net", "user", "mnt")


def children(pid: int) -> list[int]:
    """proc_pid_task(5); none of a process that is gone."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return []
    return [int(child) for text in texts for child in text.split()]


def zygotes(pid: int) -> list[int]:
    """Those of a supervisor, which has a keeper and a lookout beside them."""
    return [child for child in children(pid) if _name(child) == "sandbox-zygote"]


def anonymous_kib(pid: int) -> int:
    """Its anonymous memory; -1: not to be seen."""
    # Not smaps_rollup: this one may be read of a process of another user namespace too.
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return -1
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon:")), -1)


def entries(directory: Path) -> int:
    """How many there are, as of /proc/PID/fd; -1: not to be seen."""
    try:
        return sum(1 for _ in directory.iterdir())
    except OSError:
        return -1


def mounts(pid: int) -> int:
    """How many are in its namespace; -1: not to be seen."""
    try:
        return len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
    except OSError:
        return -1


def namespaces(holders: Iterable[int]) -> set[str]:
    """Those that a process is in, and those that an fd of `holders` keeps."""
    return set(_namespaces(set(holders)))


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _namespaces(holders: set[int]) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        if is_zombie(process):
            continue
        links = [process / "ns" / name for name in _NAMESPACES]
        if int(process.name) in holders:
            links += _listed(process / "fd")
        for link in links:
            try:
                target = str(link.readlink())
            except OSError:
                continue  # gone, or not ours to see
            if target.partition(":")[0] in _NAMESPACES:
                yield target


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def zombies() -> int:
    """How many there are, whosesoever."""
    return sum(map(is_zombie, Path("/proc").glob("[0-9]*")))


def is_zombie(process: Path) -> bool:
    """Whether this directory of /proc is of a process that has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False
