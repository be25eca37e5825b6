"""The stub: forked by init, parked until a job comes, then locked; it becomes the payload."""

import os

from sandbox.boundary.channel import LENGTH, Channel
from sandbox.boundary.plan import JobPlan, SandboxPlan, decode
from sandbox.boundary.report import Kind, Report
from sandbox.boundary.report import Step as Code
from sandbox.inside.identity import become_job, is_job
from sandbox.inside.lock import LOCK_STEPS, PARK_STEPS, Lock
from sandbox.inside.placement import Placement
from sandbox.inside.steps import Step, StepFailed, raise_walls, run_to_end
from sandbox.kernel.processes import PR_SET_NAME, prctl

__all__ = ["IDENTITY_STEPS", "run_stub"]


PLACE_STEPS = (
    Step(Code.CGROUP_PAYLOAD, Placement.enter, Placement.has_entered),
    Step(Code.CGROUP_NAMESPACE, Placement.hide_cgroup, Placement.cgroup_hidden),
)
IDENTITY_STEPS = (Step(Code.IDENTITY, become_job, is_job),)


def run_stub(plan: SandboxPlan, channel: Channel, cgroup_fds: list[int], parking: Channel) -> None:
    """Park, say so on `parking`, then lock and execute the one job that comes. Never returns."""
    lock = Lock(channel.fileno())

    def life() -> None:
        prctl(PR_SET_NAME, plan.stub_name)
        raise_walls(PLACE_STEPS, Placement(cgroup_fds))
        cgroup_ns_fd = os.open(b"/proc/self/ns/cgroup", os.O_RDONLY | os.O_CLOEXEC)
        parking.send(LENGTH.pack(0), (cgroup_ns_fd,))
        raise_walls(IDENTITY_STEPS, plan)
        raise_walls(PARK_STEPS, plan)
        parking.send(LENGTH.pack(0))
        data, fds = channel.receive()
        lock.take(decode(JobPlan, data), fds)
        raise_walls(LOCK_STEPS, lock)
        os.write(lock.report_fd, Report(Kind.LOCKED).pack())
        if os.read(lock.report_fd, 1):
            _execute(lock.plan)

    # The report's fd is another one once the fds are sorted.
    run_to_end(life, lambda report: os.write(lock.report_fd, report))


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
