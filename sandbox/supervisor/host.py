"""Facts of this host: what explains a job's times, and what stands in a job's way."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.kernel.confinement import landlock_abi
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.cgroup.files import cgroup_mounts, read, read_optional
from sandbox.supervisor.sysctls import FORBIDDING, YAMA, read_sysctl

__all__ = [
    "HostFacts",
    "TimeFacts",
    "ask",
    "facts",
    "has_time_namespaces",
    "time_facts",
]

_STEAL_SECONDS = 0.1
_steal: tuple[float, float | None] = (
    float("-inf"),
    None,
)  # when it was looked up, and what was found
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_TICKS = os.sysconf("SC_CLK_TCK")


class TimeFacts:
    """A moment on this host, to be compared with a later one."""

    def __init__(self) -> None:
        self._steal_seconds = _steal_seconds()

    def since(self) -> Mapping[str, Any]:
        """What may have disturbed a job since then.

        `steal_seconds`: taken by the hypervisor; None where /proc does not tell.
        """
        before, now = self._steal_seconds, _steal_seconds()
        return {
            **_lasting_facts(),
            "governor": _governor(),
            "load_1min": os.getloadavg()[0],
            "steal_seconds": None if before is None or now is None else round(now - before, 2),
        }


class HostFacts(NamedTuple):
    """What the kernel says of itself, without trying anything."""

    kernel: str
    machine: str
    cores: int
    governor: str | None
    cgroups: str  # "v1", "v2" or "none": where memory is limited
    landlock_abi: int  # 0: no Landlock
    has_time_namespaces: bool
    yama_scope: int | None  # None: no Yama
    sysctls: Mapping[str, int]  # those that can forbid a sandbox, where they exist
    container: str | None  # what we run in, as far as it tells
    no_new_privileges: bool = False  # set-uid programs give us nothing
    is_filtered: bool = False  # by a seccomp filter of somebody else's
    bounding: int = -1  # the capabilities that any program can get, a bit each


def time_facts() -> TimeFacts:
    """Look now. Some ten microseconds."""
    return TimeFacts()


def facts() -> HostFacts:
    """Ask the kernel."""
    versions = {m.version for m in cgroup_mounts() if m.version == 2 or "memory" in m.controllers}
    values = {name: read_sysctl(name) for name in FORBIDDING}
    status = _status()
    return HostFacts(
        **_lasting_facts(),
        governor=_governor(),
        cgroups=f"v{min(versions)}" if versions else "none",
        landlock_abi=ask(landlock_abi) or 0,
        has_time_namespaces=has_time_namespaces(),
        yama_scope=read_sysctl(YAMA),
        sysctls={name: value for name, value in values.items() if value is not None},
        container=_container(),
        no_new_privileges=status["NoNewPrivs"] == "1",
        is_filtered=status.get("Seccomp", "0") != "0",
        bounding=int(status["CapBnd"], 16),
    )


@functools.cache
def has_time_namespaces() -> bool:
    """Whether this kernel has them; time_namespaces(7), Linux 5.6."""
    return os.path.exists("/proc/self/ns/time")


def _steal_seconds() -> float | None:
    """Time that the hypervisor took, of all cores together; looked up ten times a second."""
    global _steal
    now = time.monotonic()
    if now - _steal[0] > _STEAL_SECONDS:
        _steal = (now, _read_steal_seconds())
    return _steal[1]


def _read_steal_seconds() -> float | None:
    # proc_stat(5): the eighth number of the first line, over all cores. Not with subset=pid.
    fields = (read_optional("/proc/stat") or b"").split(b"\n", 1)[0].split()
    return int(fields[8]) / _TICKS if len(fields) > 8 else None


@functools.cache
def _lasting_facts() -> Mapping[str, Any]:
    name = os.uname()
    return {"kernel": name.release, "machine": name.machine, "cores": CORES}


@functools.cache
def _has_governor() -> bool:
    return os.access(_GOVERNOR, os.R_OK)


def _governor() -> str | None:
    if not _has_governor():
        return None
    return read(_GOVERNOR).decode().strip()


@functools.cache
def ask(question: Callable[[], int]) -> int | None:
    """The first answer of a system call; None: it failed, or we would have died of it."""
    if _status().get("Seccomp", "0") != "0" and _kills_for(question):
        return None
    try:
        return question()
    except OSError:
        return None


def _kills_for(question: Callable[[], int]) -> bool:
    """Whether the filter around us does, as one of systemd's SystemCallFilter=."""
    try:
        pid = os.fork()
    except OSError:  # no process can be started, which others will say
        return True
    if pid == 0:
        with contextlib.suppress(OSError):
            question()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) < 0


def _status() -> dict[str, str]:
    """Our own; proc_pid_status(5)."""
    lines = read("/proc/self/status").decode("utf-8", "replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _container() -> str | None:
    for path, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if Path(path).exists():
            return name
    try:  # systemd's "Container Interface"
        return Path("/run/systemd/container").read_text().strip()
    except OSError:
        return None
