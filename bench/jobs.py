"""The jobs that are measured: one template for all, so that one pool serves them."""

from pathlib import Path

from bench.streams import STREAM_MIB
from sandbox.spec.job import Input, Job

__all__ = ["job_of"]


def job_of(programs: Path, *command: str) -> Job:
    """A job that sees the C programs at /programs, under the policy for compiled ones."""
    return Job(
        tuple(map(str.encode, command)),
        "native",
        limits={"wall_seconds": 120.0, "cpu_seconds": 60.0, "output_bytes": STREAM_MIB << 20},
        inputs=(Input(programs, b"/programs", copied=False),),
    )
