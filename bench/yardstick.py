"""The floor program at work: the same walls and limits as a job of ours, from straight C."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cgroups import v1_directories, v2_run
from bench.stage import Stage
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor import seccomp
from sandbox.supervisor.cgroup.bandwidth import bandwidth

__all__ = ["Floor", "floor"]

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Floor:
    """A floor that waits for orders; its own start and template are behind it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def run(self, jobs: int = 1, loops: int = 1) -> None:
        """Run so many jobs to their end. OSError: one of them failed; stderr says at what."""
        asked, told = self._process.stdin, self._process.stdout
        assert asked is not None and told is not None
        asked.write(b"%d %d\n" % (jobs, loops))
        if told.readline() != b"done\n":
            raise OSError("the floor program failed")


@contextmanager
def floor(stage: Stage, job: Job, *command: str) -> Iterator[Floor]:
    """Start the floor for jobs like `job`, on the cgroups that a supervisor of ours uses.

    On v2 that supervisor must run in this process: see `v2_run`.
    """
    assert stage.floor is not None
    policy = load_policy(job.policy)
    filters = stage.scratch / "payload.bpf", stage.scratch / "init.bpf"
    filters[0].write_bytes(seccomp.compile_filter(policy, listener=True).program)
    filters[1].write_bytes(seccomp.init_filter())
    places = _places(limits_for(job, policy))
    with subprocess.Popen(
        [stage.floor, *places, *filters, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        started = Floor(process)
        started.run()
        yield started
        assert process.stdin is not None
        process.stdin.close()


def _places(limits: Limits) -> list[str]:
    """The floor's arguments for each hierarchy: what `cgroup/v1_job.py` or `v2_job.py` does."""
    if directories := v1_directories():
        return [argument for base in directories for argument in _v1(base, limits)]
    return _v2(v2_run(), limits)


def _v1(base: Path, limits: Limits) -> list[str]:
    if (base / "cpuset.cpus").exists():
        return []
    edits = []
    if (base / "memory.limit_in_bytes").exists():
        edits.append(f"memory.limit_in_bytes={limits.memory_bytes}")
        if (base / "memory.memsw.limit_in_bytes").exists():
            size = limits.memory_bytes + _PAGE_BYTES
            edits.append(f"memory.memsw.limit_in_bytes={size}")
    if (base / "pids.max").exists():
        edits.append(f"pids.max={limits.processes}")
    rate = bandwidth(limits.cpus, limits.core)
    if rate is not None and (base / "cpu.cfs_quota_us").exists():
        edits.append(f"cpu.cfs_period_us={rate.period_us}")
        edits.append(f"cpu.cfs_quota_us={rate.quota_us}")
    return _arguments("-c", base, edits)


def _v2(base: Path, limits: Limits) -> list[str]:
    edits = [
        f"memory.max={limits.memory_bytes}",
        "memory.oom.group=1",
        f"pids.max={limits.processes}",
    ]
    if (base / "memory.swap.max").exists():
        edits.append("memory.swap.max=0")
    rate = bandwidth(limits.cpus, limits.core)
    if rate is not None and "cpu" in (base / "cgroup.controllers").read_text().split():
        edits.append(f"cpu.max={rate.quota_us} {rate.period_us}")
    return _arguments("-C", base, edits)


def _arguments(option: str, base: Path, edits: list[str]) -> list[str]:
    return [option, str(base), *(word for edit in edits for word in ("-e", edit))]
