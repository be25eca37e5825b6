"""The supervisor's own walls: once it has all that it needs, it gives up the rest, for good.

For a process that is ours alone, and has one thread: what Landlock and no_new_privs restrict is a
thread and those that it starts.
"""

import errno
import os
import resource
from collections.abc import Iterable
from typing import NamedTuple

from sandbox.kernel.confinement import (
    landlock_add_path,
    landlock_create_ruleset,
    landlock_restrict_self,
    seccomp_load,
)
from sandbox.kernel.processes import PR_SET_NO_NEW_PRIVS, prctl
from sandbox.spec.errors import HostError
from sandbox.supervisor.failures import told_as
from sandbox.supervisor.landlock import (
    changing_accesses,
    handled_accesses,
    reading_accesses,
    removing_accesses,
)
from sandbox.supervisor.own_filters import supervisor_filter
from sandbox.supervisor.planner import host_facts

__all__ = ["Places", "confine"]

_SCOPE_SOCKETS = 0b01  # abstract unix sockets; signals are how jobs are ended
_LEAST_MEMORY_BYTES = 2 << 30
_STATUS = {b"NoNewPrivs": b"1", b"Seccomp": b"2"}
_NOT_WRITABLE = "/proc/self/comm"  # by whom Landlock holds; by anybody else it is


class Places(NamedTuple):
    """Directories in which the supervisor will change files; everything else it only reads."""

    changed: tuple[str, ...] = ()  # files and directories below are made, written and removed
    emptied: tuple[str, ...] = ()  # files right there, or below, are removed, and no more


@told_as("locking the supervisor")
def confine(places: Places) -> dict[str, str]:
    """Put all walls on this process, see that they stand, and say which: name -> up, or absent.

    From here on it starts no process, executes nothing, changes no file but in `places`, binds and
    connects nothing. Its memory is bounded, for a leak to end as MemoryError and not as the host's.
    Raises HostError: there are other threads, or a wall does not stand; the caller must end.
    landlock(7), seccomp(2); what this kernel's Landlock does not know is left out, and all of it
    where /proc hides processes: behind Landlock we could see no sandbox there.
    """
    if (count := len(os.listdir("/proc/self/task"))) != 1:
        raise HostError(f"a process with {count} threads cannot be locked as a whole")
    host_facts()  # behind the filter the questions would be our end
    program = supervisor_filter()
    handled = None if (hides := _proc_hides()) else handled_accesses()
    try:
        _bound_memory()
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if handled is not None:
            _restrict_files(handled, places)
        seccomp_load(program, listener=False)
    except (OSError, ValueError) as error:  # as Python has it where a rlimit is refused
        raise HostError(f"the supervisor could not lock itself: {error}") from error
    if left := _missing(has_landlock=handled is not None):
        raise HostError(f"the supervisor has locked itself, and does not see it: {left}")
    absent = "absent: /proc is mounted with hidepid" if hides else "absent: kernel without it"
    landlock = absent if handled is None else _extent(handled)
    return {"seccomp": "up", "no_new_privs": "up", "landlock": landlock}


def _proc_hides() -> bool:
    """Whether it shows only processes that one may trace, which a Landlock domain ends at."""
    with open("/proc/self/mounts", "rb", buffering=0) as file:
        mounts = [line.split() for line in file.read().splitlines()]
    options = [mount[3] for mount in mounts if mount[1] == b"/proc"]
    return bool(options) and b"hidepid=" in options[-1]


def _restrict_files(handled: tuple[int, int, int], places: Places) -> None:
    fs, net, scopes = handled
    ruleset_fd = landlock_create_ruleset(fs, net, scopes & _SCOPE_SOCKETS)
    try:
        for paths, accesses in (
            (("/",), reading_accesses()),
            (places.changed, changing_accesses(fs)),
            (places.emptied, removing_accesses()),
        ):
            for path in dict.fromkeys(paths):
                try:
                    path_fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                except OSError as error:
                    if error.errno != errno.EACCES:
                        raise
                    continue  # of a root that has dropped: it has no right there anyway
                try:
                    landlock_add_path(ruleset_fd, path_fd, accesses)
                finally:
                    os.close(path_fd)
        landlock_restrict_self(ruleset_fd)
    finally:
        os.close(ruleset_fd)


def _bound_memory() -> None:
    """Half of what the host has: no honest supervisor comes near it."""
    most = max(_LEAST_MEMORY_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _missing(*, has_landlock: bool) -> str:
    """What the kernel does not show of the walls; empty where it shows them all."""
    missing = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status", "rb", buffering=0) as file:
            fields = dict(_fields(file.read().splitlines()))
        missing += [
            f"{name.decode()} of thread {task}"
            for name, value in _STATUS.items()
            if fields.get(name) != value
        ]
    if has_landlock:
        try:
            os.close(os.open(_NOT_WRITABLE, os.O_WRONLY | os.O_CLOEXEC))
            missing.append("landlock")
        except PermissionError:
            pass
    return ", ".join(missing)


def _fields(lines: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return ((name, value.strip()) for name, _, value in (line.partition(b":") for line in lines))


def _extent(handled: tuple[int, int, int]) -> str:
    _, net, scopes = handled
    extent = ["files", *(["tcp"] if net else []), *(["abstract sockets"] if scopes else [])]
    return f"up: {', '.join(extent)}"
