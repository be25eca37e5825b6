"""Processes that enter a job's cgroup as a stub does: by writing "0" to fds they were given."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.spec.errors import HostError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup import Backend, JobCgroup, find_backend

ENTER = """
import os, sys
for fd in sys.argv[1:]:
    os.write(int(fd), b"0")
def tell(*values): print(*values, flush=True)
"""

LIMITS = Limits(
    memory_bytes=64 << 20,
    processes=16,
    cpus=1.0,
    cpu_seconds=None,
    wall_seconds=60.0,
    idle_seconds=None,
    extra_seconds=0.0,
    disk_bytes=16 << 20,
    disk_inodes=1000,
    output_bytes=1 << 20,
    fds=64,
    stack_bytes=None,
    core=None,
)


def destroy(job: JobCgroup) -> None:
    """Destroy a job whose processes were all killed; they leave a moment after they are reaped."""
    for _ in range(100_000):
        with contextlib.suppress(OSError):
            job.destroy()
            return
    job.destroy()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """The subtree that this host gives us, v1 or v2."""
    try:
        found = find_backend(os.geteuid())
    except HostError as error:
        pytest.skip(str(error))
    yield found
    found.close()


@pytest.fixture
def create(backend: Backend) -> Iterator[Callable[..., JobCgroup]]:
    """A job's cgroups, with the limits that the test names; destroyed at the end."""
    jobs: list[JobCgroup] = []

    def make(*, disk_apart: bool = False, **changes: Any) -> JobCgroup:
        limits = LIMITS._replace(**changes)
        jobs.append(backend.create(f"job{len(jobs)}", limits, disk_apart=disk_apart))
        return jobs[-1]

    yield make
    for job in jobs:
        destroy(job)


def ways_in(job: JobCgroup) -> list[int]:
    """Files to write "0" to, for a process that was not born in the cgroup; to be closed."""
    if job.born_in:
        return [os.open("cgroup.procs", os.O_WRONLY, dir_fd=fd) for fd in job.entry_fds]
    return [os.dup(fd) for fd in job.entry_fds]


@pytest.fixture
def enter(create: object) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start Python code in a job's cgroup, or outside, where init is. It ends before the job."""
    started: list[subprocess.Popen[bytes]] = []

    def start(job: JobCgroup, code: str, *, beside_init: bool = False) -> "subprocess.Popen[bytes]":
        fds = [] if beside_init else ways_in(job)
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", ENTER + code, *map(str, fds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=fds,
            start_new_session=True,
        )
        for fd in fds:
            os.close(fd)
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def two_cores() -> tuple[int, int]:
    """Two CPUs of this host."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("needs two CPUs")
    return next(itertools.pairwise(cores))
