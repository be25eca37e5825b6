"""Cgroups from inside: each process enters its own while it still has the supervisor's uid."""

from __future__ import annotations

import os

from sandbox.kernel.processes import CLONE_NEWCGROUP, unshare

__all__ = ["Placement", "own_cgroups"]


class Placement:
    """The stub's way into the payload's cgroups: made by init, whose own cgroups are not the job's.

    v2: it is born in `into_fd`. v1: it moves itself, through `tasks` files that the supervisor
    opened. The kernel judges by the opener's credentials, and lets it move only its own uid (v1)
    or below a common ancestor that it owns (v2): cgroups(7).
    """

    def __init__(self, fds: list[int], before: list[bytes], *, born: bool) -> None:
        """`before`: the cgroups of init and zygote."""
        self.into_fd = fds[0] if born else None
        self.tasks_fds = [] if born else fds
        self.is_placed = bool(fds)
        self.before = before

    def enter(self) -> None:
        for fd in self.tasks_fds:
            # A lone thread that moves itself by `tasks` is spared the wait for a grace period that
            # `cgroup.procs` costs after some quiet (cgroup_threadgroup_rwsem): 150 times as fast.
            os.write(fd, b"0")

    def has_entered(self) -> bool:
        # Which cgroup it is cannot be told from in here; the supervisor looks, before the job.
        return not self.is_placed or self.before != own_cgroups()

    def hide_cgroup(self) -> None:
        # After the placement: the namespace's root is where its maker stands.
        unshare(CLONE_NEWCGROUP)

    def cgroup_hidden(self) -> bool:
        return all(line.endswith(b":/") for line in own_cgroups())


def own_cgroups() -> list[bytes]:
    """The cgroup of this process in each hierarchy. proc_pid_cgroup(5)."""
    with open(b"/proc/self/cgroup", "rb") as file:
        return file.read().splitlines()
