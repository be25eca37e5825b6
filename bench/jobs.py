"""The jobs that are measured: all under the policy for compiled programs."""

from pathlib import Path

from bench.streams import STREAM_MIB
from sandbox.spec.job import Input, Job

__all__ = ["job_of", "program_of"]


def job_of(*command: str) -> Job:
    """A job that runs what the host has."""
    return Job(
        tuple(map(str.encode, command)),
        "native",
        limits={"wall_seconds": 120.0, "cpu_seconds": 60.0, "output_bytes": STREAM_MIB << 20},
    )


def program_of(programs: Path, *command: str) -> Job:
    """A job that sees the C programs at /programs; the others are spared what a bind costs."""
    inputs = (Input(programs, b"/programs", copied=False),)
    return job_of(*command)._replace(inputs=inputs)
