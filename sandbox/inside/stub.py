"""The stub: forked by init and locked, it becomes the loader, and that becomes the payload."""

from __future__ import annotations

import gc
import os

from sandbox.boundary.channel import LENGTH, Channel
from sandbox.boundary.report import Step as Code
from sandbox.inside.birth import Birth
from sandbox.inside.identity import become_job, is_job
from sandbox.inside.lock import LOCK_STEPS, RIGHTS_STEPS, Lock
from sandbox.inside.placement import Placement
from sandbox.inside.steps import Step, raise_walls, run_to_end

__all__ = ["IDENTITY_STEPS", "run_stub"]


PLACE_STEPS = (
    Step(Code.CGROUP_PAYLOAD, Placement.enter, Placement.has_entered),
    Step(Code.CGROUP_NAMESPACE, Placement.hide_cgroup, Placement.cgroup_hidden),
)
IDENTITY_STEPS = (Step(Code.IDENTITY, become_job, is_job),)


def run_stub(birth: Birth) -> None:
    """Raise all walls but the filter, which the loader raises. Never returns."""
    gc.disable()
    plan = birth.plan
    lock = Lock(plan, birth.report_fd, birth.stdio_fds, birth.loader_fd)

    def life() -> None:
        os.close(birth.parked_fd)
        os.close(birth.control_fd)
        parking = Channel(birth.parking_fd)
        birth.wait_until_mapped()
        raise_walls(PLACE_STEPS, birth.placement)
        if plan.cgroup_mounts:
            cgroup_ns_fd = os.open(b"/proc/self/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
            parking.send(LENGTH.pack(0), (cgroup_ns_fd,))
        raise_walls(IDENTITY_STEPS, plan)
        raise_walls(RIGHTS_STEPS, plan)
        parking.receive()  # until the view stands
        raise_walls(LOCK_STEPS, lock)
        lock.execute_loader(plan.stub_name)

    # The report's fd is another one once the fds are sorted.
    run_to_end(life, lambda report: os.write(lock.report_fd, report))
