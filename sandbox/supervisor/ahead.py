"""What of a lone job is done before trio is loaded, so that the zygote need not wait for that."""

from sandbox.spec.job import Job
from sandbox.spec.policy import Policy
from sandbox.supervisor.failures import told_as
from sandbox.supervisor.planner import Planner, template_key
from sandbox.supervisor.rootfs import plan_binds
from sandbox.supervisor.seccomp import collector_filter
from sandbox.supervisor.startup import Ground

__all__ = ["plan_ahead"]


@told_as("planning the job")
def plan_ahead(ground: Ground, job: Job, policy: Policy) -> None:
    """Plan the job's template, and have the zygote mount it meanwhile.

    Raises SpecError or HostError: the job cannot run here; ZygoteError.
    """
    binds = plan_binds(job)
    planner = Planner(job, binds, policy, ground.backend)
    ground.mount_ahead(template_key(job, binds, policy), planner)
    if job.artifacts:
        collector_filter()  # kept for the next run: once locked, we write no cache
