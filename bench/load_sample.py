"""What a daemon has when no job runs, and what it has left behind when it has ended."""

import contextlib
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.caller import Caller, run_jobs
from bench.cgroups import v1_directories
from bench.daemon import Daemon
from bench.processes import anonymous_kib, entries, mounts, zygotes
from bench.service import TRUE
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.cgroup.files import cgroup_mounts, process_cgroups
from sandbox.supervisor.identity import find_ranges, runtime_directory

__all__ = ["AT_ONCE", "NOT_JUDGED", "SLACK", "Sample", "leftovers", "settle", "take_sample"]

_PROBES = 20  # jobs, one at a time
_IDLE_SECONDS = 90.0  # for what was given up to end: no job may run for longer than its wall time
_DYING_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_LOOKS = 8  # that see the same
# A sandbox is parked for each of as many jobs as there lately were at once. One of each kind that
# the load has, and so long that as many of them run at once as ever may.
_PARKING = (
    {"command": ["sleep", "0.3"], "policy": "native"},
    {"command": ["sleep", "0.3"]},
    {"command": ["sleep", "0.3"], "tty": True},
    {"command": ["sleep", "0.3"], "policy": "compile"},
)
AT_ONCE = 2 * CORES


class Sample(NamedTuple):
    """What stands when no job runs; -1: not to be seen here. `_beside`: beside what is parked."""

    visits: int
    parked: int
    daemon_kib: int  # anonymous
    zygotes: int
    zygote_kib: int  # of the greatest
    daemon_fds: int
    zygote_fds: int
    cgroups: int
    daemon_mounts: int
    zygote_mounts: int
    leases_beside: int
    processes_beside: int  # of leased uids
    connections: int
    spool_files: int
    blob_files: int
    journal_kib: int
    median_ms: float  # of jobs that run alone


# How much of a rise is none: a share, and beside it a number. A sandbox has some twenty fds.
SLACK = {
    "daemon_kib": (0.05, 1024.0),
    "zygote_kib": (0.05, 512.0),
    "daemon_fds": (0.0, 30.0),
    "cgroups": (0.0, 6.0),
    "journal_kib": (0.25, 4096.0),
    "median_ms": (0.25, 2.0),
}
NOT_JUDGED = ("visits", "parked")


def take_sample(daemon: Daemon, callers: Sequence[Caller], visits: int) -> Sample:
    """Wait until nothing runs, park what may be, and look. TimeoutError: something goes on.

    `callers`: at least as many as jobs run at once.
    """
    _wait_until(callers[0], lambda used, _: not used)
    for job in _PARKING:
        run_jobs(callers[:AT_ONCE], AT_ONCE, job)
    seconds = run_jobs(callers[:1], _PROBES, TRUE).seconds
    parked = settle(callers[0])
    found = zygotes(daemon.pid)
    return Sample(
        visits=visits,
        parked=parked,
        daemon_kib=anonymous_kib(daemon.pid),
        zygotes=len(found),
        zygote_kib=max(map(anonymous_kib, found), default=-1),
        daemon_fds=entries(Path(f"/proc/{daemon.pid}/fd")),
        zygote_fds=max((entries(Path(f"/proc/{pid}/fd")) for pid in found), default=-1),
        cgroups=sum(1 for run in _runs(daemon.pid) for path in run.rglob("*") if path.is_dir()),
        daemon_mounts=mounts(daemon.pid),
        zygote_mounts=max(map(mounts, found), default=-1),
        leases_beside=_leases() - parked,
        processes_beside=_leased_processes() - 2 * parked,
        connections=gauge(callers[0], "sandbox_connections"),
        spool_files=_files(daemon.state / "spool"),
        blob_files=_files(daemon.state / "blobs"),
        journal_kib=sum(path.stat().st_size for path in daemon.state.glob("journal*")) // 1024,
        median_ms=round(statistics.median(seconds) * 1000, 3),
    )


def settle(caller: Caller) -> int:
    """Wait until no job runs, and as many sandboxes are parked as for some looks: so many."""
    seen: list[int] = []

    def is_still(used: int, parked: int) -> bool:
        seen.append(-1 if used else parked)
        return len(seen) >= _LOOKS and len({*seen[-_LOOKS:]}) == 1 and not used

    return _wait_until(caller, is_still)


def leftovers(daemon_pids: Collection[int], state: Path) -> list[str]:
    """What daemons that have ended, these, have left of jobs: nothing, if all is well."""
    ends_at = time.monotonic() + _DYING_SECONDS
    while _leased_processes() and time.monotonic() < ends_at:
        time.sleep(_LOOK_SECONDS)  # killed, and not gone yet
    with contextlib.closing(sqlite3.connect(state / "journal.sqlite")) as journal:
        query = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')"
        ((unfinished,),) = journal.execute(query)
    found = {
        "cgroups": sum(1 for pid in daemon_pids for _ in _runs(pid)),
        "leases": _leases(),
        "processes of leased uids": _leased_processes(),
        "files in spool/": _files(state / "spool"),
        "files in blobs/": _files(state / "blobs"),
        "jobs that are not over": unfinished,
    }
    return [f"left behind: {count} {what}" for what, count in found.items() if count]


def gauge(caller: Caller, name: str) -> int:
    """A number among the daemon's metrics."""
    text = caller.call("server.metrics")["text"]
    return int(text.partition(f"\n{name} ")[2].partition("\n")[0])


def _wait_until(caller: Caller, condition: Callable[[int, int], bool]) -> int:
    """Wait for what is true of jobs that there are and sandboxes that are parked: the latter."""
    ends_at = time.monotonic() + _IDLE_SECONDS
    while time.monotonic() < ends_at:
        info = caller.call("server.info")
        parked = gauge(caller, "sandbox_pool_idle")
        if condition(info["used"]["jobs"] + info["queued"], parked):
            return parked
        time.sleep(_LOOK_SECONDS)
    raise TimeoutError(f"jobs go on that nobody waits for: {info['used']}")


def _runs(pid: int) -> Iterator[Path]:
    """The directories of a daemon's cgroups, which has ended or not."""
    if bases := v1_directories():
        for base in bases:
            yield from base.glob(f"sandbox-run-{pid}-*")
    elif own := process_cgroups(pid).get(""):
        # It is in a leaf beside those of its jobs.
        shown = (mount.shown(own) for mount in cgroup_mounts() if mount.version == 2)
        yield Path(next(filter(None, shown))).parent


def _leases() -> int:
    """How many ids are leased, by any runner of this user: proc_locks(5)."""
    try:
        inode = (runtime_directory(os.getuid()) / "leases").stat().st_ino
    except OSError:
        return 0
    lines = Path("/proc/locks").read_text().splitlines()
    return sum(1 for line in lines if line.split()[5].endswith(f":{inode}"))


def _leased_processes() -> int:
    ranges = find_ranges(os.getuid())
    if ranges is None:
        return 0
    uids = range(ranges.uids.start, ranges.uids.start + ranges.uids.count)
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found += process.stat().st_uid in uids
    return found


def _files(directory: Path) -> int:
    return sum(1 for path in directory.rglob("*") if path.is_file())
