"""What the errno of a step between clone and exec tells of the host, and what to do about it."""

import errno

from sandbox.supervisor.mounted import mount_points

__all__ = ["PROCESSES", "remedy"]

PROCESSES = (
    "allow this user more processes: ulimit -u (limits.conf(5)), TasksMax= and LimitNPROC= of the "
    "unit, --pids-limit of the container"
)
_NAMESPACES = "raise the one of user.max_*_namespaces that is used up; sandbox doctor names it"
_CLONING = ("clone", "namespaces", "user_namespace", "collector")
_BORN = {*_CLONING, "template", "time_namespace", "cgroup_namespace"}
_FORBIDDEN = (*_BORN, "proc", "hostname", "pivot", "root", "binds")
_SHOWN = 3  # of many mounts that are in the way


def remedy(step: str, code: int) -> str:
    """The fix, as our messages end with it: "; fix: …", or "" where the errno tells nothing."""
    found = ""
    if code == errno.ENOSPC and step in _BORN:  # namespaces(7)
        found = _NAMESPACES
    elif code == errno.EAGAIN and step in _CLONING:  # clone(2)
        found = PROCESSES
    elif code in (errno.EACCES, errno.EPERM) and step == "machine":
        found = "let programs in memory files be executed: vm.memfd_noexec below 2 (sandbox doctor)"
    elif code == errno.EINVAL and step == "template":
        # The kernel makes no overlay of a directory with mounts below it that are locked there.
        points = mount_points("/usr")[:_SHOWN]
        found = f"unmount what is mounted below /usr: {', '.join(points)}" if points else ""
    elif code == errno.EFBIG and step == "template":
        found = "allow files that are not empty: ulimit -f, LimitFSIZE= of the unit"
    elif (code == errno.EPERM and step in _FORBIDDEN) or (code == errno.ENOSYS and step == "clone"):
        found = "the container or service around us forbids it; sandbox doctor says what to allow"
    return f"; fix: {found}" if found else ""
