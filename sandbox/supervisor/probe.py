"""The last look, from outside: what the kernel says of a locked stub, before it may execute."""

import os

from sandbox.spec.errors import SetupError
from sandbox.supervisor.cgroup import JobCgroup

__all__ = ["check_stub"]

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_EMPTY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def check_stub(pid: int, host_uid: int, cgroup: JobCgroup, *, has_time: bool) -> None:
    """Raise SetupError naming the first wall that /proc/PID does not show."""
    try:
        with open(f"/proc/{pid}/status") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        names = (*_NAMESPACES, "time") if has_time else _NAMESPACES
        shared = [n for n in names if _namespace(pid, n) == _namespace("self", n)]
    except OSError as error:
        raise SetupError(
            f"the stub cannot be looked at: {error.strerror}; the payload was never started"
        ) from error
    checks = {
        "filter": fields.get("Seccomp") == "2",
        "no_new_privileges": fields.get("NoNewPrivs") == "1",
        "capabilities": all(int(fields.get(name, "1"), 16) == 0 for name in _EMPTY_SETS),
        "identity": set(fields.get("Uid", "").split()) == {str(host_uid)},
        "namespaces": not shared,
        "cgroup_payload": cgroup.holds_payload(pid),
    }
    for step, holds in checks.items():
        if not holds:
            raise SetupError(
                f"step {step} failed: /proc/{pid} does not show the wall; "
                "the payload was never started"
            )


def _namespace(pid: int | str, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")
