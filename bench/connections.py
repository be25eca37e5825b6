"""What a connection costs the daemon that says nothing: memory, of its own process."""

import resource
from pathlib import Path

from bench.caller import Caller
from bench.daemon import Daemon, serving
from bench.processes import anonymous_kib
from bench.ratios import Goal, Ratio, ratio_of
from bench.stage import Stage

__all__ = ["measure_connections"]

_FIGURE = "daemon's memory for an idle connection"
_FIRST, _MANY, _TRIES = 20, 1000, 3


def measure_connections(stage: Stage, only: str) -> list[Ratio]:
    """The figure, if it has `only` in its name; of a fresh daemon for each try."""
    if only not in _FIGURE:
        return []
    # Each is an fd of ours too.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    tries = [_try(stage, stage.scratch / f"connections-{number}") for number in range(_TRIES)]
    return [
        ratio_of(_FIGURE, "1 KiB", [[found] for found in tries], [[1.0]] * _TRIES, goal=Goal(16, 8))
    ]


def _try(stage: Stage, directory: Path) -> float:
    with serving(stage.package, directory) as daemon:
        opened = _connect(daemon, _FIRST)  # what is made once
        before = anonymous_kib(daemon.pid)
        opened += _connect(daemon, _MANY)
        grown = anonymous_kib(daemon.pid) - before
        for caller in opened:
            caller.close()
    return grown / _MANY


def _connect(daemon: Daemon, count: int) -> list[Caller]:
    """So many, each of which has been answered."""
    callers = [Caller(daemon.path) for _ in range(count)]
    for caller in callers:
        caller.call("server.hello")
    return callers
