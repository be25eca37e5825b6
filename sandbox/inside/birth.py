"""What the two processes of a sandbox are cloned with: init, and the stub that it forks first."""

from __future__ import annotations

import _socket
import os

from sandbox.boundary.plan import SandboxPlan
from sandbox.inside.placement import Placement

__all__ = ["Birth"]


class Birth:
    """The plan, and bare fds: made in the zygote, where nothing of it is copied by being touched.

    fds: control, report, lease, the payload's three streams unless it has a terminal, its cgroups.
    """

    def __init__(
        self,
        plan: SandboxPlan,
        namespaces: dict[bytes, bytes],
        cgroups: list[bytes],
        loader_fd: int,
        fds: list[int],
    ) -> None:
        self.plan = plan
        self.namespaces = namespaces  # of the zygote
        self.loader_fd = loader_fd
        # The lease is held by init to the end, so that a killed supervisor's id is not free before.
        self.control_fd, self.report_fd, self.lease_fd, *rest = fds
        streams = 0 if plan.terminal else 3
        self.stdio_fds = rest[:streams]
        self.placement = Placement(rest[streams:], cgroups, born=plan.born_in_cgroup)
        self.mapped_fd, self.mapping_fd = os.pipe()
        self.parked_fd, self.parking_fd = (end.detach() for end in _socket.socketpair())

    def tell_mapped(self) -> None:
        """Say to both of them that their ids are mapped."""
        os.write(self.mapping_fd, b"12")

    def wait_until_mapped(self) -> None:
        """Wait for that. EOFError: the zygote could not write the maps."""
        os.close(self.mapping_fd)
        if not os.read(self.mapped_fd, 1):
            raise EOFError

    def close(self) -> None:
        """Close what the zygote has made for them."""
        for fd in (self.mapped_fd, self.mapping_fd, self.parked_fd, self.parking_fd):
            os.close(fd)
