"""Facts of this host: what explains a job's times, and what stands in a job's way."""

import functools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.kernel.confinement import landlock_abi
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.cgroup.files import cgroup_mounts, read

__all__ = [
    "HostFacts",
    "TimeFacts",
    "facts",
    "has_time_namespaces",
    "sysctl_gaps",
    "time_facts",
]

_STEAL_SECONDS = 0.1
_steal = (float("-inf"), 0.0)  # when it was looked up, and what was found
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_TICKS = os.sysconf("SC_CLK_TCK")
# Of the sysctls that can forbid what a sandbox needs: the value that does, and one that does not.
_FORBIDDING = {
    "user.max_user_namespaces": (0, 28633),
    "kernel.unprivileged_userns_clone": (0, 1),  # Debian's
    "kernel.apparmor_restrict_unprivileged_userns": (1, 0),  # Ubuntu's, from 23.10
    "vm.memfd_noexec": (2, 1),  # a stub is a program in a memfd
}
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_APPARMOR_PROFILE = """abi <abi/4.0>,
include <tunables/global>
profile sandbox {python} flags=(unconfined) {{
  userns,
}}
"""


class TimeFacts:
    """A moment on this host, to be compared with a later one."""

    def __init__(self) -> None:
        self._steal_seconds = _steal_seconds()

    def since(self) -> Mapping[str, Any]:
        """What may have disturbed a job since then. `steal_seconds`: taken by the hypervisor."""
        return {
            **_lasting_facts(),
            "governor": _governor(),
            "load_1min": os.getloadavg()[0],
            "steal_seconds": round(_steal_seconds() - self._steal_seconds, 2),
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


def time_facts() -> TimeFacts:
    """Look now. Some ten microseconds."""
    return TimeFacts()


def facts() -> HostFacts:
    """Ask the kernel."""
    versions = {m.version for m in cgroup_mounts() if m.version == 2 or "memory" in m.controllers}
    try:
        abi = landlock_abi()
    except OSError:
        abi = 0
    values = {name: _sysctl(name) for name in _FORBIDDING}
    return HostFacts(
        **_lasting_facts(),
        governor=_governor(),
        cgroups=f"v{min(versions)}" if versions else "none",
        landlock_abi=abi,
        has_time_namespaces=has_time_namespaces(),
        yama_scope=_sysctl("kernel.yama.ptrace_scope"),
        sysctls={name: value for name, value in values.items() if value is not None},
        container=_container(),
    )


def sysctl_gaps(sysctls: Mapping[str, int]) -> list[tuple[str, str]]:
    """(what, fix) of each of these sysctls that forbids ordinary users a sandbox."""
    found = []
    for name, (forbidden, allowed) in _FORBIDDING.items():
        if sysctls.get(name) != forbidden:
            continue
        fix = f"echo {name}={allowed} > /etc/sysctl.d/60-sandbox.conf && sysctl --system (as root)"
        if name == _APPARMOR:
            # The kernel sees the interpreter, never the script: hence the file behind the links.
            python = Path(sys.executable).resolve()
            profile = _APPARMOR_PROFILE.format(python=python)
            fix = (
                f"write this to /etc/apparmor.d/sandbox and run: apparmor_parser -r "
                f"/etc/apparmor.d/sandbox (as root; it allows every program of this interpreter, "
                f"so give sandbox its own: python3 -m venv --copies)\n{profile}or: {fix}"
            )
        found.append((f"{name} is {forbidden}", fix))
    return found


@functools.cache
def has_time_namespaces() -> bool:
    """Whether this kernel has them; time_namespaces(7), Linux 5.6."""
    return os.path.exists("/proc/self/ns/time")


def _steal_seconds() -> float:
    """Time that the hypervisor took, of all cores together; looked up ten times a second."""
    global _steal
    now = time.monotonic()
    if now - _steal[0] > _STEAL_SECONDS:
        _steal = (now, _read_steal_seconds())
    return _steal[1]


def _read_steal_seconds() -> float:
    # proc_stat(5): the eighth number of the first line, over all cores.
    fields = read("/proc/stat").split(b"\n", 1)[0].split()
    return int(fields[8]) / _TICKS if len(fields) > 8 else 0.0


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


def _sysctl(name: str) -> int | None:
    try:
        return int((Path("/proc/sys") / name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None


def _container() -> str | None:
    for path, name in (("/.dockerenv", "docker"), ("/run/.containerenv", "podman")):
        if Path(path).exists():
            return name
    try:  # systemd's "Container Interface"
        return Path("/run/systemd/container").read_text().strip()
    except OSError:
        return None
