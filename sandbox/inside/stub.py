"""The stub: forked by init, locked, and parked until a job comes; it becomes the payload."""

from __future__ import annotations

import gc
import os

from sandbox.boundary.channel import LENGTH, Channel
from sandbox.boundary.plan import JobPlan, decode
from sandbox.boundary.report import Kind, Report
from sandbox.boundary.report import Step as Code
from sandbox.inside.birth import Birth
from sandbox.inside.identity import become_job, is_job
from sandbox.inside.inputs import read_exactly
from sandbox.inside.lock import LOCK_STEPS, RIGHTS_STEPS, Lock
from sandbox.inside.placement import Placement
from sandbox.inside.steps import Step, StepFailed, raise_walls, run_to_end
from sandbox.kernel.processes import PR_SET_NAME, prctl

__all__ = ["IDENTITY_STEPS", "run_stub"]


PLACE_STEPS = (
    Step(Code.CGROUP_PAYLOAD, Placement.enter, Placement.has_entered),
    Step(Code.CGROUP_NAMESPACE, Placement.hide_cgroup, Placement.cgroup_hidden),
)
IDENTITY_STEPS = (Step(Code.IDENTITY, become_job, is_job),)


def run_stub(birth: Birth) -> None:
    """Lock, park, then execute the one job that comes. Never returns."""
    gc.disable()
    plan = birth.plan
    lock = Lock(plan, birth.report_fd, birth.stdio_fds)

    def life() -> None:
        os.close(birth.parked_fd)
        os.close(birth.control_fd)
        parking = Channel(birth.parking_fd)
        prctl(PR_SET_NAME, plan.stub_name)
        birth.wait_until_mapped()
        raise_walls(PLACE_STEPS, birth.placement)
        if plan.cgroup_mounts:
            cgroup_ns_fd = os.open(b"/proc/self/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
            parking.send(LENGTH.pack(0), (cgroup_ns_fd,))
        raise_walls(IDENTITY_STEPS, plan)
        raise_walls(RIGHTS_STEPS, plan)
        parking.receive()  # until the view stands
        raise_walls(LOCK_STEPS, lock)
        os.write(lock.report_fd, Report(Kind.LOCKED).pack())
        _execute(decode(JobPlan, _next_message(lock.report_fd)))

    # The report's fd is another one once the fds are sorted.
    run_to_end(life, lambda report: os.write(lock.report_fd, report))


def _next_message(fd: int) -> bytes:
    """As Channel.receive, by read(2) alone: under the job's own filter there may be nothing else.

    Raises EOFError: the supervisor is gone.
    """
    return read_exactly(fd, LENGTH.unpack(read_exactly(fd, LENGTH.size))[0])


def _execute(job: JobPlan) -> None:
    """Become the payload, as execvp(3) would look for it; come back only with a StepFailed."""
    environment = dict(job.environment)
    code = 0
    for path in job.search:
        try:
            os.execve(path, job.argv, environment)
        except OSError as error:
            # A file that exists and may not be executed is told rather than one that is not there.
            if code in (0, 2, 20):  # ENOENT, ENOTDIR
                code = error.errno or 0
    raise StepFailed(Code.EXEC, code)
