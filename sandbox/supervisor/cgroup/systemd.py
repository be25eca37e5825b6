"""A scope of our own from the user's systemd, asked for over D-Bus."""

import os
import time

from sandbox.supervisor.cgroup.files import exists, process_cgroups

__all__ = ["enter_scope", "is_our_scope"]

_WAIT_SECONDS = 10.0


def is_our_scope(directory: str) -> bool:
    """Whether this cgroup is one that `enter_scope` has asked for."""
    name = directory.rpartition("/")[2]
    return name.startswith("sandbox-") and name.endswith(".scope")


def enter_scope(pids: list[int]) -> str | None:
    """Have the user's manager move `pids`, us and our children, into a new scope with Delegate=yes.

    None once all are in it, or the reason why not. Blocks until the manager has moved them, at most
    ten seconds. Speaks by busctl(1), which every systemd host has; org.freedesktop.systemd1(5).
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    # su and sudo leave the variables unset; the bus is there nevertheless.
    bus = os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"
    if bus.startswith("unix:path=") and not exists(bus.removeprefix("unix:path=").split(",")[0]):
        return f"no user bus at {bus.removeprefix('unix:path=')}"
    unit = f"sandbox-{os.getpid()}-{time.monotonic_ns():x}.scope"
    command = [
        "busctl", "--user", "--quiet", "call",
        "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager", "StartTransientUnit",
        "ssa(sv)a(sa(sv))", unit, "fail", "4",
        "Description", "s", "sandbox runner",
        "Delegate", "b", "true",
        "PIDs", "au", str(len(pids)), *map(str, pids),
        "CollectMode", "s", "inactive-or-failed",
        "0",
    ]  # fmt: skip
    environment = os.environ | {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": bus}
    import subprocess

    try:
        asked = subprocess.run(
            command, env=environment, capture_output=True, timeout=_WAIT_SECONDS, check=False
        )
    except FileNotFoundError:
        return "no busctl on this host"
    except subprocess.TimeoutExpired:
        return "the user's systemd does not answer"
    if asked.returncode != 0:
        return f"the user's systemd refuses: {os.fsdecode(asked.stderr).strip()}"
    # The call returns when the job is queued, and nothing wakes a process that is moved.
    deadline = time.monotonic() + _WAIT_SECONDS
    while not all(process_cgroups(pid).get("", "").endswith(f"/{unit}") for pid in pids):
        if time.monotonic() > deadline:
            return f"the user's systemd did not move us into {unit}"
        time.sleep(0.001)
    return None
