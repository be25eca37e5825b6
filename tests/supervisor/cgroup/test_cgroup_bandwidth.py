"""CPUs to quotas, by table."""

import os

import pytest

from sandbox.supervisor.cgroup.bandwidth import Bandwidth, bandwidth


@pytest.mark.parametrize(
    ("cpus", "quota"),
    [
        (0.5, Bandwidth(50_000, 100_000)),
        (0.01, Bandwidth(1_000, 100_000)),
        (0.005, Bandwidth(5_000, 1_000_000)),  # 500 us in 100 ms: less than the kernel takes
        (0.0001, Bandwidth(1_000, 1_000_000)),  # its least share of all
    ],
)
def test_a_share_becomes_a_quota_that_the_kernel_takes(cpus: float, quota: Bandwidth) -> None:
    assert bandwidth(cpus, core=None) == quota


def test_a_job_that_cannot_use_more_has_no_quota() -> None:
    every_cpu = os.cpu_count() or 1
    assert bandwidth(every_cpu, core=None) is None
    assert bandwidth(1, core=0) is None
    assert bandwidth(0.99, core=0) == Bandwidth(99_000, 100_000)
