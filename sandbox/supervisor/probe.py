"""The look from outside: what the kernel says of a locked stub, before it may execute."""

import functools
import os

from sandbox.spec.errors import SetupError
from sandbox.supervisor.cgroup import JobCgroup

__all__ = ["Seen", "check_stub"]

_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_EMPTY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
# Of /proc/PID/status, the lines that stay the same while a stub waits: the ids, the capabilities
# and all other confinement. proc_pid_status(5).
_LASTING = ((b"\nUid:", b"\nFDSize:"), (b"\nCapInh:", b"\nCpus_allowed:"))


class Seen:
    """What was seen of a stub that was found locked: for a second look, before it is used."""

    def __init__(self, pid: int) -> None:
        """Raises OSError: there is no such process."""
        self._fds: list[int] = []
        try:
            for name in ("status", "cgroup"):
                self._fds.append(os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC))
            self.status, self.cgroups = self._look()
        except OSError:
            self.close()
            raise

    def still_holds(self) -> bool:
        """Whether the kernel says the very same once more; False also when the stub is gone."""
        try:
            return self._look() == (self.status, self.cgroups)
        except OSError:
            return False

    def close(self) -> None:
        """No more looks. Idempotent."""
        while self._fds:
            os.close(self._fds.pop())

    def _look(self) -> tuple[bytes, bytes]:
        status, cgroups = (os.pread(fd, 65536, 0) for fd in self._fds)
        lasting = (status[status.find(first) : status.find(end)] for first, end in _LASTING)
        return b"".join(lasting), cgroups


def check_stub(pid: int, host_uid: int, cgroup: JobCgroup, *, has_time: bool) -> Seen:
    """What /proc/PID shows. Raises SetupError naming the first wall that it does not show; OSError:
    it cannot be looked at, or is dead."""
    names = (*_NAMESPACES, "time") if has_time else _NAMESPACES
    shared = [name for name in names if os.readlink(f"/proc/{pid}/ns/{name}") == _own(name)]
    seen = Seen(pid)
    lines = seen.status.decode().splitlines()
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
            seen.close()
            raise SetupError(
                f"step {step} failed: /proc/{pid} does not show the wall; "
                "the payload was never started"
            )
    return seen


@functools.cache  # we are in these for good
def _own(namespace: str) -> str:
    return os.readlink(f"/proc/self/ns/{namespace}")
