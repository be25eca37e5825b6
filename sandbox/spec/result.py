"""Result: what a caller gets for a job; one verdict, the evidence that decided it, measurements."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, NamedTuple
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = ["VERDICTS", "Completed", "Result"]

VERDICTS = (
    "exited", "signaled", "cpu_time", "wall_time", "idle", "memory",
    "output", "disk", "processes", "violation", "cancelled",
)  # fmt: skip


class Result(NamedTuple):
    """How a job ended. Times in seconds, sizes in bytes; None is "the kernel does not tell"."""

    verdict: str
    exit_code: int | None  # the payload's own, None if a signal ended it
    signal: int | None
    evidence: tuple[str, ...]
    cpu_seconds: float | None
    cpu_user_seconds: float | None
    cpu_system_seconds: float | None
    wall_seconds: float
    memory_peak_bytes: int | None
    memory_split_bytes: Mapping[str, int]  # anonymous, file, kernel, shmem: largest sample of each
    processes_peak: int | None
    throttled_seconds: float | None
    disk_peak_bytes: int | None
    disk_peak_inodes: int | None
    stdout_bytes: int
    stderr_bytes: int
    stdin_bytes: int
    overshoot: Mapping[str, float]  # polled limit -> how far past it the job was seen
    walls: Mapping[str, str]  # wall -> "up", or why it is absent
    grades: Mapping[str, str]  # limit -> kernel | rlimit | polled | none
    artifacts: Mapping[str, str]  # path in the job -> "collected N bytes", or why not
    identity: Mapping[str, Any]  # host uid of the payload, and whether it is the job's own
    host: Mapping[str, Any]  # facts that explain times: kernel, core, governor, steal

    def to_mapping(self) -> dict[str, Any]:
        """This result as plain dicts, lists, numbers and strings: the JSON form."""
        return self._asdict()


class Completed(NamedTuple):
    """What a caller who waited for a job's end has of it."""

    result: Result
    stdout: bytes
    stderr: bytes
    artifacts: Mapping[str, bytes]  # path in the job -> content, for those nobody else was to get
