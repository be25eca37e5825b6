"""The look from outside: what the kernel says of a locked stub, before it may execute."""

import functools
import os
from typing import NamedTuple

from sandbox.spec.errors import SetupError
from sandbox.supervisor.cgroup import JobCgroup

__all__ = ["Seen", "check_stub"]

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_EMPTY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Of /proc/PID/status, the lines that stay the same while a stub waits: the ids, the capabilities
# and all other confinement. proc_pid_status(5).
_LASTING = ((b"\nUid:", b"\nFDSize:"), (b"\nCapInh:", b"\nCpus_allowed:"))


class Seen(NamedTuple):
    """What was seen of a stub that was found locked: for a second look, before it is used."""

    pid: int
    status: bytes
    cgroups: bytes

    def still_holds(self) -> bool:
        """Whether the kernel says the very same once more; False also when the stub is gone."""
        try:
            return (_status(self.pid), _read(f"/proc/{self.pid}/cgroup")) == self[1:]
        except OSError:
            return False


def check_stub(pid: int, host_uid: int, cgroup: JobCgroup, *, has_time: bool) -> Seen:
    """What /proc/PID shows. Raises SetupError naming the first wall that it does not show."""
    try:
        status, cgroups = _status(pid), _read(f"/proc/{pid}/cgroup")
        names = (*_NAMESPACES, "time") if has_time else _NAMESPACES
        shared = [name for name in names if os.readlink(f"/proc/{pid}/ns/{name}") == _own(name)]
    except OSError as error:
        raise SetupError(
            f"the stub cannot be looked at: {error.strerror}; the payload was never started"
        ) from error
    lines = status.decode().splitlines()
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
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
    return Seen(pid, status, cgroups)


@functools.cache  # we are in these for good
def _own(namespace: str) -> str:
    return os.readlink(f"/proc/self/ns/{namespace}")


def _status(pid: int) -> bytes:
    text = _read(f"/proc/{pid}/status")
    return b"".join(text[text.find(first) : text.find(end)] for first, end in _LASTING)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 65536)
    finally:
        os.close(fd)
