"""From what was counted, one verdict: pure."""

import signal
from collections.abc import Sequence

from sandbox.spec.errors import HostError
from sandbox.spec.limits import Limits
from sandbox.supervisor.cgroup import Usage
from sandbox.supervisor.rootfs import OWN_INODES

__all__ = ["Scratch", "decide"]

_MIB = 1 << 20


class Scratch:
    """How full the writable directories were seen: statfs, sampled."""

    def __init__(self) -> None:
        self.peak_bytes = self.peak_inodes = 0
        self.is_full_of: str | None = None

    def seen(self, blocks: int, free: int, block_bytes: int, inodes: int, free_inodes: int) -> None:
        """Take one sample, in blocks of `block_bytes`."""
        self.peak_bytes = max(self.peak_bytes, (blocks - free) * block_bytes)
        self.peak_inodes = max(self.peak_inodes, inodes - free_inodes - OWN_INODES)
        if free <= 1:
            self.is_full_of = f"{blocks * block_bytes / _MIB:g} MiB"
        elif free_inodes <= 1:
            self.is_full_of = f"{inodes - OWN_INODES} inodes"


def decide(
    reason: str | None,
    evidence: Sequence[str],
    *,
    exit_code: int | None,
    signal_number: int | None,
    wall_seconds: float,
    usage: Usage,
    scratch: Scratch,
    is_output_over: bool,
    limits: Limits,
) -> tuple[str, list[str]]:
    """The verdict and all evidence. `reason`: the verdict the job was ended for, if it was.

    Limits that end a job decide by the final counter, so one that ended by itself just over is
    told the same. Limits that refuse decide only where the job failed too. Raises HostError: not
    the job's own limit was met, but one around it.
    """
    found = list(evidence)
    if not usage.oom_events and (reason == "memory" or (reason is None and usage.oom_kills)):
        raise HostError(
            f"memory ran out around the job, not in it ({memory_evidence(usage, limits)}), and its "
            "result is lost; fix: fewer or smaller jobs at a time, or more memory for the service"
        )
    if reason == "memory":  # the counters of the moment are behind those of the end
        return reason, [*found, memory_evidence(usage, limits)]
    if reason == "output" or (reason is None and is_output_over):
        return "output", [*found, f"output over {limits.output_bytes} bytes"]
    if reason is not None:
        return reason, found
    failed = exit_code != 0
    if usage.oom_kills or usage.oom_events:
        return "memory", [*found, memory_evidence(usage, limits)]
    if limits.cpu_seconds is not None and usage.cpu_seconds > limits.cpu_seconds:
        return "cpu_time", [*found, cpu_evidence(usage.cpu_seconds, limits.cpu_seconds)]
    if wall_seconds > limits.wall_seconds:
        return "wall_time", [*found, wall_evidence(wall_seconds, limits.wall_seconds)]
    if signal_number == signal.SIGXCPU and not usage.is_whole:
        return "cpu_time", [*found, "signal: SIGXCPU, as RLIMIT_CPU sends it"]
    if signal_number == signal.SIGSYS:
        # A job can send it to itself as well: wait(2) does not tell who did.
        return "violation", [*found, "signal: SIGSYS, as the filter sends it; syscall not known"]
    if failed and scratch.is_full_of:
        return "disk", [*found, f"quota: scratch space of {scratch.is_full_of} seen full (statfs)"]
    if failed and usage.fork_refusals:
        if usage.processes_peak is not None and usage.processes_peak < limits.processes:
            raise HostError(
                f"a process was refused by a limit around the job, whose own was not met "
                f"({usage.processes_peak} of {limits.processes}), and its result is lost; "
                "fix: raise pids.max (systemd: TasksMax=) of the service, or of what is above it"
            )
        return "processes", [
            *found,
            f"pids.events max={usage.fork_refusals}: a process or thread over "
            f"{limits.processes} was refused",
        ]
    if signal_number is not None:
        return "signaled", [*found, f"signal: {_signal_name(signal_number)}"]
    return "exited", found


def memory_evidence(usage: Usage, limits: Limits) -> str:
    """What says that the memory limit ended the job."""
    peak = usage.memory_peak_bytes
    shown = "peak unknown" if peak is None else f"peak {peak / _MIB:.1f} MiB"
    # v1 tells of the event before it kills; where we were quicker, no kill of its own is counted.
    counted = f"oom_kill={usage.oom_kills}" if usage.oom_kills else f"oom={usage.oom_events}"
    return f"{counted}, {shown} of {limits.memory_bytes / _MIB:g} MiB"


def cpu_evidence(used: float, limit: float) -> str:
    """What says that the job's CPU time is over its limit."""
    return f"cpu {used:.3f} s of {limit:g} s"


def wall_evidence(used: float, limit: float) -> str:
    """What says that the job's time is over its limit."""
    return f"wall {used:.3f} s of {limit:g} s"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
