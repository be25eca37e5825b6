"""Delegating cgroups to a user for good: what each kind of host needs, and how to take it back."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from sandbox.spec.errors import HostError
from sandbox.supervisor import cgroup
from sandbox.supervisor.cgroup.delegate_v1 import PREPARED, v1_mounts
from sandbox.supervisor.cgroup.files import cgroup_mounts

__all__ = ["Grantee", "Host", "delegate", "undelegate"]

_COMMAND_SECONDS = 60


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_COMMAND_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise HostError(
            f"{' '.join(command)} failed: {said.decode(errors='replace').strip()}"
        ) from error


class Grantee(NamedTuple):
    """The user that is set up."""

    name: str
    uid: int
    gid: int


class Host(NamedTuple):
    """Where setup works: the files below `root`, by commands that `run` executes."""

    root: Path = Path("/")
    run: Callable[[list[str]], None] = _run

    @property
    def has_systemd(self) -> bool:
        """Whether systemd is the init of this host. sd_booted(3)."""
        return (self.root / "run/systemd/system").is_dir()

    def drop_in(self, grantee: Grantee) -> Path:
        """The file that tells systemd to delegate to the user's manager."""
        service = f"user@{grantee.uid}.service.d"
        return self.root / "etc/systemd/system" / service / "sandbox-delegate.conf"

    def boot_unit(self, grantee: Grantee) -> Path:
        """The unit that makes the user's v1 directories again at boot."""
        return self.root / "etc/systemd/system" / f"sandbox-delegate-{grantee.uid}.service"

    def linger(self, grantee: Grantee) -> Path:
        """The file that is there while the user's manager runs without a login. loginctl(1)."""
        return self.root / "var/lib/systemd/linger" / grantee.name


def delegate(host: Host, grantee: Grantee) -> tuple[list[str], dict[str, bool]]:
    """Do what is missing; what was done, in words, and what `undelegate` must know.

    Raises HostError: the cgroup mounts are read-only, or systemd refuses.
    """
    if any("memory" in mount.controllers for mount in cgroup_mounts()):
        return _delegate_v1(host, grantee)
    if host.has_systemd:
        return _delegate_by_systemd(host, grantee)
    path = cgroup.delegate_v2(grantee.uid, grantee.gid)
    return [
        f"{path} belongs to {grantee.name}, until the next boot",
        "this host has no systemd, and cgroup v2 lets only root move a process in from elsewhere: "
        f"have root write the pid of the user's shell or service to {path}/entry/cgroup.procs",
    ], {}


def undelegate(host: Host, grantee: Grantee, *, did_linger: bool) -> list[str]:
    """Take back what `delegate` did. Raises HostError while a job of the user runs."""
    done = []
    if any("memory" in mount.controllers for mount in cgroup_mounts()):
        done += [f"removed {path}" for path in cgroup.undelegate_v1(grantee.uid)]
    else:
        done += [f"removed {path}" for path in cgroup.undelegate_v2(grantee.uid)]
    if (unit := host.boot_unit(grantee)).exists():
        host.run(["systemctl", "disable", unit.name])
        done += _remove(host, unit)
    if (drop_in := host.drop_in(grantee)).exists():
        done += _remove(host, drop_in)
        if not [*drop_in.parent.iterdir()]:
            drop_in.parent.rmdir()
    if did_linger and host.linger(grantee).exists():
        host.run(["loginctl", "disable-linger", grantee.name])
        done.append(f"{grantee.name} no longer lingers")
    return done


def _delegate_v1(host: Host, grantee: Grantee) -> tuple[list[str], dict[str, bool]]:
    changed = cgroup.delegate_v1(grantee.uid, grantee.gid)
    done = [f"{path} made for {grantee.name}" for path in changed]
    if host.has_systemd:
        unit = host.boot_unit(grantee)
        enabled = unit.parent / "multi-user.target.wants" / unit.name
        if _write(host, unit, _boot_unit_text(grantee)) or not enabled.is_symlink():
            host.run(["systemctl", "enable", unit.name])
            done.append(f"{unit} makes them again at boot")
    elif changed:
        done.append("this host has no systemd: run the same again after each boot")
    return done, {}


def _delegate_by_systemd(host: Host, grantee: Grantee) -> tuple[list[str], dict[str, bool]]:
    done, facts = [], {}
    drop_in = host.drop_in(grantee)
    if _write(host, drop_in, "[Service]\nDelegate=cpu cpuset io memory pids\n"):
        done.append(f"{drop_in} delegates cgroups to {grantee.name}")
        done.append(f"where {grantee.name} is logged in: log out of all sessions and in again")
    if not host.linger(grantee).exists():
        host.run(["loginctl", "enable-linger", grantee.name])
        facts["did_linger"] = True
        done.append(f"{grantee.name} lingers: its manager runs without a login")
    return done, facts


def _boot_unit_text(grantee: Grantee) -> str:
    # Plain commands: a unit of root's must not run our code from where a user may write.
    mounts = v1_mounts(cgroup_mounts())
    directories = " ".join(f"{mount.point}/{PREPARED}/{grantee.uid}" for mount in mounts)
    steps = [f"/bin/mkdir -p {directories}"]
    for mount in mounts:
        if "cpuset" in mount.controllers:  # a new cpuset is empty, cpuset(7)
            steps += [
                f"/bin/cp {mount.point}/{name} {mount.point}/{below}/{name}"
                for below in (PREPARED, f"{PREPARED}/{grantee.uid}")
                for name in ("cpuset.cpus", "cpuset.mems")
            ]
    steps.append(f"/bin/chown {grantee.uid}:{grantee.gid} {directories}")
    return (
        f"[Unit]\nDescription=cgroups for the sandbox jobs of uid {grantee.uid}\n\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        + "".join(f"ExecStart={step}\n" for step in steps)
        + "\n[Install]\nWantedBy=multi-user.target\n"
    )


def _write(host: Host, path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    host.run(["systemctl", "daemon-reload"])
    return True


def _remove(host: Host, path: Path) -> list[str]:
    path.unlink()
    host.run(["systemctl", "daemon-reload"])
    return [f"removed {path}"]
