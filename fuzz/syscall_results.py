"""What must hold of the Result of any job, whatever it has done."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fuzz.syscall_shapes import killed
from sandbox.spec.limits import limits_from_mapping
from sandbox.spec.policy import Policy
from sandbox.spec.result import VERDICTS, Result

__all__ = ["complaints"]

# What the kernel charges over a limit where it must not fail, and for the dying: some pages
# (try_charge_memcg, mm/memcontrol.c).
_FORCED_BYTES = 1 << 20
# What the evidence of each verdict must tell, and nothing else of what we claim.
_EVIDENCE = {
    "cpu_time": r"cpu [\d.]+ s of [\d.]+ s",
    "wall_time": r"wall [\d.]+ s of [\d.]+ s",
    "memory": r"oom(_kill)?=\d+, peak .* of [\d.]+ MiB",
    "output": r"output over \d+ bytes",
    "disk": r"quota: scratch space of .* seen full",
    "processes": r"pids\.events max=\d+",
    "signaled": r"signal: .+",
    "violation": r"seccomp: .+|signal: SIGSYS.*",
}


def complaints(
    result: Result, policy: Policy, limits: Mapping[str, Any], *, is_rude: bool
) -> Iterator[str]:
    """What is wrong with a Result. `is_rude`: the job made calls that its policy kills for."""
    allowed = policy.limits | limits_from_mapping(limits)
    told = " | ".join(result.evidence)
    if result.verdict not in VERDICTS:
        yield f"no verdict: {result.verdict!r}"
    if result.verdict in ("cancelled", "idle"):
        yield f"{result.verdict}, which nobody asked for"
    if result.verdict in _EVIDENCE and not re.search(_EVIDENCE[result.verdict], told):
        yield f"{result.verdict} without its evidence: {told!r}"
    if result.verdict == "violation" and not is_rude and "seccomp:" in told:
        yield f"a violation of a job that made no such call: {told!r}"
    blamed = re.search(r"seccomp: (\w+)\(", told)
    if blamed and blamed[1] not in killed(policy) | {"ioctl"}:
        yield f"blamed for {blamed[1]}, which the policy does not kill for: {told!r}"
    if (result.exit_code is None) == (result.signal is None) and result.verdict == "exited":
        yield f"exit code {result.exit_code} and signal {result.signal}"
    if result.verdict == "exited" and (result.exit_code is None or result.signal is not None):
        yield f"exited by a signal: {result.signal}"
    if absent := {wall: state for wall, state in result.walls.items() if state != "up"}:
        yield f"walls are not up: {absent}"
    if result.identity["is_own"] is not True:
        yield "no uid of its own"
    yield from _numbers(result, allowed)


def _numbers(result: Result, allowed: Mapping[str, Any]) -> Iterator[str]:
    for name in (
        "cpu_seconds", "cpu_user_seconds", "cpu_system_seconds", "wall_seconds",
        "memory_peak_bytes", "disk_peak_bytes", "disk_peak_inodes", "stdout_bytes",
    ):  # fmt: skip
        value = getattr(result, name)
        if value is None or value < 0:
            yield f"{name} is {value}"
    peak, processes = result.memory_peak_bytes or 0, result.processes_peak
    if peak > allowed["memory_bytes"] + _FORCED_BYTES:
        yield f"{peak} bytes of memory, {allowed['memory_bytes']} allowed"
    if processes is not None and processes > allowed["processes"]:
        yield f"{processes} processes, {allowed['processes']} allowed"
    if (result.disk_peak_bytes or 0) > allowed["disk_bytes"]:
        yield f"{result.disk_peak_bytes} bytes of disk, {allowed['disk_bytes']} allowed"
    if result.stdout_bytes + result.stderr_bytes > allowed["output_bytes"]:
        yield f"{result.stdout_bytes + result.stderr_bytes} bytes of output"
    if result.verdict != "wall_time" and result.wall_seconds > allowed["wall_seconds"]:
        yield f"{result.wall_seconds} s and {result.verdict}"
    # What the job told of itself is no time-out of ours: a second of grace is the kernel's tick.
    if result.verdict == "cpu_time" and (result.cpu_seconds or 0) < allowed["cpu_seconds"] - 0.1:
        yield f"cpu_time after {result.cpu_seconds} s of {allowed['cpu_seconds']} s"
