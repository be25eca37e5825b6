"""Cgroups from inside: each process enters its own while it still has the supervisor's uid."""

import os

from sandbox.kernel.processes import CLONE_NEWCGROUP, unshare

__all__ = ["Placement"]


class Placement:
    """One process's way into its cgroups, by cgroup.procs files that the supervisor opened."""

    def __init__(self, procs_fds: list[int]) -> None:
        self.procs_fds = procs_fds
        self.before = _own_cgroups()

    def enter(self) -> None:
        # The kernel judges by the opener's credentials, and lets it move only its own uid (v1) or
        # below a common ancestor that it owns (v2): cgroups(7).
        for fd in self.procs_fds:
            os.write(fd, b"0")
            os.close(fd)

    def has_entered(self) -> bool:
        # Which cgroup it is cannot be told from in here; the supervisor looks, before the job.
        changed = sum(a != b for a, b in zip(self.before, _own_cgroups(), strict=True))
        return changed >= min(1, len(self.procs_fds))

    def hide_cgroup(self) -> None:
        # After the placement: the namespace's root is where its maker stands.
        unshare(CLONE_NEWCGROUP)

    def cgroup_hidden(self) -> bool:
        return all(line.endswith(b":/") for line in _own_cgroups())


def _own_cgroups() -> list[bytes]:
    with open(b"/proc/self/cgroup", "rb") as file:
        return file.read().splitlines()
