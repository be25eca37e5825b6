"""Kernel-enforced quotas: one interface over cgroup v1 and v2, and the ways to a subtree."""

from sandbox.supervisor.cgroup.absent import AbsentBackend
from sandbox.supervisor.cgroup.claim import claim
from sandbox.supervisor.cgroup.delegate_v1 import delegate_v1, undelegate_v1
from sandbox.supervisor.cgroup.delegate_v2 import delegate_v2, enter_v2, undelegate_v2
from sandbox.supervisor.cgroup.find import find_backend
from sandbox.supervisor.cgroup.interface import Backend, JobCgroup, Usage

__all__ = [
    "AbsentBackend", "Backend", "JobCgroup", "Usage", "claim", "delegate_v1", "delegate_v2",
    "enter_v2", "find_backend", "undelegate_v1", "undelegate_v2",
]  # fmt: skip
